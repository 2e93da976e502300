"""Coverage and size of prediction sets, as a function and as an accumulator."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_fraction, check_mask, read_labels
from softtargets._errors import fail, fail_type
from softtargets._results import TensorResult
from softtargets.metrics.arguments import check_class_dim, check_ignore_index, nothing_left
from softtargets.metrics.statistics import wilson

__all__ = ["SetCoverage", "SetQuality", "set_coverage"]

# The largest sizes of the strata of Angelopoulos et al. 2021; the last stratum has all larger sets.
STRATA = (1, 3, 10, 100)


@dataclass(frozen=True, eq=False, repr=False)
class SetQuality(TensorResult):
    """Coverage and size of prediction sets.

    Args:
        rows: () int64, number of rows.
        coverage: () float64, share of sets that contain the label.
        coverage_interval: (2,) float64, Wilson interval of the coverage.
        mean_size: () float64, mean number of classes in a set.
        size_interval: (2,) float64, normal interval of the mean size.
        empty: () float64, share of empty sets.
        size_rows: (K + 1,) int64, number of sets of each size from 0 to K.
        size_coverage: (K + 1,) float64, coverage of the sets of each size; NaN for sizes without a set.
        stratified_coverage: () float64, the lowest coverage of the strata of sizes 0 to 1, 2 to 3, 4 to 10, 11 to 100
            and above, among those that have a set.
        class_rows: (K,) int64, number of rows with each label.
        class_coverage: (K,) float64, coverage of these rows; NaN for classes without a row.
        class_gap: () float64, mean over classes with a row of |coverage - (1 - alpha)|.
        worst_class: () int64, the class with the lowest coverage; on ties the one with more rows.
    """

    rows: Tensor
    coverage: Tensor
    coverage_interval: Tensor
    mean_size: Tensor
    size_interval: Tensor
    empty: Tensor
    size_rows: Tensor
    size_coverage: Tensor
    stratified_coverage: Tensor
    class_rows: Tensor
    class_coverage: Tensor
    class_gap: Tensor
    worst_class: Tensor


class SetCoverage:
    """Coverage and size of prediction sets, accumulated over batches; see :func:`set_coverage`.

    The state is counts, so that any split of the rows over batches, files and processes gives the same numbers.

    Args:
        alpha: share of sets that may miss the label, in (0, 1); `class_gap` is measured from 1 - alpha.
        confidence: confidence of the intervals, in (0, 1).

    Example:
        >>> sets = torch.tensor([[True, False], [True, True], [False, False]])
        >>> counted = SetCoverage(alpha=0.1)
        >>> _ = counted.update(sets[:2], torch.tensor([0, 1])).update(sets[2:], torch.tensor([0]))
        >>> counted.compute().size_rows
        tensor([1, 1, 1])
    """

    def __init__(self, *, alpha: float, confidence: float = 0.95) -> None:
        for name, value in (("alpha", alpha), ("confidence", confidence)):
            check_fraction(name, value)
            if not 0 < float(value) < 1:
                raise fail(name, "a number above 0 and below 1", f"{float(value):g}", "0.1 and 0.95 are usual")
        self.alpha, self.confidence = float(alpha), float(confidence)
        self.reset()

    def reset(self) -> None:
        """Remove all rows."""
        # rows by label and whether the set contains it, (K, 2); rows by size and the same, (K + 1, 2)
        self._of_class: Tensor | None = None
        self._of_size: Tensor | None = None

    @array_function
    def update(
        self,
        sets: ArrayLike,
        labels: ArrayLike,
        *,
        mask: ArrayLike | None = None,
        ignore_index: int = -100,
        class_dim: int = -1,
    ) -> Self:
        """Add rows.

        Args:
            sets: (..., K) bool, which classes the set of each row contains.
            labels: (...) integers in [0, K).
            mask: (...) bool, True for rows to include. Default: all rows.
            ignore_index: rows with this label are left out.
            class_dim: axis of the classes in `sets`.

        Returns:
            self.

        Raises:
            ValueError: if shapes differ, a label is out of range, or the number of classes differs from before. The
                accumulator then stays unchanged.
            TypeError: if sets or mask are not bool, or labels not integers.
        """
        moved = _classes_last(sets, class_dim)
        shape, num_classes = tuple(moved.shape[:-1]), moved.shape[-1]
        check_ignore_index(ignore_index)
        check_mask(mask, shape)
        options: dict[str, Any] = {"num_classes": num_classes, "shape": shape, "ignore_index": ignore_index}
        whole, left_out = read_labels("labels", labels, mask=mask, **options)
        rows, flat = moved.reshape(-1, num_classes), whole.to(moved.device).reshape(-1)
        if left_out is not None:
            kept = ~left_out.to(moved.device).reshape(-1)
            rows, flat = rows[kept], flat[kept]
        covered = rows.gather(1, flat[:, None])[:, 0].long()
        of_class = (2 * flat + covered).bincount(minlength=2 * num_classes).reshape(-1, 2)
        of_size = (2 * rows.sum(1) + covered).bincount(minlength=2 * num_classes + 2).reshape(-1, 2)
        self._add(of_class, of_size)
        return self

    def merge(self, other: "SetCoverage") -> Self:
        """Add the rows of another accumulator with the same settings; the other stays unchanged.

        Raises:
            ValueError: if settings or numbers of classes differ.
            TypeError: if `other` is not a SetCoverage.
        """
        if not isinstance(other, SetCoverage):
            raise fail_type("other", "a SetCoverage", type(other).__name__, "merge accumulators of one class")
        if repr(other) != repr(self):
            raise fail("other", f"the settings {self!r}", repr(other), "merge accumulators of equal settings")
        if other._of_class is not None and other._of_size is not None:
            self._add(other._of_class, other._of_size)
        return self

    def compute(self) -> SetQuality:
        """Return the numbers of all rows so far.

        Raises:
            ValueError: if there are no rows.
        """
        if self._of_class is None or self._of_size is None or self.count == 0:
            raise nothing_left("SetCoverage")
        return _quality(self._of_class, self._of_size, self.alpha, 1 - self.confidence)

    @property
    def count(self) -> int:
        """The number of rows so far, without rows that were left out."""
        return 0 if self._of_class is None else int(self._of_class.sum())

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state as int64 tensors; empty before the first update."""
        if self._of_class is None or self._of_size is None:
            return {}
        return {"of_class": self._of_class.clone(), "of_size": self._of_size.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the state by one from :meth:`state_dict`.

        Raises:
            ValueError: if it is not the state of a SetCoverage. The accumulator then stays unchanged.
        """
        arrays = dict(state)
        if not arrays:
            self.reset()
            return
        shapes = {name: tuple(array.shape) for name, array in arrays.items() if array.dtype == torch.int64}
        size = shapes.get("of_class", (0, 2))[0]
        if shapes != {"of_class": (size, 2), "of_size": (size + 1, 2)} or len(arrays) != 2:
            required = "int64 tensors of_class (K, 2) and of_size (K + 1, 2)"
            got = {name: (tuple(array.shape), array.dtype) for name, array in arrays.items()}
            raise fail("state", required, got, "load the result of state_dict()")
        self._of_class, self._of_size = arrays["of_class"].clone(), arrays["of_size"].clone()

    def __repr__(self) -> str:
        return f"SetCoverage(alpha={self.alpha!r}, confidence={self.confidence!r})"

    def _add(self, of_class: Tensor, of_size: Tensor) -> None:
        if self._of_class is None or self._of_size is None:
            self._of_class, self._of_size = of_class.clone(), of_size.clone()
            return
        if self._of_class.shape != of_class.shape:
            remedy = "use another accumulator for other classes"
            raise fail("sets", f"{len(self._of_class)} classes, as before", len(of_class), remedy)
        self._of_class = self._of_class + of_class.to(self._of_class.device)
        self._of_size = self._of_size + of_size.to(self._of_size.device)


@array_function
def set_coverage(
    sets: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: float,
    confidence: float = 0.95,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
) -> SetQuality:
    """Coverage and size of prediction sets, by size and by class, with intervals.

    coverage  = mean_i 1[label_i in set_i]
    mean_size = mean_i |set_i|
    class_gap = mean_k |coverage of the rows with label k - (1 - alpha)|        # Ding et al. 2023

    Args:
        sets: (..., K) bool, which classes the set of each row contains, such as from
            :meth:`softtargets.calibration.LAC.predict_sets`.
        labels: (...) integers in [0, K), of rows that were not used to fit the sets.
        alpha: share of sets that may miss the label, in (0, 1).
        confidence: confidence of the intervals, in (0, 1).
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `sets`.

    Returns:
        SetQuality.

    Raises:
        ValueError: if shapes differ, a label is out of range (first bad row named), alpha or confidence is not in (0,
            1), or no row is left.
        TypeError: if sets or mask are not bool, or labels not integers.

    Special cases:
        sets with all classes have coverage 1 and mean size K; empty sets have coverage 0.

    Notes:
        The intervals count the randomness of these rows alone: they are about one fitted predictor. The coverage of
        another one, from other calibration rows, varies too: see :func:`softtargets.calibration.coverage_range`.

    Limitations:
        `stratified_coverage` and `worst_class` are the lowest of several numbers, so that few rows make them too low.

    Complexity:
        O(N K) time, O(K) memory.

    Aliases:
        coverage_rate; average_size; CovGap; SSCV; size-stratified coverage; classification_coverage_score;
        classification_mean_width_score

    Example:
        >>> sets = torch.tensor([[True, False], [True, True], [False, True], [False, False]])
        >>> found = set_coverage(sets, torch.tensor([0, 1, 0, 1]), alpha=0.1)
        >>> float(found.coverage), float(found.mean_size), found.class_coverage.tolist()
        (0.5, 1.0, [0.5, 0.5])
    """
    counted = SetCoverage(alpha=alpha, confidence=confidence)
    return counted.update(sets, labels, mask=mask, ignore_index=ignore_index, class_dim=class_dim).compute()


def _classes_last(sets: object, class_dim: int) -> Tensor:
    required, remedy = "a bool tensor or array of shape (..., K)", "pass the result of predict_sets"
    if not isinstance(sets, Tensor) or sets.dtype != torch.bool:
        got = f"dtype {sets.dtype}" if isinstance(sets, Tensor) else type(sets).__name__
        raise fail_type("sets", required, got, remedy)
    if sets.ndim == 0:
        raise fail("sets", required, "shape ()", remedy)
    check_class_dim("sets", sets, class_dim)
    moved = sets.movedim(class_dim, -1)
    if moved.shape[-1] < 2:
        raise fail("sets", "shape (..., K) with K >= 2", tuple(sets.shape), remedy)
    return moved


def _quality(of_class: Tensor, of_size: Tensor, alpha: float, level: float) -> SetQuality:
    """Return the numbers from the counts of rows by class, (K, 2), and by size, (K + 1, 2)."""
    size_rows, class_rows = of_size.sum(1), of_class.sum(1)
    rows, covered = int(size_rows.sum()), int(of_size[:, 1].sum())
    sizes = torch.arange(len(size_rows), dtype=torch.float64, device=of_size.device)
    mean = (sizes * size_rows).sum() / rows
    spread = ((sizes - mean).square() * size_rows).sum() / max(1, rows - 1)
    half = NormalDist().inv_cdf(1 - level / 2) * (spread / rows).sqrt()
    strata = torch.bucketize(sizes, sizes.new_tensor(STRATA))
    of_strata = of_size.new_zeros(len(STRATA) + 1, 2).index_add(0, strata, of_size)
    size_coverage, class_coverage, by_stratum = (_shares(counts) for counts in (of_size, of_class, of_strata))
    known = class_coverage[~class_coverage.isnan()]
    lowest = class_coverage == known.amin()
    return SetQuality(
        rows=size_rows.sum(),
        coverage=mean.new_tensor(covered / rows),
        coverage_interval=mean.new_tensor(wilson(covered, rows, level)),
        mean_size=mean,
        size_interval=torch.stack([mean - half, mean + half]),
        empty=size_rows[0].double() / rows,
        size_rows=size_rows,
        size_coverage=size_coverage,
        stratified_coverage=by_stratum.nan_to_num(math.inf).amin(),
        class_rows=class_rows,
        class_coverage=class_coverage,
        class_gap=(known - (1 - alpha)).abs().mean(),
        worst_class=(class_rows * lowest).argmax(),
    )


def _shares(counts: Tensor) -> Tensor:
    """Return the share of covered rows, (...,) float64, NaN where there are none."""
    return counts[..., 1].double() / counts.sum(-1)
