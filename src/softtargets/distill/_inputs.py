"""The arguments that distillation losses share: logits of student and teacher, labels, and which examples count."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_mask, first_bad, read_labels, values_visible, where
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32, times
from softtargets.distill._teacher_rows import TeacherRows
from softtargets.losses import reduce
from softtargets.losses.reduction import Reduction
from softtargets.targets import Targets, hard
from softtargets.targets.checks import check_scores, classes_last, describe, not_negative, per_example, positive

TEMPERATURE_ADVICE = "1 leaves the logits unchanged"
WEIGHT_ADVICE = "choose 0 or more"


@dataclass(frozen=True, eq=False)
class Pair:
    """Checked arguments of a distillation loss.

    Args:
        student: (..., K) float32 or wider, the classes last; 0 for examples that are left out.
        teacher: (..., K) in the same dtype, detached, 0 for examples that are left out; or Targets or TeacherRows.
        labels: (...) int64, 0 for examples that are left out; None: no labels, or soft ones.
        soft: the labels as Targets; None: no labels.
        left_out: (...) bool, True for examples that are ignored or masked; None: no example is left out.
    """

    student: Tensor
    teacher: Tensor | Targets | TeacherRows
    labels: Tensor | None
    soft: Targets | None
    left_out: Tensor | None

    @property
    def teacher_logits(self) -> Tensor:
        """The teacher's logits, of a loss that does not accept Targets."""
        assert isinstance(self.teacher, Tensor)
        return self.teacher

    def finish(self, losses: Tensor, reduction: Reduction) -> Tensor:
        """Set the losses of examples that are left out to 0, and reduce over the others."""
        return reduce(losses, reduction, weight=None if self.left_out is None else ~self.left_out)


def read_pair(
    student_logits: Tensor,
    teacher_logits: Tensor | Targets | TeacherRows,
    labels: Tensor | Targets | None = None,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    teacher_targets: bool = False,
    teacher_rows: bool = False,
) -> Pair:
    """Check the arguments of a distillation loss.

    Args:
        student_logits: (..., K) float, or with the classes at `class_dim`.
        teacher_logits: of the same shape; or Targets of (...) if `teacher_targets`, or TeacherRows of (...) if
            `teacher_rows`.
        labels: (...) integers, float probabilities of the shape of the logits, Targets of (...), or None.
        class_dim: dimension of the classes in logits and float labels.
        ignore_index: integer label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        teacher_targets: whether the loss accepts Targets for the teacher.
        teacher_rows: whether the loss accepts TeacherRows.
    """
    student = classes_last("student_logits", student_logits, class_dim)
    shape, num_classes = tuple(student.shape[:-1]), student.shape[-1]
    check_mask(mask, shape)
    for argument, given in (("teacher_logits", teacher_logits), ("labels", labels), ("mask", mask)):
        check_device(argument, given, student)
    left_out = None if mask is None else ~mask
    if isinstance(teacher_logits, Targets) and teacher_targets:
        teacher = teacher_logits
        _check_fit("teacher_logits", teacher, shape, num_classes)
        left_out = _union(left_out, teacher.ignored)
    elif isinstance(teacher_logits, TeacherRows) and teacher_rows:
        detached: dict[str, Any] = {name: tensor.detach() for name, tensor in teacher_logits.tensors().items()}
        teacher = replace(teacher_logits, **detached)
        check_rows_fit("teacher_logits", teacher, shape, num_classes)
    else:
        teacher = _teacher(teacher_logits, student_logits, class_dim).detach()
    whole, soft, ignored = _labels(labels, student_logits, shape, class_dim, ignore_index, mask)
    left_out = _union(left_out, ignored)
    z = zeroed(student, left_out)
    if isinstance(teacher, Tensor):
        teacher = zeroed(teacher, left_out).to(z.dtype)
    elif isinstance(teacher, Targets) and left_out is not None:
        teacher = replace(teacher, ignored=left_out)
    if soft is not None and left_out is not None:
        soft = replace(soft, ignored=left_out)
    return Pair(z, teacher, whole, soft, left_out)


def check_device(argument: str, given: object, like: Tensor) -> None:
    """Require a tensor, or the tensors of Targets or TeacherRows, on the device of the student's logits."""
    tensors = given.tensors().values() if isinstance(given, Targets | TeacherRows) else [given]
    for tensor in tensors:
        if isinstance(tensor, Tensor) and tensor.device != like.device:
            remedy = f"use {argument}.to(student_logits.device)"
            raise fail(argument, f"tensors on {like.device}, like student_logits", tensor.device, remedy)


def _teacher(teacher: object, student_logits: Tensor, class_dim: int) -> Tensor:
    """Return the teacher's logits with the classes last, of the shape of the student's."""
    if isinstance(teacher, Targets | TeacherRows):
        only = "kd_loss accepts Targets" if isinstance(teacher, Targets) else "divergence_loss accepts TeacherRows"
        remedy = f"pass the teacher's logits; of these losses only {only}"
        raise fail_type("teacher_logits", "a floating-point tensor", type(teacher).__name__, remedy)
    check_scores("teacher_logits", teacher)
    assert isinstance(teacher, Tensor)
    shape, other = tuple(student_logits.shape), tuple(teacher.shape)
    if len(shape) == len(other) and shape != other:
        at = class_dim % len(shape)
        if (*shape[:at], *shape[at + 1 :]) == (*other[:at], *other[at + 1 :]):
            required = f"{shape[at]} classes, like student_logits"
            remedy = "if the larger vocabulary begins with the smaller, extend the smaller with distill.pad_vocabulary"
            raise fail("teacher_logits", required, other[at], remedy)
    if other != shape:
        remedy = "pass teacher and student logits of the same examples"
        raise fail("teacher_logits", f"shape {shape}, like student_logits", other, remedy)
    return classes_last("teacher_logits", teacher, class_dim)


def _labels(
    labels: object,
    student_logits: Tensor,
    shape: tuple[int, ...],
    class_dim: int,
    ignore_index: int,
    mask: Tensor | None,
) -> tuple[Tensor | None, Targets | None, Tensor | None]:
    """Return labels as int64 if they are integers, labels as Targets, and which examples they leave out."""
    if labels is None:
        return None, None, None
    num_classes = student_logits.shape[class_dim]
    if isinstance(labels, Targets):
        _check_fit("labels", labels, shape, num_classes)
        return None, labels, labels.ignored
    if isinstance(labels, Tensor) and labels.is_floating_point():
        if labels.shape != student_logits.shape:
            required = f"integer labels of shape {shape}, Targets, or probabilities of the shape of the logits"
            got = f"dtype {labels.dtype} and shape {tuple(labels.shape)}"
            remedy = (
                "use labels.long() if these are class numbers"
                if labels.ndim == len(shape)
                else "pass one label per example"
            )
            raise fail_type("labels", required, got, remedy)
        moved = classes_last("labels", labels, class_dim)
        if mask is not None:  # masked examples may hold anything
            moved = zeroed(moved, ~mask)
        check_entries("labels", moved, torch.isfinite, "finite probabilities", "fix that entry")
        return None, Targets(values=moved), None
    whole, left_out = read_labels(
        "labels", labels, num_classes=num_classes, shape=shape, ignore_index=ignore_index, mask=mask
    )
    return whole, hard(whole, ignore_index=None), left_out


def _check_fit(argument: str, targets: Targets, shape: tuple[int, ...], num_classes: int) -> None:
    """Require targets for examples of this shape and for this number of classes."""
    if tuple(targets.shape) != shape:
        required = f"targets for examples of shape {shape}, as student_logits without classes"
        raise fail(argument, required, tuple(targets.shape), "pass the targets of the same examples")
    if targets.num_classes not in (None, num_classes):
        required = f"{num_classes} classes, like student_logits"
        raise fail(argument, required, targets.num_classes, "use the same classes for both")
    if targets.index is not None:
        read_labels(argument, targets.index, num_classes=num_classes)


def check_rows_fit(argument: str, rows: TeacherRows, shape: tuple[int, ...], num_classes: int) -> None:
    """Require rows of a cache for examples of this shape and for this number of classes."""
    if tuple(rows.shape) != shape:
        required = f"rows for examples of shape {shape}, as the student's"
        raise fail(argument, required, tuple(rows.shape), "pass the rows of the same examples")
    if rows.num_classes != num_classes:
        required = f"{num_classes} classes, as the student has"
        remedy = (
            "give both models the same vocabulary: cut or pad the student's output layer "
            "(model.resize_token_embeddings in transformers), or write the cache from as many of the teacher's logits"
        )
        raise fail(argument, required, f"a cache of {rows.num_classes}", remedy)


def _union(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first | second


def zeroed(rows: Tensor, left_out: Tensor | None) -> Tensor:
    """Return (..., D) in float32 or wider, 0 for examples that are left out."""
    wide = at_least_float32(rows)
    return wide if left_out is None else wide.masked_fill(left_out[..., None], 0.0)


def divergence(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of (..., K) log-probabilities; classes without teacher mass contribute 0."""
    probs = log_teacher.exp()
    return (probs * (log_teacher - log_student).masked_fill(probs == 0, 0.0)).sum(-1)


def crossed(log_student: Tensor, targets: Targets) -> Tensor:
    """Return -sum_k t_k log p_k of (..., K) log-probabilities; classes without weight contribute 0."""
    weights = targets.to_dense(log_student.shape[-1]).to(log_student.dtype)
    return -times(weights, log_student).sum(-1)


def check_support(student_logits: Tensor, teacher_has: Tensor) -> None:
    """Require that no class that the teacher has is excluded (-inf) by the student."""
    if not values_visible(student_logits, teacher_has):
        return
    index = first_bad((student_logits == -torch.inf) & teacher_has)
    if index is not None:
        got = f"-inf for class {index[-1]} at {where(index[:-1])}"
        remedy = "exclude the class from the teacher as well"
        raise fail("student_logits", "a finite logit for every class that the teacher gives probability", got, remedy)


def check_temperature(argument: str, temperature: object) -> float:
    """Return a finite number above 0 as a float."""
    return positive(argument, temperature, TEMPERATURE_ADVICE)


def check_weight(argument: str, weight: object) -> float:
    """Return a finite number of at least 0 as a float."""
    if isinstance(weight, Tensor):
        remedy = "pass one number; to weight examples, multiply the losses, one per example"
        raise fail_type(argument, "a number", describe(weight), remedy)
    return not_negative(argument, weight, WEIGHT_ADVICE)


def example_weight(argument: str, weight: object, like: Tensor, *, high: float = math.inf) -> float | Tensor:
    """Return a finite weight in [0, high]: a float, or a tensor with one number per example in the dtype of `like`.

    Args:
        argument: name of the argument, for the error.
        weight: a number or a tensor.
        like: (..., K), the student's logits.
        high: the largest weight.
    """
    remedy = WEIGHT_ADVICE if high == math.inf else "choose a value between 0 and 1, or give label_weight as well"
    found = per_example(argument, weight, tuple(like.shape[:-1]), high=high, remedy=remedy)
    if not isinstance(found, Tensor):
        if found == math.inf:
            raise fail(argument, "finite numbers of at least 0", "inf", WEIGHT_ADVICE)
        return found
    check_entries(argument, found, torch.isfinite, "finite numbers of at least 0", WEIGHT_ADVICE)
    return found.to(like)
