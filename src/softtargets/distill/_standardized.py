"""Distillation of logits that are standardised over the classes."""

import torch
from torch import Tensor

from softtargets._numerics import at_least_float32
from softtargets.distill._inputs import check_support, check_temperature, divergence, example_weight, read_pair
from softtargets.distill._logits import with_labels
from softtargets.losses.reduction import Reduction
from softtargets.targets import Targets
from softtargets.targets.checks import classes_last, not_negative

__all__ = ["standardize", "standardized_kd_loss"]


def standardize(logits: Tensor, *, eps: float = 1e-7, class_dim: int = -1) -> Tensor:
    """Standardise each example's logits to mean 0 and standard deviation 1 over the classes.

    (z - mean(z)) / (std(z) + eps)        # Sun et al. 2024 and their code

    Args:
        logits: (..., K) float; -inf for a class that does not exist, which stays -inf and does not enter the moments.
        eps: added to the standard deviation, at least 0.
        class_dim: dimension of the classes.

    Returns:
        Tensor of the shape of the logits, float32 or wider.

    Raises:
        ValueError: if there are fewer than two classes or eps is negative.
        TypeError: if logits are not a floating-point tensor.

    Special cases:
        multiplying by a positive factor and adding a constant change nothing up to eps; equal logits give 0.

    Notes:
        The sample standard deviation, with K - 1, as in the authors' code (torch's default).

    Complexity:
        O(N K), three tensors of the size of the logits.

    When to use:
        Apply it to student and teacher before any loss on logits, so that the student need not match the teacher's
        range.

    Limitations:
        The scale of an example's logits, and with it the teacher's confidence, is lost. For exactly equal logits (an
        output layer initialised at 0) the gradient is 1 / eps.

    Example:
        >>> standardize(torch.tensor([[1.0, 2.0, 3.0]])).round(decimals=4).tolist()
        [[-1.0, 0.0, 1.0]]
    """
    eps = not_negative("eps", eps, "1e-7 is the default")
    return _standardized(at_least_float32(classes_last("logits", logits, class_dim)), eps).movedim(-1, class_dim)


def _standardized(z: Tensor, eps: float = 1e-7) -> Tensor:
    absent = z == -torch.inf
    z = z.masked_fill(absent, 0.0)
    classes = (~absent).to(z.dtype).sum(-1, keepdim=True)
    centred = (z - z.sum(-1, keepdim=True) / classes.clamp(min=1)).masked_fill(absent, 0.0)
    # the norm has gradient 0 at 0, where that of a square root is NaN
    deviation = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / (classes - 1).clamp(min=1).sqrt()
    return (centred / (deviation + eps)).masked_fill(absent, -torch.inf)


def standardized_kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | Targets | None = None,
    *,
    kd_weight: float | Tensor = 9.0,
    label_weight: float | Tensor = 0.1,
    temperature: float = 2.0,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Knowledge distillation on standardised logits, so that the ranges of student and teacher need not agree.

    label_weight * H(labels, softmax(z)) + kd_weight * T^2 * KL(softmax(v' / T) || softmax(z' / T)),
    z' = standardize(z)

    v are the teacher's logits. As in Sun et al. 2024 and their code, the label term uses the unstandardised logits.

    Args:
        student_logits: (..., K) float; -inf for a class that does not exist, for which the teacher must have
            probability 0.
        teacher_logits: (..., K) float, likewise. No gradient flows to them.
        labels: (...) integers in [0, K), probabilities of the shape of the logits, or Targets of (...); None is allowed
            if `label_weight` is 0.
        kd_weight: weight of the teacher term, at least 0: a number or a (...) tensor with one number per example.
        label_weight: weight of the label term, likewise.
        temperature: T, above 0, in standard deviations of the logits.
        class_dim: dimension of the classes in logits and soft labels.
        ignore_index: integer label of an example to leave out of both terms.
        mask: (...) bool, False for examples to leave out; their logits and labels may have any value.
        reduction: "none", "mean" over the examples that are not left out, or "sum".

    Returns:
        (...) float32 or wider, nats, one value per example, 0 for examples that are left out; or () if reduced.

    Raises:
        ValueError: if shapes differ, labels are missing or out of range, the temperature or a weight is out of range,
            or the student excludes (-inf) a class that the teacher gives probability.
        TypeError: if logits are not floating-point tensors, labels neither integers nor probabilities nor Targets, or
            the mask is not boolean.

    Special cases:
        label_weight=0 gives kd_weight times kd_loss of standardised logits; if the student's logits are a positive
        multiple of the teacher's plus a constant, the teacher term is 0.

    Notes:
        T^2 is kept as in their code, although standardised logits have no scale. 9 and 2 are the authors' settings for
        CIFAR-100. Their label weight is 0.1 in some versions of their configuration and 1 in others.

    Complexity:
        Same as kd_loss, plus four more tensors of the size of the logits.

    When to use:
        The student is too small to reach the teacher's range of logits, or the ranges differ, for example because the
        teacher was trained with label smoothing.

    Limitations:
        Only the label term determines the student's confidence: with a small label weight the student is poorly
        calibrated. An output layer initialised at exactly 0 gets a gradient near 1e7 at the first step.

    Example:
        >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 5.0]])        # +-(.7071, -.7071)
        >>> loss = standardized_kd_loss(student, teacher, kd_weight=1.0, label_weight=0.0)
        >>> round(float(loss), 4)        # 4 * .7071 * tanh(.7071 / 2)
        0.9603
    """
    temperature = check_temperature("temperature", temperature)
    pair = read_pair(student_logits, teacher_logits, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    kd_weight = example_weight("kd_weight", kd_weight, pair.student)
    label_weight = example_weight("label_weight", label_weight, pair.student)
    log_student = (_standardized(pair.student) / temperature).log_softmax(-1)
    log_teacher = (_standardized(pair.teacher_logits) / temperature).log_softmax(-1)
    check_support(log_student, log_teacher.exp() > 0)
    taught = kd_weight * temperature**2 * divergence(log_student, log_teacher)
    return pair.finish(with_labels(taught, pair, label_weight), reduction)
