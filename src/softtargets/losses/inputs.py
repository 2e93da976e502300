"""The arguments that all losses share: logits, targets, and which examples count."""

from dataclasses import dataclass, replace

from torch import Tensor

from softtargets._checks import (
    check_floating,
    check_labels,
    check_mask,
    entry,
    first_bad,
    read_labels,
    values_visible,
    where,
)
from softtargets._errors import fail, fail_type
from softtargets.losses.reduction import Reduction, reduce
from softtargets.targets import Targets, dense, hard
from softtargets.targets.checks import check_spread


@dataclass(frozen=True, eq=False)
class LossInputs:
    """Checked logits and targets of a batch.

    Args:
        logits: (..., K) float, the classes last; 0 for an example that is left out, so that its gradient is 0.
        labels: (...) int64, 0 for an example that is left out; None if the targets are soft.
        soft: the soft targets, or None if there are labels.
        left_out: (...) bool, True for an example that is ignored or masked; None: every example counts.
    """

    logits: Tensor
    labels: Tensor | None
    soft: Targets | None
    left_out: Tensor | None

    @property
    def targets(self) -> Targets:
        """The targets, labels as one-hot ones."""
        if self.soft is not None:
            return self.soft
        assert self.labels is not None
        return replace(hard(self.labels), ignored=self.left_out)

    def finish(self, losses: Tensor, reduction: Reduction = "none") -> Tensor:
        """Set the losses of examples that are left out to 0, and reduce over the others."""
        if self.left_out is None:
            return reduce(losses, reduction)
        return reduce(losses, reduction, weight=~self.left_out)


def read_examples(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
) -> LossInputs:
    """Check the arguments of a loss that is defined for soft targets.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets of (...).
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out; soft targets have ``Targets.ignored`` for that.
        mask: (...) bool, False for an example to leave out.
    """
    _check_order(logits, targets)
    moved = classes_last(logits, class_dim)
    shape = tuple(moved.shape[:-1])
    labels = soft = None
    if isinstance(targets, Targets) or (isinstance(targets, Tensor) and targets.is_floating_point()):
        soft = targets if isinstance(targets, Targets) else _as_dense(targets, logits, class_dim)
        check_mask(mask, shape)
        if mask is not None:
            soft = replace(soft, ignored=~mask if soft.ignored is None else soft.ignored | ~mask)
        check_fit(soft, shape, moved.shape[-1])
        left_out = soft.ignored
    else:
        labels, left_out = read_labels(
            "targets", targets, num_classes=moved.shape[-1], shape=shape, ignore_index=ignore_index, mask=mask
        )
    if left_out is not None:
        moved = moved.masked_fill(left_out[..., None], 0.0)
    return LossInputs(moved, labels, soft, left_out)


def read_labelled(
    logits: Tensor, labels: Tensor, *, class_dim: int = -1, ignore_index: int = -100, mask: Tensor | None = None
) -> LossInputs:
    """Check the arguments of a loss that is defined for labels alone, as :func:`read_examples`."""
    _check_order(logits, labels)
    moved = classes_last(logits, class_dim)
    if isinstance(labels, Targets) or (isinstance(labels, Tensor) and labels.is_floating_point()):
        got = "Targets" if isinstance(labels, Targets) else f"dtype {labels.dtype}"
        remedy = "this loss is not defined for soft targets: pass one class number per example"
        raise fail_type("labels", "integer labels", got, remedy)
    labels, left_out = read_labels(
        "labels",
        labels,
        num_classes=moved.shape[-1],
        shape=tuple(moved.shape[:-1]),
        ignore_index=ignore_index,
        mask=mask,
    )
    if left_out is not None:
        moved = moved.masked_fill(left_out[..., None], 0.0)
    return LossInputs(moved, labels, None, left_out)


def _check_order(logits: object, targets: object) -> None:
    """Name the fix if labels were passed for the logits and logits for the targets."""
    if not isinstance(logits, Tensor) or not isinstance(targets, Tensor):
        return
    if targets.is_floating_point() and not logits.is_floating_point():
        raise fail_type("logits", "a floating-point tensor", f"dtype {logits.dtype}", "pass the logits first")


def _as_dense(targets: Tensor, logits: Tensor, class_dim: int) -> Targets:
    if targets.shape == logits.shape:
        return dense(targets.movedim(class_dim, -1))
    required = f"integer labels, or probabilities of the shape of the logits, {tuple(logits.shape)}"
    got = f"{targets.dtype} of shape {tuple(targets.shape)}"
    rest = list(logits.shape)
    rest.pop(class_dim)
    remedy = "use targets.long() if these are labels" if list(targets.shape) == rest else "align them"
    raise fail("targets", required, got, remedy)


def classes_last(logits: Tensor, class_dim: int) -> Tensor:
    """Return logits as (..., K), checked."""
    check_floating("logits", logits)
    if not -logits.ndim <= class_dim < logits.ndim:
        required, got = f"a dimension of the logits, which have {logits.ndim}", class_dim
        raise fail("class_dim", required, got, "give logits with a dimension of classes, and name it")
    logits = logits.movedim(class_dim, -1)
    if logits.shape[-1] < 2:
        raise fail("logits", "at least 2 classes", f"{logits.shape[-1]} in dimension {class_dim}", "set class_dim")
    return logits


def paired(logits: Tensor, labels: Tensor, class_dim: int) -> tuple[Tensor, Tensor]:
    """Return logits as (..., K) and labels as (...) int64, checked."""
    logits = classes_last(logits, class_dim)
    check_labels("labels", labels, logits.shape[-1])
    if labels.shape != logits.shape[:-1]:
        shape = tuple(logits.shape[:-1])
        raise fail("labels", f"shape {shape}, as the logits without classes", tuple(labels.shape), "align them")
    return logits, labels.long()


def as_targets(targets: Targets | Tensor) -> Targets:
    """Return labels as hard targets, and targets as they are."""
    if not isinstance(targets, Tensor):
        return targets
    if targets.is_floating_point():
        remedy = "wrap distributions in targets.dense(...)"
        raise fail_type("targets", "Targets or int64 labels", f"dtype {targets.dtype}", remedy)
    return hard(targets)


def check_fit(targets: Targets, shape: tuple[int, ...], num_classes: int) -> None:
    """Require targets for examples of this shape and for this number of classes."""
    check_shape(targets, shape)
    known = targets.num_classes
    if known is not None and known != num_classes:
        raise fail("targets", f"{num_classes} classes, as the logits", known, "align them")
    labels, index = targets.labels, targets.index
    if index is not None and labels is not None:
        check_labels("labels", labels, num_classes)
    if index is not None and (labels is None or index.shape[-1] > 1):
        check_labels("labels", index, num_classes)
    if targets.valid is not None and values_visible(*targets.tensors().values()):
        _check_valid(targets, targets.valid, (*shape, num_classes))
        check_spread(targets)


def _check_valid(targets: Targets, mask: Tensor, shape: tuple[int, ...]) -> None:
    """Require labels, and weights other than smoothing, on classes that exist alone."""
    labels, index, valid = targets.labels, targets.index, mask.expand(shape)
    if index is not None and labels is not None:
        at = _first(~valid.gather(-1, labels[..., None])[..., 0], targets.ignored)
        if at is not None:
            got = f"{int(labels[at])} at {where(at)}"
            raise fail("labels", "classes that `valid` says exist", got, "fix the mask or mark it as ignored")
    if index is not None and targets.value is not None:
        weights, there = targets.value, valid.gather(-1, index)
    else:
        if targets.table is not None and mask.ndim == 1 and not bool(((targets.table != 0) & ~mask).any()):
            return  # no row of it is bad, so that none has to be gathered
        weights, there = targets.gathered(), valid
    at = _first((weights != 0) & ~there, None if targets.ignored is None else targets.ignored[..., None])
    if at is not None:
        label = at[-1] if index is None else int(index[at])
        got = f"{entry(weights, at)} on class {label} at {where(at[:-1])}"
        raise fail("targets", "weight on classes that `valid` says exist", got, "fix the mask, or set it to 0")


def _first(bad: Tensor, ignored: Tensor | None) -> tuple[int, ...] | None:
    return first_bad(bad if ignored is None else bad & ~ignored)


def check_shape(targets: Targets | Tensor, shape: tuple[int, ...]) -> None:
    """Require one target per example."""
    if tuple(targets.shape) != tuple(shape):
        raise fail(
            "targets", f"shape {tuple(shape)}, as the logits without classes", tuple(targets.shape), "align them"
        )
