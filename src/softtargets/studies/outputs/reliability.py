"""Reliability diagrams of a study: accuracy against confidence, before and after temperature scaling."""

from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any, Self

import altair as alt
import torch
from torch import Tensor

from softtargets.measures.calibration import DIAGRAMS, reliability_of
from softtargets.measures.tokens import TOKEN_DIAGRAMS, token_bins
from softtargets.metrics import Bins
from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Panel, Style
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.series import FigureCells, dash_of, keyed
from softtargets.studies.records import CellKey, CellRecord
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output

# A bin with fewer predictions is drawn as a hollow point without a line, because its accuracy is uncertain.
FEW = 20
_SUMS = ("edges", "count", "confidence", "correct")
_SMALLEST, _LARGEST = 28.0, 260.0
_HEIGHT = 380
_SHARES = alt.Axis(format=".0%", grid=False, values=[0, 0.2, 0.4, 0.6, 0.8, 1])


@dataclass(frozen=True)
class Diagram:
    """The bins of a calibration error, summed over the runs of a cell.

    Args:
        key: arm, level and noise.
        metric: name of the calibration error.
        edges: (B + 1) confidences from 0 to 1.
        count: (B) number of predictions in each bin.
        confidence: (B) sum of their confidences.
        correct: (B) number of right predictions.
        runs: number of runs.
    """

    key: CellKey
    metric: str
    edges: tuple[float, ...]
    count: tuple[int, ...]
    confidence: tuple[float, ...]
    correct: tuple[int, ...]
    runs: int


@output_kind("reliability")
@dataclass(frozen=True)
class ReliabilityOutput(OutputKind):
    """Reliability diagrams, summed over the seeds of each cell."""

    metrics = (*DIAGRAMS, *TOKEN_DIAGRAMS)
    diagrams: tuple[Diagram, ...] = ()

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        return cls(evidence.gathered(output, output.metrics, _gather))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the diagrams of an output, one panel for each kind of noise, one line for each cell and metric."""
        figure, known = FigureCells(results, output), keyed(self.diagrams, "metric")
        series, panels, partial = [], [], []
        for noise in figure.noises:
            shown: dict[str, Diagram] = {}
            for key, (place, metric) in product(figure.keys, enumerate(output.metrics)):
                diagram = known.get((key, metric))
                if key.noise == noise and diagram is not None:
                    name = figure.name(key) + ", temperature-scaled" * metric.endswith(".scaled")
                    dash = dash_of(figure.rank(key) * len(output.metrics) + place)
                    series.append(replace(figure.look(key), label=name, dash=dash))
                    shown[name] = diagram
                    partial += figure.missing(key, name, diagram.runs)
            if shown:
                panels.append(Panel(figure.noise(noise), _chart(shown), "Accuracy"))
        note = [*figure.levels, "Predictions of all seeds are pooled; each run has its own temperature."]
        note += [
            f"The area of a point is its share of the predictions. Hollow points: fewer than {FEW} predictions.",
            *partial,
        ]
        return Drawing(tuple(dict.fromkeys(series)), tuple(panels), " ".join(note), _HEIGHT)


def _gather(evidence: Evidence, key: CellKey, metric: str) -> Diagram | None:
    if metric in DIAGRAMS:
        each = [reliability_of(predictions, metric) for predictions in evidence.predictions(key)]
    else:
        records = evidence.complete(key)
        each = [evidence.guarded(record, lambda one: _of_tokens(evidence, one, metric)) for record in records]
    bins = [one for one in each if one is not None]
    if not bins:
        return None
    return Diagram(
        key=key,
        metric=metric,
        edges=tuple(bins[0].edges.tolist()),
        count=_total([one.count for one in bins]),
        confidence=_total([one.confidence for one in bins]),
        correct=_total([one.correct for one in bins]),
        runs=len(bins),
    )


def _of_tokens(evidence: Evidence, record: CellRecord, metric: str) -> Bins | None:
    """Return the bins of the next tokens of a run, for which its network is needed."""
    found = evidence.kept(record, {"reliability": metric}, lambda subject: _plain(token_bins(subject, metric)))
    return None if found is None else Bins(*(torch.tensor(found[name]) for name in _SUMS))


def _plain(bins: Bins | None) -> dict[str, list[float]] | None:
    return None if bins is None else {name: getattr(bins, name).tolist() for name in _SUMS}


def _total(sums: list[Tensor]) -> tuple:
    return tuple(torch.stack(sums).sum(0).tolist())


def _chart(shown: dict[str, Diagram]) -> Build:
    points = [point for name, diagram in shown.items() for point in _points(name, diagram)]
    settled = [point for point in points if not point["few"]]

    def build(style: Style) -> alt.LayerChart:
        x = alt.X("x:Q", title="Confidence", scale=alt.Scale(domain=[0, 1], nice=False), axis=_SHARES)
        y = alt.Y("y:Q", title=None, scale=alt.Scale(domain=[0, 1], nice=False), axis=_SHARES)
        tooltip = [alt.Tooltip("series:N", title="Method")]
        tooltip += [alt.Tooltip(f"{name}:N") for name in ("Bin", "Predictions", "Confidence", "Accuracy")]
        diagonal = style.base([{"x": 0, "y": 0}, {"x": 1, "y": 1}]).mark_line(
            strokeWidth=1, strokeDash=[4, 3], color=style.paint("muted"), opacity=0.8
        )
        line = style.base(settled).mark_line(strokeWidth=1.8).encode(x=x, y=y, color=style.colour())
        layers: list[Any] = [
            diagonal.encode(x=x, y=y),
            line.encode(strokeDash=style.dash(), opacity=style.emphasis(0.9), order="x:Q"),
        ]
        size = alt.Size("size:Q", scale=None, legend=None)
        for filled, rows in ((True, settled), (False, [point for point in points if point["few"]])):
            dots = style.base(rows).mark_point(shape="circle", filled=filled, strokeWidth=1)
            dots = dots.encode(x=x, y=y, size=size, color=style.colour())
            layers.append(dots.encode(opacity=style.emphasis(0.75 if filled else 0.5), tooltip=tooltip))
        return alt.LayerChart(layer=layers)

    return build


def _points(name: str, diagram: Diagram) -> list[dict[str, Any]]:
    """Return a point for each nonempty bin, at its mean confidence and accuracy."""
    total = sum(diagram.count)
    bins = zip(pairwise(diagram.edges), diagram.count, diagram.confidence, diagram.correct, strict=True)
    return [
        {
            "series": name,
            "x": confidence / count,
            "y": correct / count,
            "few": count < FEW,
            "size": _SMALLEST + (_LARGEST - _SMALLEST) * count / total,
            "Bin": f"{numbers.rate(low)} to {numbers.rate(high)}",
            "Predictions": f"{count:,} ({numbers.rate(count / total)})",
            "Confidence": f"{numbers.number(confidence / count, 'percent')} %",
            "Accuracy": f"{numbers.number(correct / count, 'percent')} %",
        }
        for (low, high), count, confidence, correct in bins
        if count
    ]
