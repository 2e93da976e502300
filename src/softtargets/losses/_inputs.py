"""What the losses take: logits with the classes last, and the labels or targets that belong to them."""

from torch import Tensor

from softtargets._checks import check_floating, check_labels, first_bad, values_visible, where
from softtargets._errors import fail, fail_type
from softtargets.targets import Targets, hard


def classes_last(logits: Tensor, class_dim: int) -> Tensor:
    """Return logits as (..., K), checked."""
    check_floating("logits", logits)
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
    if targets.index is None:
        return
    labels = targets.labels
    check_labels("labels", targets.index if labels is None else labels, num_classes)
    if labels is not None and targets.valid is not None and values_visible(labels, targets.valid):
        there = targets.valid.expand(*shape, num_classes).gather(-1, labels[..., None])[..., 0]
        index = first_bad(~there if targets.ignored is None else ~there & ~targets.ignored)
        if index is not None:
            got = f"{int(labels[index])} at {where(index)}"
            raise fail("labels", "classes that `valid` says exist", got, "mend the mask or mark it as ignored")


def check_shape(targets: Targets | Tensor, shape: tuple[int, ...]) -> None:
    """Require one target per example."""
    if tuple(targets.shape) != tuple(shape):
        raise fail(
            "targets", f"shape {tuple(shape)}, as the logits without classes", tuple(targets.shape), "align them"
        )
