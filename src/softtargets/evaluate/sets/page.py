"""What the page shows of prediction sets."""

from typing import NamedTuple

from softtargets.evaluate.results import EvaluatedModel, EvaluationResults
from softtargets.evaluate.sets.results import SetEvaluation
from softtargets.evaluate.values import IntervalEnds
from softtargets.report import numbers

# The largest sizes of the rows of the table; the last row has all larger sets.
_SIZES = (0, 1, 2, 3, 4, 5, 10, 20, 50, 100)


class SetRow(NamedTuple):
    """The sets of one method in the table."""

    method: str
    threshold: str
    coverage: float
    coverage_range: IntervalEnds
    mean_size: float
    size_range: str
    empty: float
    stratified: float
    class_gap: float
    worst: str
    worst_coverage: float
    worst_rows: int
    worst_range: IntervalEnds


class SizeRow(NamedTuple):
    """Sets of some sizes: the number of them for each method."""

    sizes: str
    counts: tuple[int, ...]


class SetsSection(NamedTuple):
    """The prediction sets of one model."""

    model: EvaluatedModel
    sets: SetEvaluation
    rows: tuple[SetRow, ...]
    sizes: tuple[SizeRow, ...]


def shown_sets(results: EvaluationResults, model: EvaluatedModel) -> SetsSection | None:
    """Return what the page shows of the prediction sets of a model; None if there are none."""
    sets = model.sets
    if sets is None:
        return None
    rows = tuple(
        SetRow(
            one.method,
            numbers.NOTHING if one.threshold is None else f"{one.threshold:.4g}",
            one.coverage,
            one.coverage_interval,
            one.mean_size,
            _sizes(one.size_interval),
            one.empty,
            one.stratified_coverage,
            one.class_gap,
            results.class_name(one.worst_class),
            one.worst_coverage,
            one.worst_rows,
            one.worst_interval,
        )
        for one in sets.methods
    )
    return SetsSection(model, sets, rows, size_rows(sets))


def size_rows(sets: SetEvaluation) -> tuple[SizeRow, ...]:
    """Return the number of sets by size, without sizes that no method has."""
    largest = len(sets.methods[0].sizes) - 1
    ends = [end for end in _SIZES if end < largest] + [largest]
    found = []
    for low, high in zip([0, *(end + 1 for end in ends)], ends, strict=False):
        counts = tuple(sum(one.sizes[low : high + 1]) for one in sets.methods)
        if any(counts):
            found.append(SizeRow(f"{low:,}" if low == high else f"{low:,} to {high:,}", counts))
    return tuple(found)


def _sizes(interval: IntervalEnds) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}"
