"""Distillation of hidden states (activations)."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from softtargets._checks import check_mask
from softtargets._errors import fail, fail_type
from softtargets.distill._inputs import zeroed
from softtargets.losses import reduce
from softtargets.losses.reduction import Reduction
from softtargets.targets.checks import check_scores, describe

__all__ = ["hidden_state_loss"]


def hidden_state_loss(
    student_hidden: Tensor,
    teacher_hidden: Tensor,
    *,
    projection: Callable[[Tensor], Tensor] | None = None,
    normalize: bool = False,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Match a teacher's hidden states by their mean squared distance, as in FitNets.

    mean_d (projection(h_s)_d - h_t,d)^2        # the hints of Romero et al. 2015, up to a constant factor

    Args:
        student_hidden: (..., D_s) float activations.
        teacher_hidden: (..., D_t) float activations of the same examples. No gradient flows to them.
        projection: maps (..., D_s) to (..., D_t), such as a torch.nn.Linear that is trained with the student; None if
            the widths agree.
        normalize: divide each vector by its Euclidean norm first, so that only the direction counts.
        mask: (...) bool, False for examples to leave out; their activations may have any value, and the projection gets
            zeros there.
        reduction: "none", "mean" over the examples that are not left out, or "sum".

    Returns:
        (...) float32 or wider, at least 0, one value per example, 0 for examples that are left out; or () if reduced.

    Raises:
        ValueError: if the examples or widths differ.
        TypeError: if activations are not floating-point tensors, the projection is not callable, or the mask is not
            boolean.

    Special cases:
        the teacher's own activations give 0; with normalize it is 2 (1 - cosine) / D_t.

    Notes:
        Averaged over the width and not halved, like torch's mse_loss per example and common FitNets code. The paper's
        loss is half the sum: multiply by D_t / 2 to match it.

    Complexity:
        O(N D_t) and the projection.

    When to use:
        The student has layers that correspond to the teacher's. Add it to a loss on the logits.

    Limitations:
        The student spends capacity on information that the label does not need. Without `normalize`, the scale of the
        activations sets the weight of the loss, and a few large units dominate it.

    Aliases:
        FitNets; hint_loss; feature distillation

    Example:
        >>> import torch
        >>> hidden_state_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 5.0]])).tolist()        # 9 / 2
        [4.5]
    """
    check_scores("student_hidden", student_hidden)
    check_scores("teacher_hidden", teacher_hidden)
    shape, other = tuple(student_hidden.shape), tuple(teacher_hidden.shape)
    if not shape or not other or shape[:-1] != other[:-1]:
        required = f"the examples of student_hidden, which has shape {shape}"
        raise fail(
            "teacher_hidden", required, f"shape {other}", "pass activations of the same examples, with the width last"
        )
    check_mask(mask, shape[:-1])
    left_out = None if mask is None else ~mask
    if projection is not None:
        if not callable(projection):
            raise fail_type("projection", "a callable, or None", describe(projection), "pass a torch.nn.Linear")
        # not widened: the projection's weights have the student's dtype
        known = student_hidden if left_out is None else student_hidden.masked_fill(left_out[..., None], 0.0)
        student_hidden = projection(known)
        if not isinstance(student_hidden, Tensor):
            remedy = "return the projected activations"
            raise fail_type("projection", "a callable that returns a tensor", describe(student_hidden), remedy)
    if tuple(student_hidden.shape) != other:
        argument = "student_hidden" if projection is None else "projection"
        required = f"shape {other}, as teacher_hidden"
        remedy = (
            "pass projection=, such as a torch.nn.Linear"
            if projection is None
            else "its output must have the width of the teacher"
        )
        raise fail(argument, required, tuple(student_hidden.shape), remedy)
    student = zeroed(student_hidden, left_out)
    teacher = zeroed(teacher_hidden.detach(), left_out).to(student.dtype)
    if normalize:
        student, teacher = functional.normalize(student, dim=-1), functional.normalize(teacher, dim=-1)
    return reduce((student - teacher).square().mean(-1), reduction, weight=mask)
