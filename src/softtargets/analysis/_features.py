"""Features and labels: the checks that all measures of their geometry share, and float64 chunks of rows."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_floating, read_labels, values_visible
from softtargets._errors import fail
from softtargets._rows import refuse_swapped

# How far from 1 the largest number may be: squares of differences are summed, and must neither overflow nor vanish.
REACH = 1e120
# Entries of one chunk: some 8 MiB in float64, so that features are never copied as a whole.
CHUNK = 2**20


def read_features(
    features: Tensor,
    labels: Tensor,
    num_classes: int | None = None,
    *,
    prefix: str = "",
    ignore_index: int | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the features (n, D) and int64 labels (n,) of the examples that are not left out, n >= 1.

    Raises:
        ValueError: if features are not (N, D), a number that is not left out is not finite or its square
            exceeds the range of float64, or a label is out of range.
        TypeError: if features are not floating-point or labels not integers.
    """
    name = f"{prefix}features"
    refuse_swapped(name, features, labels)
    check_floating(name, features)
    if features.ndim != 2 or 0 in features.shape:
        remedy = "pass one row per example, flattened beyond the first axis"
        raise fail(name, "shape (N, D) with N and D of at least 1", tuple(features.shape), remedy)
    own, left_out = read_labels(
        f"{prefix}labels",
        labels,
        num_classes=num_classes,
        shape=features.shape[:1],
        ignore_index=ignore_index,
        mask=mask,
    )
    kept = None if left_out is None else ~left_out.to(features.device)
    if kept is not None and not bool(kept.any()):
        raise fail(
            f"{prefix}labels", "at least one example that is not left out", "none", "check the labels and the mask"
        )
    _check_values(name, features, "drop that example", kept)
    own = own.to(features.device)
    return (features, own) if kept is None else (features[kept], own[kept])


def check_last_layer(features: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Require the (K, D) weight and (K,) bias of a linear layer on features (N, D)."""
    check_floating("weight", weight)
    if weight.ndim != 2 or len(weight) < 2:
        remedy = "pass the weight of the last layer, one row per class"
        raise fail("weight", "shape (K, D) with K >= 2", tuple(weight.shape), remedy)
    if isinstance(features, Tensor) and features.ndim == 2 and weight.shape[1] != features.shape[1]:
        remedy = "pass the weight of the layer that takes these features as its input"
        raise fail("weight", f"{features.shape[1]} columns, as the features", weight.shape[1], remedy)
    if bias is not None:
        check_floating("bias", bias)
        if bias.shape != weight.shape[:1]:
            raise fail("bias", f"shape ({len(weight)},)", tuple(bias.shape), "pass the bias of the last layer")
        _check_values("bias", bias, "check how that network was trained")
    _check_values("weight", weight, "check how that network was trained")


def _check_values(argument: str, values: Tensor, remedy: str, kept: Tensor | None = None) -> None:
    """Require finite numbers whose squares float64 can hold, as it can those of all float32 numbers."""
    if not values_visible(values):
        return
    if kept is None:
        check_entries(argument, values, torch.isfinite, "finite values", remedy)
        counted = values
    else:
        check_entries(argument, values, lambda v: v.isfinite() | ~kept[:, None], "finite values", remedy)
        counted = values[kept]
    largest = max(abs(float(end)) for end in counted.detach().aminmax())
    if largest > 0 and not 1 / REACH <= largest <= REACH:
        required = f"numbers of which the largest is between {1 / REACH:g} and {REACH:g}"
        raise fail(argument, required, f"{largest:g}", "divide all of them by one number")


def chunks(features: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows in float64 and their labels, chunk by chunk."""
    step = max(1, CHUNK // features.shape[1])
    for rows, own in zip(features.detach().split(step), labels.split(step), strict=True):
        yield rows.double(), own


def class_means(chunks: Iterable[tuple[Tensor, Tensor]], num_classes: int, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of rows of each class, (K,) float64, and their mean, (K, D) float64, NaN for an empty class.

    The chunks may hold anything computed from the `features`, which give the width and the device.
    """
    counts = features.new_zeros(num_classes, dtype=torch.float64)
    sums = features.new_zeros(num_classes, features.shape[1], dtype=torch.float64)
    for rows, own in chunks:
        counts += own.bincount(minlength=num_classes)
        sums.index_add_(0, own, rows)
    return counts, sums / counts[:, None]
