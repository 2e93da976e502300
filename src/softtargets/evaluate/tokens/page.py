"""The section of the page on positions and token frequencies."""

from collections.abc import Callable
from typing import Any, NamedTuple

from softtargets.evaluate.cells import Footnotes, MetricCell, MetricRow, cell_of, changed
from softtargets.evaluate.results import EvaluatedModel, EvaluationResults
from softtargets.evaluate.text import temperatures_of
from softtargets.evaluate.tokens.figures import draw_ranges
from softtargets.evaluate.tokens.ranges import Key
from softtargets.evaluate.tokens.results import TokenRange, TokenTable
from softtargets.report.drawing import Drawing

# (column, metric, whether it is that after temperature scaling)
_COLUMNS = (
    ("Accuracy", "accuracy", False),
    ("Perplexity", "perplexity", False),
    ("Confidence − accuracy", "overconfidence", False),
    ("ECE", "ece", False),
    ("ECE, after", "ece", True),
)
_HEADS: dict[Key, str] = {
    "position": "Positions",
    "predicted": "Occurrences of the predicted token",
    "label": "Occurrences of the label",
}


class RangeRow(NamedTuple):
    """A range in a table, with one cell for each column."""

    range: TokenRange
    cells: tuple[MetricCell | None, ...]


class TablePart(NamedTuple):
    """A table of the section with its figure."""

    table: TokenTable
    head: str
    caption: str
    figure: Any
    labels: tuple[str, ...]
    rows: tuple[RangeRow, ...]
    scaled: bool


class TokenSection(NamedTuple):
    """The section of one model: its tables, temperatures by position, and their effect."""

    model: EvaluatedModel
    parts: tuple[TablePart, ...]
    positions: tuple[tuple[str, str], ...]
    changes: tuple[MetricRow, ...]


def shown_tokens(
    results: EvaluationResults, place: int, figure: Callable[[str, str, Drawing], Any], notes: Footnotes
) -> TokenSection | None:
    """Return the section of a model; None for single examples.

    Args:
        results: the evaluation.
        place: index of the model.
        figure: returns a figure for the page from its anchor, title and drawing.
        notes: notes below the section.
    """
    model = results.models[place]
    if model.tokens is None:
        return None
    parts = []
    for table in model.tokens.tables:
        columns = [column for column in _COLUMNS if model.temperature or not column[2]]
        head = _HEADS[table.key]
        drawn = figure(f"tokens-{place}-{table.key}", f"{table.title}, {model.name}", draw_ranges(results, table, head))
        rows = tuple(
            RangeRow(
                one, tuple(cell_of(one.after(name) if after else one.metric(name), notes) for _, name, after in columns)
            )
            for one in table.ranges
        )
        labels = tuple(label for label, _, _ in columns)
        parts.append(TablePart(table, head, _caption(model, table.key), drawn, labels, rows, bool(model.temperature)))
    found = model.tokens.by_position
    positions = () if found is None else tuple((one.text, temperatures_of(one.temperatures)) for one in found.ranges)
    return TokenSection(model, tuple(parts), positions, _changes(model, notes))


def _caption(model: EvaluatedModel, key: Key) -> str:
    assert model.tokens is not None
    counted = f"Occurrences are counted in {model.tokens.counted_in}."
    return {
        "position": "Positions are counted from 0, as in the arrays.",
        "predicted": f"A calibrated model has a confidence equal to its accuracy in every range. {counted}",
        "label": "The label is the outcome, so a gap in a range does not mean that the model is miscalibrated: "
        f"see above. {counted}",
    }[key]


def _changes(model: EvaluatedModel, notes: Footnotes) -> tuple[MetricRow, ...]:
    """Return the metrics with one temperature, with temperatures by position, and the change."""
    assert model.tokens is not None
    found, scaled = model.tokens.by_position, model.temperature
    if found is None or scaled is None:
        return ()
    rows = []
    for metric in found.metrics:
        change = found.change(metric.name)
        cells = (
            cell_of(scaled.metric(metric.name), notes),
            cell_of(metric, notes),
            None if change is None else changed(change, notes),
        )
        if metric.name != "accuracy":
            rows.append(MetricRow(metric.definition.label, "", cells))
    return tuple(rows)
