"""The page of an evaluation and the files beside it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from softtargets.evaluate.figures import BINS, draw_confidences, draw_reliability, draw_risk
from softtargets.evaluate.files import as_json, classes_csv
from softtargets.evaluate.findings import (
    BETTER,
    RULE,
    WORSE,
    findings,
    points_of,
    range_of,
    standing,
    temperatures_of,
    text_of,
)
from softtargets.evaluate.measures import MEASURES
from softtargets.evaluate.results import Bin, ClassRow, EvaluationResults, Interval, Metric, Model
from softtargets.report import numbers
from softtargets.report.drawing import Drawing
from softtargets.report.frame import data_uri, put, render

# Of more classes than this the page shows as many, the worst; the file holds all.
_MOST_CLASSES = 20
# Of the classes that are surely below, so many are named above their table.
_MOST_NAMED = 8
_MARKS = "abcdefghijklmnopqrstuvwxyz"


class Cell(NamedTuple):
    """A number in a table: its value, what is shown of it, its interval, the mark of its note and how exact it is."""

    value: float | None
    text: str
    more: str
    mark: str = ""
    exact: str = ""


class Row(NamedTuple):
    """A metric in a table: a cell for each column, None where it does not apply."""

    label: str
    describes: str
    cells: tuple[Cell | None, ...]


class Figure(NamedTuple):
    """A drawing as the page holds it, with the picture for readers without scripts."""

    anchor: str
    title: str
    drawing: Drawing
    specs: list[dict[str, Any]]
    still: str


class Shown(NamedTuple):
    """A model's calibration: its figures, what is behind them and what a temperature does to its metrics."""

    model: Model
    figures: tuple[Figure, ...]
    bins: tuple[tuple[str, tuple[Bin, ...]], ...]
    temperatures: str
    rows: tuple[Row, ...]


class Notes:
    """The notes below a table, marked in the order in which its cells need them."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}

    def mark(self, note: str) -> str:
        """Return the mark of a note; nothing where there is none to make."""
        if not note:
            return ""
        return self.marks.setdefault(note, _MARKS[len(self.marks) % len(_MARKS)])


def write(results: EvaluationResults, folder: Path) -> Path:
    """Write the page of an evaluation and its files into `folder`, and return the page.

    Everything is made in memory first: an interruption leaves every file either old or new.
    """
    return put(build(results), folder)


def build(results: EvaluationResults) -> dict[str, bytes]:
    """Return every file by its name, the page last; equal results give equal bytes."""
    return {
        "classes.csv": classes_csv(results),
        "evaluation.json": as_json(results),
        "index.html": _page(results).encode(),
    }


def _page(results: EvaluationResults) -> str:
    metric_notes, difference_notes, change_notes = Notes(), Notes(), Notes()
    groups = _metric_groups(results, metric_notes)
    worst = sorted(enumerate(results.main.classes), key=_promise)
    below = [(index, row) for index, row in worst if row.surely_below]
    context = {
        "results": results,
        "main": results.main,
        "findings": findings(results),
        "rule": RULE,
        "interval_words": f"{100 * results.confidence:g} % interval",
        "metric_groups": groups,
        "metric_notes": metric_notes.marks,
        "differences": [_compared(results, other, difference_notes) for other in results.others],
        "difference_notes": difference_notes.marks,
        "calibration": [_shown(results, place, change_notes) for place in range(len(results.models))],
        "change_notes": change_notes.marks,
        "confidences": _figure("confidences", "How confident right and wrong rows are", draw_confidences(results)),
        "risk": _figure("risk", "Wrong among the rows kept", draw_risk(results)),
        "classes": worst[:_MOST_CLASSES],
        "below": below[:_MOST_NAMED],
        "more_below": len(below) - len(below[:_MOST_NAMED]),
        "sketched": any(cell and cell.exact for rows in groups.values() for row in rows for cell in row.cells),
        "tested": sum(difference.p is not None for difference in results.differences),
        "tones": {BETTER: "reproduced", WORSE: "contradicted"},
        "dots": BINS,
    }
    # `named` is asked for by the macros that stand in one file with the icons, and is not used here
    filters = {"percent": _percent, "span": _span, "p_value": _p_value, "tied": _tied, "named": str}
    return render(Path(__file__).parent, context, charts=True, filters=filters)


def _percent(value: float | None, decimals: int = 1) -> str:
    return numbers.NOTHING if value is None else _tied(f"{100 * value:.{decimals}f} %")


def _span(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def _tied(text: str) -> str:
    """Return a text that no line ends between a number and its percent sign."""
    return text.replace(" %", "\u00a0%")


def _p_value(p: float) -> str:
    return numbers.p_value(p).removeprefix("p ").removeprefix("= ")


def _promise(entry: tuple[int, ClassRow]) -> tuple[float, int]:
    """Return how good a class may be at best: one with few examples is not surely among the worst."""
    index, row = entry
    return (row.recall_interval.high if row.recall_interval else 1.0), index


def _figure(anchor: str, title: str, drawing: Drawing) -> Figure:
    still = data_uri("image/svg+xml", drawing.svg().encode())
    return Figure(anchor, title, drawing, drawing.page_specs(f"{title}."), still)


def _cell(metric: Metric | None, notes: Notes) -> Cell | None:
    if metric is None:
        return None
    unit = metric.measure.unit
    bound = numbers.number(metric.bound, unit)
    # nothing is said of a bound that the digits shown do not tell from 0
    exact = f"exact to {bound}" if bound.strip("0.") else ""
    return Cell(
        metric.value, text_of(metric.value, unit), range_of(metric.interval, unit), notes.mark(metric.why), exact
    )


def _metric_groups(results: EvaluationResults, notes: Notes) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for name, measure in MEASURES.items():
        cells = tuple(_cell(model.metric(name), notes) for model in results.models)
        if any(cells):
            row = Row(measure.label, measure.describes.format(bins=results.bins), cells)
            groups.setdefault(measure.group, []).append(row)
    return groups


def _compared(results: EvaluationResults, other: Model, notes: Notes) -> dict[str, Any]:
    rows = []
    for difference in results.differences:
        if difference.against == other.name:
            unit = difference.measure.unit
            mark = notes.mark(difference.why)
            cell = Cell(difference.value, points_of(difference.value, unit), range_of(difference.interval, unit), mark)
            rows.append((difference, cell, standing(difference)))
    return {"name": other.name, "rows": rows}


def _shown(results: EvaluationResults, place: int, notes: Notes) -> Shown:
    model = results.models[place]
    scaled = model.temperature
    drawings = draw_reliability(results, model)
    titles = ("equal width", "equal mass") if scaled else ("equal width and equal mass",)
    figures = tuple(
        _figure(f"reliability-{place}-{i}", f"Reliability of {model.name}, bins of {title}", drawing)
        for i, (title, drawing) in enumerate(zip(titles, drawings, strict=True))
    )
    bins = [("Equal width", model.reliability.width), ("Equal mass", model.reliability.mass)]
    if not scaled:
        return Shown(model, figures, tuple(bins), "", ())
    bins += [
        ("Equal width, after temperature", scaled.reliability.width),
        ("Equal mass, after temperature", scaled.reliability.mass),
    ]
    return Shown(model, figures, tuple(bins), temperatures_of(model), tuple(_scaled_rows(model, scaled.metrics, notes)))


def _scaled_rows(model: Model, after: Iterable[Metric], notes: Notes) -> Iterable[Row]:
    """Return for each metric what it was, what it is after the temperature and what that changes."""
    assert model.temperature is not None
    for metric in after:
        change = model.temperature.change(metric.name)
        unit = metric.measure.unit
        changed = change and Cell(
            change.value, points_of(change.value, unit), range_of(change.interval, unit), notes.mark(change.why)
        )
        cells = _cell(model.metric(metric.name), notes), _cell(metric, notes), changed
        yield Row(metric.measure.label, "", cells)
