"""Decoupled knowledge distillation: the label against the rest, and the other classes among themselves."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._errors import fail_type
from softtargets.distill._inputs import (
    check_support,
    check_temperature,
    check_weight,
    divergence,
    read_pair,
)
from softtargets.losses.reduction import Reduction
from softtargets.targets.checks import describe

__all__ = ["dkd_loss"]


def dkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    target_weight: float = 1.0,
    other_weight: float = 8.0,
    temperature: float = 4.0,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Decoupled knowledge distillation (DKD): separate weights for the label's class and for the other classes.

    T^2 * (target_weight * KL(b_t || b_s) + other_weight * KL(q_t || q_s))        # Zhao et al. 2022 and their code

    b = (p_label, 1 - p_label), and q_k = p_k / (1 - p_label) for the classes k other than the label, all at T, which is
    `temperature`. Plain distillation is TCKD + (1 - p_t,label) NCKD, so that a confident teacher gives the other
    classes little weight.

    Args:
        student_logits: (..., K) float; -inf for a class that does not exist, as on the teacher's side.
        teacher_logits: (..., K) float, likewise. No gradient flows to them.
        labels: (...) integers in [0, K).
        target_weight: weight of the label against the rest (TCKD), at least 0.
        other_weight: weight of the other classes among themselves (NCKD), at least 0.
        temperature: T, above 0, on both sides.
        class_dim: dimension of the classes in the logits.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for examples to leave out; their logits and labels may have any value.
        reduction: "none", "mean" over the examples that are not left out, or "sum".

    Returns:
        (...) float32 or wider, nats, at least 0 up to rounding, one value per example, 0 for examples that are left
        out; or () if reduced. Cross entropy with the labels is not included.

    Raises:
        ValueError: if shapes differ, a label is out of range, the temperature or a weight is out of range, or the
            student excludes (-inf) a class that the teacher does not.
        TypeError: if logits are not floating-point tensors, labels not integers, or the mask is not boolean.

    Special cases:
        target_weight=1 with other_weight = 1 - p_t,label(T) gives kd_loss; with two classes the second term is 0, and
        target_weight=1 also gives kd_loss.

    Notes:
        Alpha and beta of the paper are `target_weight` and `other_weight`; 1, 8 and T = 4 are the defaults of the
        authors' code, where T^2 multiplies both terms. Their training adds cross entropy, and multiplies this loss by
        min(epoch / 20, 1).

    Complexity:
        O(N K), six tensors of the size of the logits.

    When to use:
        The teacher is so confident on its training examples that plain distillation hardly uses its other
        probabilities.

    Limitations:
        `other_weight` needs tuning and a warm-up, because it amplifies the gradient noise. Wrong labels split the
        probabilities at the wrong class.

    Aliases:
        DKD; decoupled knowledge distillation

    Example:
        >>> student, teacher = torch.zeros(1, 3), torch.tensor([[2.0, 1.0, 1.0]]).log()        # NCKD is 0
        >>> loss = dkd_loss(student, teacher, torch.tensor([0]), temperature=1.0)
        >>> round(float(loss), 4)        # b_s = (1/3, 2/3), b_t = (1/2, 1/2): 1/2 log 3/2 + 1/2 log 3/4
        0.0589
    """
    target_weight = check_weight("target_weight", target_weight)
    other_weight = check_weight("other_weight", other_weight)
    temperature = check_temperature("temperature", temperature)
    pair = read_pair(student_logits, teacher_logits, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    if pair.labels is None:
        remedy = "pass one class number per example; for soft labels use kd_loss"
        raise fail_type("labels", "integer labels", describe(labels), remedy)
    z, v = pair.student, pair.teacher_logits
    check_support(z, v > -torch.inf)
    student_binary, student_others = _split(z / temperature, pair.labels)
    teacher_binary, teacher_others = _split(v / temperature, pair.labels)
    target = divergence(student_binary, teacher_binary)
    others = divergence(student_others, teacher_others)
    return pair.finish(temperature**2 * (target_weight * target + other_weight * others), reduction)


def _split(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of label and rest, (..., 2), and those of the others among themselves, (..., K)."""
    others = z.scatter(-1, labels[..., None], -torch.inf)
    odds = z.gather(-1, labels[..., None])[..., 0] - others.logsumexp(-1)
    return torch.stack([logsigmoid(odds), logsigmoid(-odds)], -1), others.log_softmax(-1)
