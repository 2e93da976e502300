"""What the losses take: logits with the classes last, and the labels or targets that belong to them."""

from torch import Tensor

from softtargets._checks import check_floating, check_labels, entry, first_bad, values_visible, where
from softtargets._errors import fail, fail_type
from softtargets.targets import Targets, hard
from softtargets.targets.checks import check_spread


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
