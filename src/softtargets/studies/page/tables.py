"""An output as a table: the numbers of the paper beside those of the runs, with the verdicts based on them."""

from collections import Counter
from dataclasses import dataclass
from itertools import product

from softtargets.report import numbers
from softtargets.studies import labels
from softtargets.studies.arms import ZERO
from softtargets.studies.expand import cell, term_cells
from softtargets.studies.layout import AXES, Place, axis_label, axis_phrase, axis_title, axis_values
from softtargets.studies.records import CellKey, Reported, Verdict, VerdictName
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Axis, Claim, Output

# From _WIDE columns on, deviations are printed below the means. From _DENSE columns on, tables with names of data sets
# are set smaller and without verdicts, which are also listed below the table.
_WIDE, _DENSE = 7, 10
_ROW_ORDER: tuple[Axis, ...] = ("level", "noise", "arm", "metric")
_COLUMN_ORDER: tuple[Axis, ...] = ("arm", "metric", "noise", "level")


@dataclass(frozen=True)
class Printed:
    """A number of the paper: text, sd and n, value, and its data set or model (empty if all are the same)."""

    text: str
    more: str
    value: float
    owner: str


@dataclass(frozen=True)
class Cell:
    """A cell of the table: the numbers of the paper, ours, and the mark of a note on missing runs."""

    reported: tuple[Printed, ...]
    mean: str
    spread: str
    n: int
    value: float | None
    note: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Row:
    label: str
    cells: tuple[Cell, ...]
    verdicts: tuple[Verdict, ...]

    def tally(self) -> list[tuple[VerdictName, list[Verdict]]]:
        """Return the verdicts of the row by name."""
        by_name: dict[VerdictName, list[Verdict]] = {}
        for verdict in self.verdicts:
            by_name.setdefault(verdict.name, []).append(verdict)
        return list(by_name.items())


@dataclass(frozen=True)
class Group:
    """Rows with the same values on the axes that are neither rows nor columns."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """A table ready to print.

    Args:
        corner: name of the row axis.
        columns: labels of the columns.
        groups: the rows in groups; a single group has no title.
        fixed: the axes with a single value, in words.
        sources: sources, data sets and models of the paper's numbers.
        notes: mark and text of the notes on missing runs.
        paired: for each column, whether it contains numbers of the paper.
        named: whether the paper's numbers have the names of their data sets.
        judged: whether any row has verdicts.
    """

    corner: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    fixed: str
    sources: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]
    paired: tuple[bool, ...]
    named: bool
    judged: bool

    @property
    def has_reported(self) -> bool:
        """Whether there are any numbers of the paper."""
        return any(self.paired)

    @property
    def width(self) -> int:
        """Number of columns with numbers, the paper's and ours."""
        return len(self.columns) + sum(self.paired)

    @property
    def dense(self) -> bool:
        """Whether the table is set smaller, without a column of verdicts, because it is very wide."""
        return self.width >= _DENSE and self.named

    @property
    def has_verdicts(self) -> bool:
        """Whether the table has a column of verdicts."""
        return self.judged and not self.dense

    @property
    def tight(self) -> bool:
        """Whether deviations are printed below the means because the table is wide."""
        return self.width + 2 * self.has_verdicts >= _WIDE


def lay_out(results: StudyResults, name: str) -> Table | None:
    """Lay out an output of the study; None if it has no metrics to show."""
    study, output = results.study, results.study.outputs[name]
    values = axis_values(study, output, results.scale)
    # other metrics are in the table of the figure
    if not values["metric"] or not results.shown[name].per_run:
        return None
    rows, columns = choose_axes(output, {axis: len(values[axis]) for axis in AXES})
    rest: list[Axis] = [axis for axis in AXES if axis not in (rows, columns)]
    grouping: list[Axis] = [axis for axis in rest if len(values[axis]) > 1]
    printed = [r for r in results.reported if r.output == name]
    builder = _Builder(results, name, _short_owners(printed))
    groups = []
    for combination in product(*(values[axis] for axis in rest)):
        fixed = dict(zip(rest, combination, strict=True))
        title = " · ".join(axis_phrase(study, axis, fixed[axis]) for axis in grouping)
        lines = [
            (axis_label(study, rows, row), [Place(**fixed, **{rows: row, columns: value}) for value in values[columns]])
            for row in values[rows]
        ]
        groups.append((title, lines))
    reach = [{builder.spot(place) for place in line} for _, lines in groups for _, line in lines]
    built = tuple(
        Group(title, tuple(builder.row(label, line, reach) for label, line in lines)) for title, lines in groups
    )
    every = [row for group in built for row in group.rows]
    paired = tuple(any(row.cells[i].reported for row in every) for i in range(len(values[columns])))
    single: list[Axis] = [axis for axis in rest if len(values[axis]) == 1]
    return Table(
        corner=axis_title(study, rows),
        columns=tuple(axis_phrase(study, columns, value) for value in values[columns]),
        groups=built,
        fixed=" · ".join(axis_phrase(study, axis, values[axis][0]) for axis in reversed(single) if _says(axis, values)),
        sources=tuple(dict.fromkeys(f"{_owner(r)} ({r.source})" if r.source else _owner(r) for r in printed)),
        notes=tuple((mark, note) for note, mark in builder.marks.items()),
        paired=paired,
        named=any(builder.owners.values()),
        judged=any(row.verdicts for row in every),
    )


def choose_axes(output: Output, sizes: dict[Axis, int]) -> tuple[Axis, Axis]:
    """Return the row axis and the column axis: those given by the study, or else the first that vary."""

    def first(order: tuple[Axis, ...], taken: Axis | None) -> Axis:
        free: list[Axis] = [axis for axis in order if axis != taken]
        varying: list[Axis] = [axis for axis in free if sizes[axis] > 1]
        return (varying or free)[0]

    rows = output.rows or first(_ROW_ORDER, output.columns)
    return rows, output.columns or first(_COLUMN_ORDER, rows)


def _says(axis: Axis, values: dict[Axis, tuple]) -> bool:
    # omitted: level 0 of an output without levels, and noise 0 of an output without noise
    return axis in ("arm", "metric") or values[axis] != (ZERO,)


def _owner(reported: Reported) -> str:
    return " · ".join(part for part in (reported.dataset, reported.model) if part)


def _short_owners(printed: list[Reported]) -> dict[str, str]:
    """Return the short name of each owner: empty if there is one, data set or model if that is unique."""
    owners = {_owner(r): r for r in printed}
    if len(owners) == 1:
        return dict.fromkeys(owners, "")
    for names in ({o: r.dataset for o, r in owners.items()}, {o: r.model for o, r in owners.items()}):
        if len(set(names.values())) == len(owners):
            return names
    return {owner: owner for owner in owners}


class _Builder:
    """Builds cells and rows, and marks the notes in the order of their appearance."""

    def __init__(self, results: StudyResults, name: str, owners: dict[str, str]):
        self.results = results
        self.name = name
        self.owners = owners
        self.unavailable = results.study.outputs[name].unavailable is not None
        self.marks: dict[str, str] = {}
        self.verdicts = [v for v in results.verdicts if v.claim.output == name and v.claim.terms]

    def spot(self, place: Place) -> tuple[CellKey, str]:
        return cell(self.results.study, place.arm, place.level, place.noise), place.metric

    def row(self, label: str, line: list[Place], reach: list[set[tuple[CellKey, str]]]) -> Row:
        """Build a row with the verdicts that are based on it, except those that are based on all rows."""
        here = {self.spot(place) for place in line}
        verdicts = []
        for verdict in self.verdicts:
            spots = focus(self.results, verdict.claim)
            if spots & here and (len(reach) == 1 or not all(spots & other for other in reach)):
                verdicts.append(verdict)
        return Row(label, tuple(self.cell(place) for place in line), tuple(verdicts))

    def cell(self, place: Place) -> Cell:
        key, metric = self.spot(place)
        unit = labels.measure(metric).unit
        reported = tuple(self._printed(r, unit) for r in self.results.find_reported(self.name, key, metric))
        if self.unavailable:
            # runs of this cell in other outputs are not runs of this output
            return Cell(reported, numbers.NOTHING, "", 0, None)
        summary = self.results.summary(key, metric)
        note = what_is_missing(self.results, key, metric)
        mark = self.marks.setdefault(note, _letter(len(self.marks))) if note else ""
        if summary is None:
            return Cell(reported, numbers.NOTHING, "", 0, None, note, mark)
        mean, spread = numbers.number(summary.mean, unit), labels.spread(summary, unit)
        return Cell(reported, mean, spread, summary.n, summary.mean, note, mark)

    def _printed(self, reported: Reported, unit: str) -> Printed:
        more = [] if reported.sd is None else [f"± {numbers.number(reported.sd, unit)}"]
        more += [] if reported.n is None else [f"({reported.n})"]
        text = numbers.number(reported.mean, unit)
        return Printed(text, " ".join(more), reported.mean, self.owners[_owner(reported)])


def focus(results: StudyResults, claim: Claim) -> set[tuple[CellKey, str]]:
    """Return the cells of a claim without the baseline with which it compares them."""
    spots = {(key, term.metric) for term in claim.terms for key in term_cells(results.study, term, results.scale)}
    treated = {spot for spot in spots if spot[0].arm != results.study.baseline}
    return treated or spots


def what_is_missing(results: StudyResults, key: CellKey, metric: str) -> str:
    """Return how many runs of a cell are complete, and why others are not; empty text if all are complete."""
    records = results.records(key)
    if not records:
        return "no runs recorded"
    complete = [record for record in records if record.status == "complete"]
    parts = [f"{len(complete)} of {len(records)} complete"]
    reasons = Counter(record.reason or "no reason recorded" for record in records if record.status == "failed")
    parts += [f"{n} failed: {reason}" for reason, n in reasons.items()]
    missing = sum(record.status == "missing" for record in records)
    parts += [f"{missing} missing"] if missing else []
    lacking = sum(metric not in record.metrics for record in complete)
    parts += [f"{lacking} without {metric}"] if lacking else []
    return "; ".join(parts) if len(parts) > 1 else ""


def _letter(index: int) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    prefix = "" if index < len(alphabet) else _letter(index // len(alphabet) - 1)
    return prefix + alphabet[index % len(alphabet)]
