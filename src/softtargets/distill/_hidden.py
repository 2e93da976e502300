"""What a student learns from a teacher's activations."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from softtargets._checks import check_floating, check_mask
from softtargets._errors import fail
from softtargets.distill._inputs import counted, masked_rows

__all__ = ["hidden_state_loss"]


def hidden_state_loss(
    student_hidden: Tensor,
    teacher_hidden: Tensor,
    *,
    projection: Callable[[Tensor], Tensor] | None = None,
    normalize: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """Learn a teacher's activations by their squared distance.

    mean_d (projection(h_s)_d - h_t,d)^2        # after the hints of Romero et al. 2015

    Args:
        student_hidden: (..., D_s) float activations.
        teacher_hidden: (..., D_t) float activations of the same rows. No gradient goes to them.
        projection: from (..., D_s) to (..., D_t), such as a torch.nn.Linear, which learns with the student; None where
            the widths agree.
        normalize: divide each vector by its Euclidean norm first, so that direction alone counts.
        mask: (...) bool, False for rows that do not count: loss 0, gradient 0, whatever stands in them; the projection
            sees zeros there.

    Returns:
        (...) float32 or wider, at least 0.

    Raises:
        ValueError: where rows or widths do not agree.
        TypeError: where activations are not floating-point or the mask not boolean.

    Special cases:
        the teacher's own activations give 0; with normalize it is 2 (1 - cosine) / D_t.

    Notes:
        averaged over the width and not halved: torch's mse_loss with the rows kept apart.

    Complexity:
        O(N D_t) and the projection.

    When to use:
        a student with layers that correspond to its teacher's, beside a loss on the logits.

    Limitations:
        the student spends capacity on what the label does not need; without normalize the scale of the activations sets
        the weight, and a few large units rule it.

    Example:
        >>> hidden_state_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 5.0]])).tolist()        # 9 / 2
        [4.5]
    """
    check_floating("student_hidden", student_hidden)
    check_floating("teacher_hidden", teacher_hidden)
    shape, other = tuple(student_hidden.shape), tuple(teacher_hidden.shape)
    if not shape or not other or shape[:-1] != other[:-1]:
        required = f"the rows of student_hidden, which has shape {shape}"
        raise fail("teacher_hidden", required, f"shape {other}", "align them, the width last")
    check_mask(mask, shape[:-1])
    if projection is not None:
        # in the student's dtype, which the projection's weights have
        known = student_hidden if mask is None else student_hidden.masked_fill(~mask[..., None], 0.0)
        student_hidden = projection(known)
    if tuple(student_hidden.shape) != other:
        argument = "student_hidden" if projection is None else "projection"
        required = f"shape {other}, as teacher_hidden"
        remedy = "give a projection" if projection is None else "let it end with the teacher's width"
        raise fail(argument, required, tuple(student_hidden.shape), remedy)
    student = masked_rows(student_hidden, mask)
    teacher = masked_rows(teacher_hidden.detach(), mask).to(student.dtype)
    if normalize:
        student, teacher = functional.normalize(student, dim=-1), functional.normalize(teacher, dim=-1)
    return counted((student - teacher).square().mean(-1), mask)
