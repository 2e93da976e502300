"""The cells of the tables on the page, and the notes below a table."""

from typing import NamedTuple

from softtargets.evaluate.text import points_of, range_of, text_of
from softtargets.evaluate.values import MetricDifference, MetricValue
from softtargets.report import numbers

_MARKS = "abcdefghijklmnopqrstuvwxyz"


class MetricCell(NamedTuple):
    """A number in a table: value, text, interval, mark of its note, and error bound."""

    value: float | None
    text: str
    more: str
    mark: str = ""
    exact: str = ""


class MetricRow(NamedTuple):
    """A metric in a table: one cell for each column, None if the metric does not apply."""

    label: str
    describes: str
    cells: tuple[MetricCell | None, ...]


class Footnotes:
    """The notes below a table, in the order of its cells."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}

    def mark(self, note: str) -> str:
        """Return the mark of a note; empty text for an empty note."""
        if not note:
            return ""
        return self.marks.setdefault(note, _MARKS[len(self.marks) % len(_MARKS)])


def cell_of(metric: MetricValue | None, notes: Footnotes) -> MetricCell | None:
    """Return the cell of a metric; None if it was not computed."""
    if metric is None:
        return None
    unit = metric.definition.unit
    bound = numbers.number(metric.bound, unit)
    # omitted if it rounds to 0
    exact = f"error ≤ {bound}" if bound.strip("0.") else ""
    return MetricCell(
        metric.value, text_of(metric.value, unit), range_of(metric.interval, unit), notes.mark(metric.why), exact
    )


def changed(change: MetricValue | MetricDifference, notes: Footnotes) -> MetricCell:
    """Return the cell of a difference."""
    unit = change.definition.unit
    return MetricCell(
        change.value, points_of(change.value, unit), range_of(change.interval, unit), notes.mark(change.why)
    )
