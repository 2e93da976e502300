"""Distillation of logits that are standardised over the classes first."""

import torch
from torch import Tensor

from softtargets._checks import check_classes_last
from softtargets._numerics import at_least_float32
from softtargets.distill._inputs import check_weight, counted, pair
from softtargets.distill._logits import kd_loss, with_labels
from softtargets.targets import Targets

__all__ = ["standardize", "standardized_kd_loss"]


def standardize(logits: Tensor, *, eps: float = 1e-7) -> Tensor:
    """Bring each row of logits to mean 0 and standard deviation 1 over the classes.

    (z - mean(z)) / (std(z) + eps)        # Sun et al. 2024 and their code

    Args:
        logits: (..., K) float; -inf for a class that does not exist, which stays -inf and counts for neither moment.
        eps: added to the standard deviation, at least 0.

    Returns:
        (..., K) float32 or wider.

    Raises:
        ValueError: where there are fewer than two classes or eps is negative.
        TypeError: where logits are not floating-point.

    Special cases:
        a positive factor and a shift of a row change nothing but for eps; a row of equal logits gives 0.

    Notes:
        the sample's standard deviation, with K - 1, as in their code (torch's default).

    Complexity:
        O(N K), three tensors of the size of the logits.

    When to use:
        on both sides before any loss on logits, so that a student need not have its teacher's range of logits.

    Limitations:
        how sure a teacher is of one example rather than another is lost with the scale. Of exactly equal logits (a head
        that begins at 0) the gradient is 1 / eps.

    Example:
        >>> standardize(torch.tensor([[1.0, 2.0, 3.0]])).round(decimals=4).tolist()
        [[-1.0, 0.0, 1.0]]
    """
    check_classes_last("logits", logits)
    check_weight("eps", eps)
    z = at_least_float32(logits)
    absent = z == -torch.inf
    z = z.masked_fill(absent, 0.0)
    classes = (~absent).to(z.dtype).sum(-1, keepdim=True)
    centred = (z - z.sum(-1, keepdim=True) / classes.clamp(min=1)).masked_fill(absent, 0.0)
    # the norm, whose gradient at 0 is 0, where that of a root is not a number
    deviation = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / (classes - 1).clamp(min=1).sqrt()
    return (centred / (deviation + eps)).masked_fill(absent, -torch.inf)


def standardized_kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | Targets | None = None,
    *,
    weight: float = 9.0,
    label_weight: float = 0.1,
    temperature: float = 2.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Distil from logits that are standardised on both sides, so that ranges need not agree.

    label_weight * H(labels, softmax(z)) + weight * T^2 * KL(softmax(v' / T) || softmax(z' / T)), z' = standardize(z)

    v are the teacher's logits. After Sun et al. 2024 and their code: the label's term has the logits as they are.

    Args:
        student_logits: (..., K) float; -inf for a class that does not exist, where the teacher has no probability.
        teacher_logits: (..., K) float, likewise. No gradient goes to them.
        labels: (...) int64 or Targets, whose ignored rows lose the label's term alone; None where label_weight is 0.
        weight: at least 0.
        label_weight: at least 0.
        temperature: T, above 0, in standard deviations of the logits.
        mask: (...) bool, False for rows that do not count: loss 0, gradient 0, whatever their logits and labels.

    Returns:
        (...) float32 or wider, nats.

    Raises:
        ValueError: where shapes differ, labels are missing or out of range, the temperature or a weight is out of
            range, or the student excludes a class (-inf) that the teacher gives probability.
        TypeError: where logits are not floating-point or the mask not boolean.

    Special cases:
        label_weight=0 gives weight times kd_loss of standardised logits; a student whose logits are a
        positive multiple of the teacher's, shifted or not, has nothing to learn from it.

    Notes:
        T^2 is kept, though standardised logits have no scale of their own; 9, 0.1 and 2 are theirs for CIFAR-100.

    Complexity:
        that of kd_loss and four more tensors of the size of the logits.

    When to use:
        a student too small for its teacher's range of logits, or a teacher whose range differs (smoothed, say).

    Limitations:
        the labels alone hold the student's confidence: weigh them too low, and it is poorly calibrated. A head that
        begins at exactly 0 gets a gradient near 1e7 at its first step.

    Example:
        >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 5.0]])        # +-(.7071, -.7071)
        >>> loss = standardized_kd_loss(student, teacher, weight=1.0, label_weight=0.0)
        >>> round(float(loss), 4)        # 4 * .7071 * tanh(.7071 / 2)
        0.9603
    """
    check_weight("weight", weight)
    check_weight("label_weight", label_weight)
    z, v = pair(student_logits, teacher_logits, mask)
    loss = weight * kd_loss(standardize(z), standardize(v), temperature=temperature)
    return counted(with_labels(loss, z, labels, label_weight, mask), mask)
