"""What the losses of a student take: two sets of logits of one shape, labels, a mask, temperatures and weights."""

import math

import torch
from torch import Tensor

from softtargets._checks import (
    check_floating,
    check_mask,
    check_not_negative,
    first_bad,
    known_labels,
    values_visible,
    where,
)
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32
from softtargets.losses.inputs import as_targets
from softtargets.targets import Targets


def pair(student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return both as (..., K) in the student's dtype or float32, checked; the teacher's detached, masked rows 0."""
    check_floating("student_logits", student_logits)
    check_floating("teacher_logits", teacher_logits)
    shape, other = tuple(student_logits.shape), tuple(teacher_logits.shape)
    if not shape or shape[-1] < 2:
        raise fail("student_logits", "shape (..., K) with K >= 2", shape, "put the classes last")
    if other != shape and other[:-1] == shape[:-1]:
        required = f"{shape[-1]} classes, as student_logits"
        remedy = "if the larger vocabulary begins with the smaller, fill the smaller up with distill.pad_vocabulary"
        raise fail("teacher_logits", required, other[-1], remedy)
    if other != shape:
        raise fail("teacher_logits", f"shape {shape}, as student_logits", other, "align them")
    check_mask(mask, shape[:-1])
    z = masked_rows(student_logits, mask)
    return z, masked_rows(teacher_logits.detach(), mask).to(z.dtype)


def masked_rows(tensor: Tensor, mask: Tensor | None) -> Tensor:
    """Return (..., D) in float32 or wider, with 0 in the rows that do not count: whatever stands there."""
    tensor = at_least_float32(tensor)
    return tensor if mask is None else tensor.masked_fill(~mask[..., None], 0.0)


def counted(losses: Tensor, mask: Tensor | None) -> Tensor:
    """Return the losses, 0 where the mask is False."""
    return losses if mask is None else losses.masked_fill(~mask, 0.0)


def labels_as_targets(labels: Tensor | Targets | None, mask: Tensor | None, shape: torch.Size) -> Targets:
    """Return labels as targets for rows of this shape; they are required."""
    if labels is None:
        remedy = "pass them, or label_weight=0 for the teacher alone"
        raise fail("labels", "labels or Targets where label_weight is not 0", None, remedy)
    targets = as_targets(labels if isinstance(labels, Targets) else known_labels(labels, mask))
    if targets.shape != shape:
        required = f"shape {tuple(shape)}, as the logits without classes"
        raise fail("labels", required, tuple(targets.shape), "align them")
    return targets


def divergence(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of (..., K) log-probabilities; a class without the teacher's mass has no part."""
    probs = log_teacher.exp()
    return (probs * (log_teacher - log_student).masked_fill(probs == 0, 0.0)).sum(-1)


def check_support(student_logits: Tensor, teacher_has: Tensor) -> None:
    """Require that the student excludes (-inf) no class that the teacher has."""
    if not values_visible(student_logits, teacher_has):
        return
    index = first_bad((student_logits == -torch.inf) & teacher_has)
    if index is not None:
        got = f"-inf for class {index[-1]} at {where(index[:-1])}"
        remedy = "exclude the class from the teacher as well"
        raise fail("student_logits", "a probability wherever the teacher has one", got, remedy)


def check_temperature(argument: str, temperature: object) -> None:
    """Require a finite number above 0."""
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise fail_type(argument, "a number", type(temperature).__name__, "1 leaves the logits as they are")
    if not 0 < temperature < math.inf:
        raise fail(argument, "a finite number above 0", f"{temperature:g}", "1 leaves the logits as they are")


def check_weight(argument: str, weight: object) -> None:
    """Require a finite number of at least 0."""
    if isinstance(weight, Tensor):
        raise fail_type(argument, "a number", "a tensor", "weigh the losses, which are one per row")
    check_not_negative(**{argument: weight})
    if weight == math.inf:
        raise fail(argument, "a finite number", "inf", "choose 0 or more")
