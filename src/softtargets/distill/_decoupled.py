"""Distillation of the label's probability and of the other classes' shares apart."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import known_labels
from softtargets.distill._inputs import (
    check_support,
    check_temperature,
    check_weight,
    counted,
    divergence,
    pair,
)
from softtargets.losses.inputs import paired

__all__ = ["dkd_loss"]


def dkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    target_weight: float = 1.0,
    other_weight: float = 8.0,
    temperature: float = 4.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Weigh what a teacher says of the label, and of the others among themselves, each by itself (DKD).

    T^2 * (target_weight * KL(b_t || b_s) + other_weight * KL(q_t || q_s))        # Zhao et al. 2022 and their code

    b = (p_label, 1 - p_label) and q_k = p_k / (1 - p_label) for the classes k other than the label, all at T, which is
    `temperature`. Plain distillation is TCKD + (1 - p_t,label) NCKD: it weighs the others by what a sure teacher hardly
    has.

    Args:
        student_logits: (..., K) float; -inf for a class that does not exist, as on the teacher's side.
        teacher_logits: (..., K) float, likewise. No gradient goes to them.
        labels: (...) int64 in [0, K).
        target_weight: at least 0, of the label against the rest.
        other_weight: at least 0, of the rest among themselves.
        temperature: T, above 0, on both sides.
        mask: (...) bool, False for rows that do not count: loss 0, gradient 0, whatever their logits and labels.

    Returns:
        (...) float32 or wider, nats, at least 0 but for rounding; cross entropy with the labels is not in it.

    Raises:
        ValueError: where shapes differ, a label is out of range, the temperature or a weight is out of range, or the
            student excludes a class (-inf) that the teacher does not.
        TypeError: where logits are not floating-point, labels not integers or the mask not boolean.

    Special cases:
        target_weight=1 with other_weight = 1 - p_t,label(T) gives kd_loss; with two classes the others
        have nothing to learn, and target_weight=1 gives it too.

    Notes:
        their alpha and beta, 1 and 8; T^2 multiplies both terms, as in their code, which adds cross entropy and raises
        this loss from 0 over the first 20 epochs.

    Complexity:
        O(N K), six tensors of the size of the logits.

    When to use:
        a teacher so sure of its training examples that plain distillation hardly hears what it says of the others.

    Limitations:
        other_weight wants tuning with the gap between label and rest, and an early rise: eight times the noise too.
        Wrong labels split the probabilities in the wrong place.

    Example:
        >>> student, teacher = torch.zeros(1, 3), torch.tensor([[2.0, 1.0, 1.0]]).log()
        >>> loss = dkd_loss(student, teacher, torch.tensor([0]), temperature=1.0)        # the others' shares agree
        >>> round(float(loss), 4)        # b_s = (1/3, 2/3), b_t = (1/2, 1/2): 1/2 log 3/2 + 1/2 log 3/4
        0.0589
    """
    check_weight("target_weight", target_weight)
    check_weight("other_weight", other_weight)
    check_temperature("temperature", temperature)
    z, v = pair(student_logits, teacher_logits, mask)
    z, labels = paired(z, known_labels(labels, mask), -1)
    check_support(z, v > -torch.inf)
    student_binary, student_others = _split(z / temperature, labels)
    teacher_binary, teacher_others = _split(v / temperature, labels)
    target = divergence(student_binary, teacher_binary)
    others = divergence(student_others, teacher_others)
    return counted(temperature**2 * (target_weight * target + other_weight * others), mask)


def _split(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of label and rest, (..., 2), and those of the others among themselves, (..., K)."""
    others = z.scatter(-1, labels[..., None], -torch.inf)
    odds = z.gather(-1, labels[..., None])[..., 0] - others.logsumexp(-1)
    return torch.stack([logsigmoid(odds), logsigmoid(-odds)], -1), others.log_softmax(-1)
