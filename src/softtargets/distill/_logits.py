"""What a student learns from a teacher's logits."""

from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_fraction, first_bad, known_labels, values_visible, where
from softtargets._errors import fail, unknown
from softtargets._numerics import times
from softtargets.distill._inputs import (
    check_support,
    check_temperature,
    check_weight,
    counted,
    divergence,
    labels_as_targets,
    pair,
)
from softtargets.losses import forward_corrected_cross_entropy
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.matrices import Transition
from softtargets.targets import Targets

__all__ = ["kd_loss", "logit_mse_loss"]

SCALES = ("squared", "none")


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | Targets | None = None,
    *,
    weight: float = 1.0,
    label_weight: float | None = None,
    temperature: float = 1.0,
    student_temperature: float | None = None,
    scale: Literal["squared", "none"] = "squared",
    mask: Tensor | None = None,
    transition: Transition | Tensor | None = None,
) -> Tensor:
    """Learn a teacher's softened probabilities, and the labels beside them (KD).

    label_weight * H(labels, p_s) + weight * s * KL(p_t(T) || p_s(T_s))        # Hinton et al. 2015

    p(T) = softmax(z / T); T is `temperature`, T_s `student_temperature`; s = T * T_s, or 1 with scale="none". The
    label's term is at temperature 1. The gradient of the second with respect to the student's logits is
    weight * s / T_s * (p_s(T_s) - p_t(T)), so T times the difference under "squared".

    Args:
        student_logits: (..., K) float; -inf for a class that does not exist, where the teacher has no probability.
        teacher_logits: (..., K) float, or log-probabilities; -inf for a class without probability. No gradient goes to
            them.
        labels: (...) int64 or Targets, whose ignored rows lose the label's term alone; None where label_weight is 0.
        weight: at least 0; in [0, 1] where label_weight is None.
        label_weight: at least 0; None: 1 - weight.
        temperature: T, above 0, of the teacher.
        student_temperature: T_s, above 0; None: the teacher's.
        scale: "squared": T * T_s, which keeps the size of the gradient as T grows; "none": 1. It is applied whatever
            the weights are, and with labels or without.
        mask: (...) bool, False for rows that do not count: loss 0, gradient 0, whatever their logits and labels.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1: the student's probabilities
            p_s are replaced by those of observed labels, T^T p_s, in both terms (forward correction).

    Returns:
        (...) float32 or wider, nats, one value per row and not torch's mean over its elements: average it as you would
        a cross entropy.

    Raises:
        ValueError: where shapes differ, labels are missing or out of range, a temperature or weight is out of range, or
            the student excludes a class (-inf) that the teacher gives probability.
        TypeError: where logits are not floating-point or the mask not boolean.

    Special cases:
        weight=0 gives cross_entropy; weight=1 with the teacher's own logits gives 0; T -> inf, scaled, gives half the
        squared distance of the centred logits over K; at T=1 it is cross_entropy against (1 - weight) onehot + weight
        p_t, less weight * H(p_t).

    Notes:
        the divergence over classes is summed, and taken by its definition, entropy included. Müller et al.'s beta is
        `weight`, with student_temperature=1; Shen et al.'s lambda is `label_weight`. Born-again networks: a teacher of
        the student's own size at T=1. Without the scale the teacher's term fades as 1 / T^2.

    Complexity:
        O(N K), four tensors of the size of the logits; with a transition other than symmetric or none O(N K^2).

    When to use:
        a larger or better trained network, or an ensemble, is at hand and its logits can be computed or kept.

    Limitations:
        a smoothed teacher's logits lose what tells its examples apart (Müller et al. 2019), the more so at a high
        temperature (Chandrasegaran et al. 2022).

    Example:
        >>> student, teacher = torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log()        # 3/4 log 3/2 + 1/4 log 1/2
        >>> round(float(kd_loss(student, teacher)), 4)
        0.1308
    """
    student_temperature = temperature if student_temperature is None else student_temperature
    check_temperature("temperature", temperature)
    check_temperature("student_temperature", student_temperature)
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    label_weight = _label_weight(weight, label_weight)
    z, v = pair(student_logits, teacher_logits, mask)
    log_student = _log_probs(z / student_temperature, transition)
    log_teacher = (v / temperature).log_softmax(-1)
    check_support(log_student, log_teacher.exp() > 0)
    loss = (
        weight
        * (temperature * student_temperature if scale == "squared" else 1.0)
        * divergence(log_student, log_teacher)
    )
    return counted(with_labels(loss, z, labels, label_weight, mask, transition), mask)


def logit_mse_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | Targets | None = None,
    *,
    weight: float = 1.0,
    label_weight: float | None = None,
    centered: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """Learn a teacher's logits by their squared distance.

    label_weight * H(labels, p_s) + weight * 1/2 sum_k (z_k - v_k)^2        # Müller et al. 2019, A.5

    z are the student's logits, v the teacher's. The gradient of the second term is weight * (z - v).

    Args:
        student_logits: (..., K) float; classes that are -inf on both sides are left out.
        teacher_logits: (..., K) float, likewise. No gradient goes to them.
        labels: (...) int64 or Targets, whose ignored rows lose the label's term alone; None where label_weight is 0.
        weight: at least 0; in [0, 1] where label_weight is None.
        label_weight: at least 0; None: 1 - weight.
        centered: subtract from each side its mean over the classes, which probabilities do not depend on.
        mask: (...) bool, False for rows that do not count: loss 0, gradient 0, whatever their logits and labels.

    Returns:
        (...) float32 or wider, at least 0.

    Raises:
        ValueError: where shapes differ, labels are missing or out of range, a weight is out of range, or a class is
            -inf on one side alone.
        TypeError: where logits are not floating-point or the mask not boolean.

    Special cases:
        weight=0 gives cross_entropy; centered, it is K times what kd_loss tends to as T grows.

    Notes:
        halved, and summed over classes, not averaged. Müller et al. do not centre; Hinton et al.'s limit of high
        temperatures does.

    Complexity:
        O(N K), two tensors of the size of the logits.

    When to use:
        all of the teacher's logits count, those of improbable classes as much as the rest: the limit of a high
        temperature.

    Limitations:
        most of the distance may lie in classes that are hardly ever predicted; log-probabilities are not logits:
        centre them.

    Example:
        >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 2.0]])        # half of 9 + 4
        >>> logit_mse_loss(student, teacher).tolist(), logit_mse_loss(student, teacher, centered=True).tolist()
        ([6.5], [0.25])
    """
    label_weight = _label_weight(weight, label_weight)
    z, v = pair(student_logits, teacher_logits, mask)
    absent = z == -torch.inf
    _check_same_classes(absent, v == -torch.inf)
    distance = z.masked_fill(absent, 0.0) - v.masked_fill(absent, 0.0)
    if centered:
        mean = distance.sum(-1, keepdim=True) / (~absent).sum(-1, keepdim=True)
        distance = (distance - mean).masked_fill(absent, 0.0)
    loss = weight * 0.5 * distance.square().sum(-1)
    return counted(with_labels(loss, z, labels, label_weight, mask), mask)


def _log_probs(z: Tensor, transition: Transition | Tensor | None) -> Tensor:
    """Return the student's log-probabilities, those of observed labels where there is a transition."""
    if transition is None:
        return z.log_softmax(-1)
    # every class as the observed label: in log space, closed where the noise is symmetric
    classes = torch.arange(z.shape[-1], device=z.device).expand(z.shape)
    return -forward_corrected_cross_entropy(z[..., None, :].expand(*z.shape, -1), classes, transition)


def with_labels(
    loss: Tensor,
    z: Tensor,
    labels: Tensor | Targets | None,
    label_weight: float,
    mask: Tensor | None,
    transition: Transition | Tensor | None = None,
) -> Tensor:
    """Add the label's term, at temperature 1."""
    if label_weight == 0:
        return loss
    targets = labels_as_targets(labels, mask, z.shape[:-1])
    if transition is None:
        # its gradient is not the mean's, but label_weight times that
        return loss + label_weight * deferred_cross_entropy(z, targets)
    if isinstance(labels, Tensor):
        return loss + label_weight * forward_corrected_cross_entropy(z, known_labels(labels, mask), transition)
    dense = targets.to_dense(z.shape[-1]).to(z.dtype)
    return loss - label_weight * times(dense, _log_probs(z, transition)).sum(-1)


def _label_weight(weight: float, label_weight: float | None) -> float:
    if label_weight is None:
        check_fraction("weight", weight, remedy="give label_weight as well, or choose a value between 0 and 1")
        return 1 - weight
    check_weight("weight", weight)
    check_weight("label_weight", label_weight)
    return label_weight


def _check_same_classes(student: Tensor, teacher: Tensor) -> None:
    if not values_visible(student, teacher):
        return
    index = first_bad(student != teacher)
    if index is not None:
        side = "student" if student[index] else "teacher"
        got = f"the {side}'s for class {index[-1]} at {where(index[:-1])}"
        raise fail("student_logits", "-inf on both sides or on neither", got, "exclude the class from both")
