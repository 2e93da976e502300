"""Features and labels: what every measure of their geometry requires, read in float64 a chunk of rows at a time."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_floating, check_labels, values_visible
from softtargets._errors import fail

# How far from 1 the largest number may be: squares of differences are summed, and must neither overflow nor vanish.
REACH = 1e120
# entries of one chunk: in float64 some 8 MiB, so that features are never copied as a whole
CHUNK = 2**20


def check_features(features: Tensor, labels: Tensor, num_classes: int | None = None, *, prefix: str = "") -> None:
    """Require (N, D) features with N, D >= 1 whose squares float64 can hold, and one label in range per row."""
    name = f"{prefix}features"
    check_floating(name, features)
    if features.ndim != 2 or 0 in features.shape:
        remedy = "give one row per example, flattened beyond the first axis"
        raise fail(name, "shape (N, D) with N and D of at least 1", tuple(features.shape), remedy)
    check_labels(f"{prefix}labels", labels, num_classes, features.shape[:1])
    _check_values(name, features, "drop that example")


def check_last_layer(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Require features and labels, and the (K, D) weight and (K,) bias of a linear layer on such features."""
    check_floating("weight", weight)
    if weight.ndim != 2 or len(weight) < 2:
        remedy = "give the last layer's weight, one row per class"
        raise fail("weight", "shape (K, D) with K >= 2", tuple(weight.shape), remedy)
    check_features(features, labels, len(weight))
    if weight.shape[1] != features.shape[1]:
        remedy = "give the weight of the layer that acts on these features"
        raise fail("weight", f"{features.shape[1]} columns, as the features", weight.shape[1], remedy)
    if bias is not None:
        check_floating("bias", bias)
        if bias.shape != weight.shape[:1]:
            raise fail("bias", f"shape ({len(weight)},)", tuple(bias.shape), "give the last layer's bias")
        _check_values("bias", bias, "train that network again")
    _check_values("weight", weight, "train that network again")


def _check_values(argument: str, values: Tensor, remedy: str) -> None:
    """Require finite numbers whose squares float64 can hold; all that float32 can is."""
    if not values_visible(values):
        return
    check_entries(argument, values, torch.isfinite, "finite values", remedy)
    largest = max(abs(float(end)) for end in values.detach().aminmax())
    if largest > 0 and not 1 / REACH <= largest <= REACH:
        required = f"numbers of which the largest is between {1 / REACH:g} and {REACH:g}"
        raise fail(argument, required, f"{largest:g}", "divide all by one number")


def chunks(features: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield some rows in float64 and their labels, until all were seen."""
    step = max(1, CHUNK // features.shape[1])
    for rows, own in zip(features.detach().split(step), labels.split(step), strict=True):
        yield rows.double(), own.to(rows.device, torch.int64)


def class_means(chunks: Iterable[tuple[Tensor, Tensor]], num_classes: int, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many rows each class has, (K,) float64, and their mean, (K, D) float64, NaN where there are none.

    The chunks may hold anything made of the `features`, which give width and device.
    """
    counts = features.new_zeros(num_classes, dtype=torch.float64)
    sums = features.new_zeros(num_classes, features.shape[1], dtype=torch.float64)
    for rows, own in chunks:
        counts += own.bincount(minlength=num_classes)
        sums.index_add_(0, own, rows)
    return counts, sums / counts[:, None]
