"""The page of a comparison and its files."""

from dataclasses import dataclass
from pathlib import Path

from softtargets.compare.figures import draw_methods
from softtargets.compare.files import SPECIFICATION, as_json, specification
from softtargets.compare.measures import MEASURES
from softtargets.compare.results import ComparedMethodResult, CompareResults
from softtargets.compare.verdict import MeasuredDifference
from softtargets.report import numbers
from softtargets.report.frame import put, render

# Icon and colour of a status.
TONES = {
    "baseline": "not-run",
    "recommended": "reproduced",
    "better": "reproduced",
    "undecided": "inconclusive",
    "worse": "contradicted",
}
# Columns of the main table.
SHOWN = ("accuracy", "nll_scaled", "ece_scaled", "aurc")


@dataclass(frozen=True)
class MeasureCell:
    """A value, and below it a difference with its interval, as text; empty text without one."""

    label: str
    value: float
    text: str
    difference: str = ""
    span: str = ""


def write_page(results: CompareResults, folder: Path) -> Path:
    """Write the page of a comparison and its files into `folder`, and return the path of the page.

    All files are renamed into place, so that none is ever incomplete.
    """
    return put(page_files(results), folder)


def page_files(results: CompareResults) -> dict[str, bytes]:
    """Return all files by name, the page last; equal results give equal bytes."""
    return {
        SPECIFICATION: specification(results),
        "compare.json": as_json(results),
        "index.html": _page(results).encode(),
    }


def _page(results: CompareResults) -> str:
    drawing = draw_methods(results)
    context = {
        "results": results,
        "tone": "reproduced" if results.advice.method != results.baseline.name else "inconclusive",
        "rows": [(method, TONES[method.status], _cells(method)) for method in results.methods],
        "heads": [_head(name) for name in SHOWN],
        "temperatures": [(method, _temperature_cells(method)) for method in results.methods],
        "tried": [method for method in results.methods if method.tried],
        "file": SPECIFICATION,
        "drawing": drawing,
        "specs": drawing.page_specs("Accuracy against ECE."),
        "image": drawing.still(),
    }
    filters = {"duration": numbers.duration, "first_upper": lambda text: text[:1].upper() + text[1:]}
    return render(Path(__file__).parent, context, charts=True, filters=filters)


def _head(name: str) -> str:
    measure = MEASURES[name]
    unit = numbers.value_unit(measure.unit)
    label = measure.label if measure.label[:3].isupper() else measure.label.capitalize()
    return f"{label}, {unit}" if unit else label


def _cells(method: ComparedMethodResult) -> list[MeasureCell]:
    return [_cell(_head(name), name, method.values[name], method.verdict.differences.get(name)) for name in SHOWN]


def _temperature_cells(method: ComparedMethodResult) -> list[MeasureCell]:
    found = method.verdict.temperature
    cells = []
    for name in ("nll", "ece"):
        cells.append(_cell(f"{MEASURES[name].label} as trained", name, method.values[name], None))
        after = method.values[f"{name}_scaled"]
        cells.append(_cell(f"{MEASURES[name].label} after", name, after, found[name]))
    return cells


def _cell(label: str, name: str, value: float, found: MeasuredDifference | None) -> MeasureCell:
    unit = MEASURES[name].unit
    text = numbers.number(value, unit)
    if found is None:
        return MeasureCell(label, value, text)
    low, high = numbers.ends(found.low, found.high, unit, signed=True)
    return MeasureCell(label, value, text, numbers.number(found.estimate, unit, signed=True), f"({low} to {high})")
