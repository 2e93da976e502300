"""The page of an evaluation and its files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from softtargets.evaluate.calibrate import LEAST_OF_RANGE
from softtargets.evaluate.catalog import METRICS
from softtargets.evaluate.cells import Footnotes, MetricRow, cell_of, changed
from softtargets.evaluate.confusion import MOST_SHOWN
from softtargets.evaluate.curves import ReliabilityBin
from softtargets.evaluate.figures import BINS, draw_confidences, draw_reliability, draw_risk
from softtargets.evaluate.files import as_json, classes_csv, confusion_csv, tokens_csv
from softtargets.evaluate.results import ClassEvaluation, EvaluatedModel, EvaluationResults
from softtargets.evaluate.sets.figures import draw_sizes
from softtargets.evaluate.sets.page import shown_sets
from softtargets.evaluate.text import temperatures_of
from softtargets.evaluate.tokens.page import shown_tokens
from softtargets.evaluate.values import BETTER, WORSE, IntervalEnds, MetricDifference, MetricValue
from softtargets.evaluate.votes.page import entropy_cells, shown_votes, votes_csv
from softtargets.report import numbers
from softtargets.report.drawing import Drawing
from softtargets.report.frame import put, render

# The page shows at most this many classes, worst first; the CSV file has all.
_MOST_CLASSES = 20
# At most this many significantly worse classes are named above the table.
_MOST_NAMED = 8


class ChartFigure(NamedTuple):
    """A drawing for the page, and an image for readers without JavaScript; see :meth:`Drawing.still`."""

    anchor: str
    title: str
    drawing: Drawing
    specs: list[dict[str, Any]]
    still: str


class CalibrationSection(NamedTuple):
    """The calibration of a model: figures, their bins, and metrics before and after temperature scaling."""

    model: EvaluatedModel
    figures: tuple[ChartFigure, ...]
    bins: tuple[tuple[str, tuple[ReliabilityBin, ...]], ...]
    temperatures: str
    rows: tuple[MetricRow, ...]


def write_page(results: EvaluationResults, folder: Path) -> Path:
    """Write the page of an evaluation and its files into `folder`, and return the path of the page.

    All files are built in memory and then renamed into place, so that none is ever incomplete.
    """
    return put(build(results), folder)


def build(results: EvaluationResults) -> dict[str, bytes]:
    """Return all files by name, the page last; equal results give equal bytes."""
    of_tokens = {} if results.main.tokens is None else {"tokens.csv": tokens_csv(results)}
    of_votes = {} if results.vote_rows is None else {"votes.csv": votes_csv(results)}
    return {
        "classes.csv": classes_csv(results),
        **({} if results.main.confusion is None else {"confusion.csv": confusion_csv(results)}),
        **of_tokens,
        **of_votes,
        "evaluation.json": as_json(results),
        "index.html": _page(results).encode(),
    }


def _page(results: EvaluationResults) -> str:
    metric_notes, difference_notes, change_notes, token_notes, vote_notes = (Footnotes() for _ in range(5))
    votes = results.main.votes
    groups = _metric_groups(results, metric_notes)
    worst = sorted(enumerate(results.main.classes), key=_upper_recall if results.main.tokens is None else _frequency)
    below = [(index, row) for index, row in worst if row.significantly_worse]
    context = {
        "results": results,
        "main": results.main,
        "interval_words": f"{100 * results.confidence:g} % interval",
        "metric_groups": groups,
        "metric_notes": metric_notes.marks,
        "differences": [_compared(results, other, difference_notes) for other in results.others],
        "difference_notes": difference_notes.marks,
        "calibration": [_shown(results, place, change_notes) for place in range(len(results.models))],
        "change_notes": change_notes.marks,
        "confidences": _figure("confidences", "Confidence of right and wrong rows", draw_confidences(results)),
        "risk": _figure("risk", "Error among the rows kept", draw_risk(results)),
        "classes": worst[:_MOST_CLASSES],
        "confusion": results.main.confusion,
        "whole_matrix": results.num_classes <= MOST_SHOWN,
        "below": below[:_MOST_NAMED],
        "more_below": len(below) - len(below[:_MOST_NAMED]),
        "sketched": any(cell and cell.exact for rows in groups.values() for row in rows for cell in row.cells),
        "tested": sum(difference.p is not None for difference in results.differences),
        "tones": {BETTER: "reproduced", WORSE: "contradicted"},
        "dots": BINS,
        "tokens": [shown_tokens(results, place, _figure, token_notes) for place in range(len(results.models))],
        "token_notes": token_notes.marks,
        "least_of_range": LEAST_OF_RANGE,
        "votes": [shown_votes(model, vote_notes) for model in results.models],
        "vote_notes": vote_notes.marks,
        "sets": [shown_sets(results, model) for model in results.models],
        "set_sizes": _figure("sizes", "Sizes of prediction sets", draw_sizes(results)) if results.main.sets else None,
        "entropies": entropy_cells(votes, results.num_classes) if votes else (),
    }
    # needed by macros in the same file as the icons, not by this page
    filters = {"percent": _percent, "span": _span, "p_value": _p_value, "tied": _tied, "named": str}
    return render(Path(__file__).parent, context, charts=True, filters=filters)


def _percent(value: float | None, decimals: int = 1) -> str:
    return numbers.NOTHING if value is None else _tied(f"{100 * value:.{decimals}f} %")


def _span(interval: IntervalEnds | None) -> str:
    return "" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def _tied(text: str) -> str:
    """Return text with non-breaking spaces before percent signs."""
    return text.replace(" %", "\u00a0%")


def _p_value(difference: MetricDifference) -> str:
    """Return the adjusted p-value; "<" before an upper bound."""
    text = numbers.p_value(difference.adjusted).removeprefix("p ").removeprefix("= ")
    return f"< {text}" if difference.at_floor and not text.startswith("<") else text


def _upper_recall(entry: tuple[int, ClassEvaluation]) -> tuple[float, int]:
    """Return the upper end of the interval of the recall, so that a class is not first only because it has few rows."""
    index, row = entry
    return (row.recall_interval.high if row.recall_interval else 1.0), index


def _frequency(entry: tuple[int, ClassEvaluation]) -> tuple[int, int]:
    """Return the number of rows with the label, negative, so that the most frequent token is first."""
    index, row = entry
    return -row.labels, index


def _figure(anchor: str, title: str, drawing: Drawing) -> ChartFigure:
    return ChartFigure(anchor, title, drawing, drawing.page_specs(f"{title}."), drawing.still())


def _metric_groups(results: EvaluationResults, notes: Footnotes) -> dict[str, list[MetricRow]]:
    groups: dict[str, list[MetricRow]] = {}
    for name, definition in METRICS.items():
        cells = tuple(cell_of(model.metric(name), notes) for model in results.models)
        if any(cells):
            row = MetricRow(definition.label, definition.describes, cells)
            groups.setdefault(definition.group, []).append(row)
    return groups


def _compared(results: EvaluationResults, other: EvaluatedModel, notes: Footnotes) -> dict[str, Any]:
    rows = [(one, changed(one, notes)) for one in results.differences if one.against == other.name]
    return {
        "name": other.name,
        "tables": [
            (title, [row for row in rows if row[0].scaled == scaled])
            for title, scaled in (("as given", False), ("after temperature scaling of both", True))
            if any(row[0].scaled == scaled for row in rows)
        ],
    }


def _shown(results: EvaluationResults, place: int, notes: Footnotes) -> CalibrationSection:
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
        return CalibrationSection(model, figures, tuple(bins), "", ())
    bins += [
        ("Equal width, after temperature scaling", scaled.reliability.width),
        ("Equal mass, after temperature scaling", scaled.reliability.mass),
    ]
    return CalibrationSection(
        model,
        figures,
        tuple(bins),
        temperatures_of(scaled.temperatures),
        tuple(_scaled_rows(model, scaled.metrics, notes)),
    )


def _scaled_rows(model: EvaluatedModel, after: Iterable[MetricValue], notes: Footnotes) -> Iterable[MetricRow]:
    """Yield for each metric its value before and after temperature scaling, and the change."""
    assert model.temperature is not None
    for metric in after:
        change = model.temperature.change(metric.name)
        cells = (
            cell_of(model.metric(metric.name), notes),
            cell_of(metric, notes),
            None if change is None else changed(change, notes),
        )
        yield MetricRow(metric.definition.label, "", cells)
