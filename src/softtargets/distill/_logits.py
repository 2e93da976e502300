"""Distillation losses on logits: knowledge distillation and the squared distance of logits."""

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from softtargets._checks import first_bad, values_visible, where
from softtargets._errors import fail, unknown
from softtargets.distill._inputs import (
    Pair,
    check_support,
    check_temperature,
    crossed,
    divergence,
    example_weight,
    read_pair,
)
from softtargets.losses import forward_corrected_cross_entropy
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.losses.reduction import Reduction
from softtargets.matrices import Transition
from softtargets.targets import Targets

__all__ = ["kd_loss", "logit_mse_loss"]

SCALES = ("squared", "none")


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor | Targets,
    labels: Tensor | Targets | None = None,
    *,
    kd_weight: float | Tensor = 1.0,
    label_weight: float | Tensor | None = None,
    temperature: float = 1.0,
    student_temperature: float | None = None,
    scale: Literal["squared", "none"] = "squared",
    transition: Transition | Tensor | None = None,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Knowledge distillation: match a teacher's softened probabilities, optionally with cross entropy on labels.

    label_weight * H(labels, p_s) + kd_weight * s * KL(p_t(T) || p_s(T_s))        # Hinton et al. 2015

    p(T) = softmax(z / T), where T is `temperature` and T_s is `student_temperature`; s = T * T_s, or 1 with
    scale="none". The label term uses temperature 1. The gradient of the teacher term with respect to the student's
    logits is kd_weight * s / T_s * (p_s(T_s) - p_t(T)).

    The teacher may be given as Targets instead of logits, for example from ``TeacherCache.targets``. They hold
    probabilities that are already softened at `temperature`. The teacher term is then the cross entropy
    H(t, p_s(T_s)), which differs from the divergence by the teacher's entropy: the gradient is the same.

    Args:
        student_logits: (..., K) float; -inf for a class that does not exist, for which the teacher must have
            probability 0.
        teacher_logits: (..., K) float logits or log-probabilities, -inf for a class without probability; or Targets of
            (...). No gradient flows to them.
        labels: (...) integers in [0, K), probabilities of the shape of the logits, or Targets of (...); None is allowed
            if `label_weight` is 0.
        kd_weight: weight of the teacher term, a number or a (...) tensor with one number per example; at least 0, and
            at most 1 if `label_weight` is None.
        label_weight: weight of the label term, likewise, at least 0; None: 1 - kd_weight.
        temperature: T of the teacher, above 0. For cached Targets it must be the temperature of the cache.
        student_temperature: T_s, above 0; None: `temperature`.
        scale: "squared": T * T_s, which keeps the size of the gradient as T grows; "none": 1. It applies whatever the
            weights and labels are.
        transition: clean -> observed, a Transition or (K, K) float with rows that sum to 1: both terms use the
            student's probabilities of observed labels, T^T p_s (forward correction).
        class_dim: dimension of the classes in logits and soft labels.
        ignore_index: integer label of an example to leave out of both terms. To drop only the label term, pass
            `label_weight` per example.
        mask: (...) bool, False for examples to leave out; their logits and labels may have any value.
        reduction: "none", "mean" over the examples that are not left out, or "sum".

    Returns:
        (...) float32 or wider, nats, one value per example, 0 for examples that are left out; or () if reduced.

    Raises:
        ValueError: if shapes or numbers of classes differ, labels are missing or out of range, a temperature or weight
            is out of range, the temperature is not that of cached Targets, or the student excludes (-inf) a class that
            the teacher gives probability.
        TypeError: if logits are not floating-point tensors, labels neither integers nor probabilities nor Targets, or
            the mask is not boolean.

    Special cases:
        kd_weight=0 gives cross_entropy; kd_weight=1 with the teacher's own logits gives 0; T -> inf, scaled, gives half
        the squared distance of the centred logits over K; at T=1 it is cross_entropy against (1 - kd_weight) onehot +
        kd_weight p_t, minus kd_weight * H(p_t).

    Notes:
        The divergence is summed over classes; torch's default ``KLDivLoss()`` averages over elements instead. Müller et
        al.'s beta is `kd_weight`; Shen et al.'s lambda is `label_weight`. Müller et al. print no factor s: use
        scale="none" to match their formula. Born-again networks use a teacher of the student's own size at T=1.

    Complexity:
        O(N K), four tensors of the size of the logits; O(N k) more for Targets with k classes; O(N K^2) with a
        transition that is neither symmetric nor the identity.

    When to use:
        A larger or better trained network, or an ensemble, is available and its logits can be computed or stored.

    Limitations:
        The logits of a teacher trained with label smoothing carry less information about individual examples (Müller et
        al. 2019), especially at a high temperature (Chandrasegaran et al. 2022).

    Aliases:
        knowledge distillation; KD; KDLoss; kl_div; KLDivLoss; distillation_loss

    Example:
        >>> student, teacher = torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log()        # 3/4 log 3/2 + 1/4 log 1/2
        >>> round(float(kd_loss(student, teacher)), 4)
        0.1308
    """
    temperature = check_temperature("temperature", temperature)
    student_temperature = temperature if student_temperature is None else student_temperature
    student_temperature = check_temperature("student_temperature", student_temperature)
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    pair = read_pair(
        student_logits,
        teacher_logits,
        labels,
        class_dim=class_dim,
        ignore_index=ignore_index,
        mask=mask,
        teacher_targets=True,
    )
    kd_weight, label_weight = term_weights(kd_weight, label_weight, pair.student)
    factor = temperature * student_temperature if scale == "squared" else 1.0
    softened = pair.student / student_temperature
    if isinstance(pair.teacher, Targets):
        _check_cached(pair.teacher, temperature)
        taught = _from_targets(softened, pair.teacher, transition)
    else:
        log_student = _log_probs(softened, transition)
        log_teacher = (pair.teacher_logits / temperature).log_softmax(-1)
        check_support(log_student, log_teacher.exp() > 0)
        taught = divergence(log_student, log_teacher)
    return pair.finish(with_labels(kd_weight * factor * taught, pair, label_weight, transition), reduction)


def logit_mse_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | Targets | None = None,
    *,
    kd_weight: float | Tensor = 1.0,
    label_weight: float | Tensor | None = None,
    centered: bool = False,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Match a teacher's logits by half their squared distance, optionally with cross entropy on labels.

    label_weight * H(labels, p_s) + kd_weight * 1/2 sum_k (z_k - v_k)^2        # Müller et al. 2019, A.5

    z are the student's logits, v the teacher's. The gradient of the second term is kd_weight * (z - v).

    Args:
        student_logits: (..., K) float; classes that are -inf on both sides are left out.
        teacher_logits: (..., K) float, likewise. No gradient flows to them.
        labels: (...) integers in [0, K), probabilities of the shape of the logits, or Targets of (...); None is allowed
            if `label_weight` is 0.
        kd_weight: weight of the teacher term, a number or a (...) tensor with one number per example; at least 0, and
            at most 1 if `label_weight` is None.
        label_weight: weight of the label term, likewise, at least 0; None: 1 - kd_weight.
        centered: subtract each side's mean over the classes, which does not change the probabilities.
        class_dim: dimension of the classes in logits and soft labels.
        ignore_index: integer label of an example to leave out of both terms.
        mask: (...) bool, False for examples to leave out; their logits and labels may have any value.
        reduction: "none", "mean" over the examples that are not left out, or "sum".

    Returns:
        (...) float32 or wider, at least 0, one value per example, 0 for examples that are left out; or () if reduced.

    Raises:
        ValueError: if shapes differ, labels are missing or out of range, a weight is out of range, or a class is -inf
            on one side only.
        TypeError: if logits are not floating-point tensors, labels neither integers nor probabilities nor Targets, or
            the mask is not boolean.

    Special cases:
        kd_weight=0 gives cross_entropy; centered, it is K times the limit of kd_loss as T grows.

    Notes:
        Halved and summed over the classes, as in Ba & Caruana 2014. Müller et al. do not centre the logits; the
        high-temperature limit of Hinton et al. does.

    Complexity:
        O(N K), two tensors of the size of the logits.

    When to use:
        All of the teacher's logits should count equally, including those of improbable classes: the limit of a high
        temperature.

    Limitations:
        Classes that are hardly ever predicted may dominate the distance. Log-probabilities differ from logits by a
        constant per example: set `centered`.

    Example:
        >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 2.0]])        # half of 9 + 4
        >>> logit_mse_loss(student, teacher).tolist(), logit_mse_loss(student, teacher, centered=True).tolist()
        ([6.5], [0.25])
    """
    pair = read_pair(student_logits, teacher_logits, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    kd_weight, label_weight = term_weights(kd_weight, label_weight, pair.student)
    z, v = pair.student, pair.teacher_logits
    absent = z == -torch.inf
    _check_same_classes(absent, v == -torch.inf)
    distance = z.masked_fill(absent, 0.0) - v.masked_fill(absent, 0.0)
    if centered:
        mean = distance.sum(-1, keepdim=True) / (~absent).sum(-1, keepdim=True)
        distance = (distance - mean).masked_fill(absent, 0.0)
    return pair.finish(with_labels(kd_weight * 0.5 * distance.square().sum(-1), pair, label_weight), reduction)


def _log_probs(z: Tensor, transition: Transition | Tensor | None) -> Tensor:
    """Return the student's log-probabilities, those of observed labels if there is a transition."""
    if transition is None:
        return z.log_softmax(-1)
    # every class as the observed label: stays in log space, and has a closed form if the noise is symmetric
    classes = torch.arange(z.shape[-1], device=z.device).expand(z.shape)
    return -forward_corrected_cross_entropy(z[..., None, :].expand(*z.shape, -1), classes, transition)


def _from_targets(softened: Tensor, teacher: Targets, transition: Transition | Tensor | None) -> Tensor:
    """Return the cross entropy with a teacher's targets, whose tensors get no gradient."""
    detached: dict[str, Any] = {name: tensor.detach() for name, tensor in teacher.tensors().items()}
    teacher = replace(teacher, **detached)
    if teacher.index is not None:
        weights, logits = teacher.factors()[1], softened.gather(-1, teacher.index)
        check_support(logits, weights > 0)
    else:
        check_support(softened, teacher.gathered() > 0)
    if transition is None:
        return deferred_cross_entropy(softened, teacher)
    return crossed(_log_probs(softened, transition), teacher)


def _check_cached(teacher: Targets, temperature: float) -> None:
    """Require the temperature at which cached targets were softened."""
    if teacher.temperature is not None and teacher.temperature != temperature:
        required = f"{teacher.temperature:g}, at which the teacher's targets were softened"
        remedy = f"pass temperature={teacher.temperature:g}, or write a cache with temperature={temperature:g}"
        if teacher.index is None and teacher.temperature == 1:  # all classes, which can be softened again
            remedy += ", or pass the cache's log_probs(ids) as teacher_logits"
        raise fail("temperature", required, f"{temperature:g}", remedy)


def with_labels(
    loss: Tensor, pair: Pair, label_weight: float | Tensor, transition: Transition | Tensor | None = None
) -> Tensor:
    """Add the label term, at temperature 1."""
    if not isinstance(label_weight, Tensor) and label_weight == 0:
        return loss
    if pair.soft is None:
        if isinstance(label_weight, Tensor) and values_visible(label_weight) and not bool(label_weight.any()):
            return loss
        remedy = "pass labels, or label_weight=0 for only the teacher term"
        raise fail("labels", "labels or Targets if label_weight is not 0", None, remedy)
    if transition is None:
        # deferred: its gradient is scaled by label_weight, which the mean's precomputed gradient is not
        return loss + label_weight * deferred_cross_entropy(pair.student, pair.soft)
    if pair.labels is not None:
        return loss + label_weight * forward_corrected_cross_entropy(pair.student, pair.labels, transition)
    return loss + label_weight * crossed(_log_probs(pair.student, transition), pair.soft)


def term_weights(
    kd_weight: float | Tensor, label_weight: float | Tensor | None, like: Tensor
) -> tuple[float | Tensor, float | Tensor]:
    """Return the checked weights of both terms."""
    if label_weight is None:
        kd_weight = example_weight("kd_weight", kd_weight, like, high=1.0)
        return kd_weight, 1 - kd_weight
    return example_weight("kd_weight", kd_weight, like), example_weight("label_weight", label_weight, like)


def _check_same_classes(student: Tensor, teacher: Tensor) -> None:
    if not values_visible(student, teacher):
        return
    index = first_bad(student != teacher)
    if index is not None:
        side = "student" if student[index] else "teacher"
        got = f"the {side}'s for class {index[-1]} at {where(index[:-1])}"
        raise fail("student_logits", "-inf on both sides or on neither", got, "exclude the class from both")
