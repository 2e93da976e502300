"""Results that show one output of a new kind, and what a drawing of it holds."""

from dataclasses import replace
from typing import Any

from softtargets.report.drawing import Drawing
from softtargets.studies.outputs.kind import OutputKind
from softtargets.studies.page import files
from softtargets.studies.results import StudyResults


def showing(results: StudyResults, data: OutputKind, **output: Any) -> StudyResults:
    """Return results whose only output is the former figure 2, changed, with the data of its kind."""
    changed = results.study.outputs["figure2"].changed(kind=data.kind, **output)
    study = results.study.changed(outputs={**results.study.outputs, "figure2": changed})
    return replace(results, study=study, outputs=("figure2",), verdicts=(), shown={"figure2": data})


def with_data(results: StudyResults, data: OutputKind) -> StudyResults:
    """Return the same results with other data of the output."""
    return replace(results, shown={"figure2": data})


def drawn(results: StudyResults) -> Drawing:
    """Return the drawing of figure 2."""
    drawing = files.draw(results, "figure2")
    assert drawing is not None
    return drawing


def layers(spec: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return each layer of a panel: its specification and the rows it draws."""
    return [(layer, spec["datasets"][layer.get("data", spec.get("data"))["name"]]) for layer in spec["layer"]]
