"""The result of an evaluation of prediction sets."""

from dataclasses import asdict, dataclass
from typing import Any

from softtargets.evaluate.values import IntervalEnds


@dataclass(frozen=True)
class MethodSets:
    """The prediction sets of one method.

    Args:
        method: name of the method.
        threshold: of the scores; None if it is infinite or each class has its own.
        coverage: share of sets that contain the label.
        coverage_interval: Wilson interval.
        mean_size: mean number of classes in a set.
        size_interval: normal interval.
        empty: share of empty sets.
        sizes: number of sets of each size from 0 to K.
        stratified_coverage: lowest coverage of the sets of 0 to 1, 2 to 3, 4 to 10, 11 to 100 and more classes.
        class_gap: mean over classes of |coverage - (1 - alpha)|.
        worst_class: class with the lowest coverage.
        worst_coverage: its coverage.
        worst_rows: number of rows with this label.
        worst_interval: Wilson interval of its coverage.
    """

    method: str
    threshold: float | None
    coverage: float
    coverage_interval: IntervalEnds
    mean_size: float
    size_interval: IntervalEnds
    empty: float
    sizes: tuple[int, ...]
    stratified_coverage: float
    class_gap: float
    worst_class: int
    worst_coverage: float
    worst_rows: int
    worst_interval: IntervalEnds


@dataclass(frozen=True)
class SetEvaluation:
    """The prediction sets of one model.

    Args:
        alpha: share of sets that may miss the label.
        calibration_rows: number of rows that determine the thresholds.
        rows: number of other rows, on which coverage and size are measured.
        file: file of the calibration rows; empty text if they are a random half of the rows.
        expected: range of the coverage over calibration sets and test sets, at 95 %; None with too few rows.
        methods: one for each method.
        notes: remarks.
    """

    alpha: float
    calibration_rows: int
    rows: int
    file: str
    expected: IntervalEnds | None
    methods: tuple[MethodSets, ...]
    notes: tuple[str, ...] = ()

    def method(self, name: str) -> MethodSets:
        """Return the sets of a method."""
        return next(one for one in self.methods if one.method == name)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return {**asdict(self), "methods": {one.method: asdict(one) for one in self.methods}}
