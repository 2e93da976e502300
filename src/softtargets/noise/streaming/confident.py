"""The confident joint of rows that arrive in any number of pieces: sums in a first pass, counts in a second."""

from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_num_classes
from softtargets._errors import fail, fail_type
from softtargets._numerics import accumulating
from softtargets._rows import check_probs, read_rows
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise.estimators.streams import TransitionStream
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.fixed import FixedSums
from softtargets.noise.streaming.rows import label_chunks

# SLACK: how far below its threshold a probability may be, so that a constant column reaches its own mean despite
# rounding. FLOOR: the lowest threshold.
SLACK, FLOOR = 1e-6, 2e-6


class ConfidentSums:
    """Thresholds of the confident joint, of rows that arrive in any number of pieces: the first of two passes.

    The state is one count and one sum for each class. The sums are integers in units of 2^-40, so the bits of the
    result do not depend on how the rows are cut into pieces, files and processes.

    Args:
        num_classes: K, at least 2.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9]])
        >>> labels = torch.tensor([0, 1, 1, 1])
        >>> sums = ConfidentSums(2).update(probs[:1], labels[:1]).update(probs[1:], labels[1:])
        >>> counts = ConfidentCounts(sums).update(probs[:3], labels[:3]).update(probs[3:], labels[3:])
        >>> counts.compute().counts.tolist()
        [[1, 0], [0, 2]]
    """

    def __init__(self, num_classes: int) -> None:
        check_num_classes(num_classes)
        self.num_classes = int(num_classes)
        self.class_counts = torch.zeros(self.num_classes, dtype=torch.int64)
        self._confidence = FixedSums(self.num_classes)

    @property
    def thresholds(self) -> Tensor:
        """(K,) float64, the mean probability of each class over the examples labelled with it; at least 2e-6."""
        return thresholds_of(self._confidence.totals() / self.class_counts)

    @array_function
    def update(self, probs: ArrayLike, labels: ArrayLike, **options: Any) -> Self:
        """Add examples. Arguments, options and errors are those of :func:`confident_joint`."""
        rows, given = _read(self.num_classes, probs, labels, options)
        check_probs(rows)
        self.add(rows.detach().gather(1, given[:, None])[:, 0], given)
        return self

    def add(self, confidence: Tensor, labels: Tensor) -> None:
        """Add examples by the (n,) probabilities of their labels, and their (n,) int64 labels."""
        labels = labels.cpu()
        self.class_counts += torch.bincount(labels, minlength=self.num_classes)
        self._confidence.add(labels, confidence.cpu())

    def merge(self, other: "ConfidentSums") -> Self:
        """Add the examples of another object; the other stays unchanged."""
        _check_merge(self, other)
        self.class_counts += other.class_counts
        self._confidence.merge(other._confidence)
        return self


class ConfidentCounts:
    """Counts of the confident joint, of rows that arrive in any number of pieces: the second of two passes.

    The state is one count for each pair of classes.

    Args:
        sums: the first pass over the same rows.
    """

    def __init__(self, sums: ConfidentSums) -> None:
        if not isinstance(sums, ConfidentSums):
            raise fail_type("sums", "ConfidentSums", type(sums).__name__, "pass the sums of a first pass")
        self.num_classes = sums.num_classes
        self.thresholds, self.class_counts = sums.thresholds, sums.class_counts.clone()
        self._cells = torch.zeros(self.num_classes**2, dtype=torch.int64)

    @array_function
    def update(self, probs: ArrayLike, labels: ArrayLike, **options: Any) -> Self:
        """Add examples. Arguments, options and errors are those of :func:`confident_joint`."""
        rows, given = _read(self.num_classes, probs, labels, options)
        # a bad row must leave the counts unchanged
        check_probs(rows)
        self.add(rows, given, check=False)
        return self

    def add(self, probs: Tensor, labels: Tensor, *, check: bool) -> None:
        """Add (n, K) probabilities with (n,) int64 labels."""
        for part, clean in confident_classes(probs, labels, self.thresholds, check=check):
            met = clean >= 0
            cells = clean[met] * self.num_classes + labels[part][met]
            self._cells += torch.bincount(cells, minlength=len(self._cells)).cpu()

    def merge(self, other: "ConfidentCounts") -> Self:
        """Add the examples of another object with equal sums; the other stays unchanged."""
        _check_merge(self, other)
        if not torch.equal(self.thresholds, other.thresholds):
            raise fail("other", "counts with the same sums", "other thresholds", "merge the sums of all rows first")
        self._cells += other._cells
        return self

    def compute(self) -> ConfidentJoint:
        """Return the confident joint of the examples so far."""
        counts = self._cells.view(self.num_classes, -1).clone()
        counts.diagonal().clamp_(min=1)
        return ConfidentJoint(counts, self.class_counts.clone(), self.thresholds.clone())


class ConfidentJointStream(TransitionStream):
    """The confident joint of rows that are read block by block."""

    def __init__(self, *shared: Any) -> None:
        super().__init__(*shared)
        self.sums = ConfidentSums(self.num_classes)

    def first(self, block: LabelledBlock) -> None:
        self.sums.add(block.own, block.labels)

    def begin_second(self, class_counts: Tensor) -> None:
        self.counts = ConfidentCounts(self.sums)

    def second(self, block: LabelledBlock) -> None:
        self.counts.add(block.probs, block.labels, check=False)

    def result(self) -> ConfidentJoint:
        return self.counts.compute()


def thresholds_of(means: Tensor) -> Tensor:
    """Return the thresholds of the mean probabilities of classes; NaN, of no labels, becomes inf."""
    # no example is confident of a class that no example is labelled with
    return means.clamp(min=FLOOR).nan_to_num(torch.inf)


def bounds_of(thresholds: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the smallest probabilities that reach the thresholds."""
    return thresholds.to(dtype) - SLACK


def confident_classes(
    probs: Tensor, labels: Tensor, thresholds: Tensor, *, check: bool
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the slice of each chunk of rows, and the class that each row is confident of, int64, or -1."""
    bounds = bounds_of(thresholds.to(probs.device), accumulating(probs.dtype))
    for part, found in label_chunks(probs, labels, bounds=bounds, check=check):
        assert found.clean is not None
        yield part, found.clean


def confidently_other(clean: Tensor, labels: Tensor, own: Tensor, best: Tensor) -> Tensor:
    """Return whether rows are suspect by the confident joint, (n,) bool.

    Args:
        clean: (n,) int64, the class that each row is confident of, or -1.
        labels: (n,) int64.
        own: (n,) probabilities of the labels.
        best: (n,) largest probabilities of the row, or of its other classes.
    """
    return (clean >= 0) & (clean != labels) & (own + 1e-6 < best)


def _read(num_classes: int, probs: Any, labels: Any, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    read = read_rows(probs, labels, **{"ignore_index": -100, **options})
    if read.num_classes != num_classes:
        raise fail(
            "probs", f"{num_classes} classes, as in num_classes", read.num_classes, "use one object per data set"
        )
    return read.counted_probs


def _check_merge(one: ConfidentSums | ConfidentCounts, other: object) -> None:
    if not isinstance(other, type(one)):
        raise fail_type("other", type(one).__name__, type(other).__name__, "merge objects of the same class")
    if other.num_classes != one.num_classes:
        raise fail("other", f"{one.num_classes} classes", other.num_classes, "merge objects of the same classes")
