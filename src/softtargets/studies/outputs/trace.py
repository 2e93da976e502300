"""Numbers by epoch: the mean over seeds, and a band from the smallest to the largest."""

from dataclasses import dataclass
from itertools import product
from typing import Self

import altair as alt

from softtargets.measures import TRACES
from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Panel, Style, extents
from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies import labels
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.marks import band_and_line
from softtargets.studies.outputs.series import FigureCells, keyed
from softtargets.studies.records import CellKey
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output

# Up to this many epochs, each is marked by a point.
_FEW = 25


@dataclass(frozen=True)
class Trace:
    """A number by epoch: mean, minimum and maximum over the seeds of a cell."""

    key: CellKey
    metric: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    runs: int


@output_kind("trace")
@dataclass(frozen=True)
class TraceOutput(OutputKind):
    """Numbers by epoch, over the seeds of each cell."""

    metrics = tuple(TRACES)
    per_run = False
    per_epoch = True
    traces: tuple[Trace, ...] = ()

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        return cls(evidence.gathered(output, output.metrics, _gather))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the traces of an output, one panel for each kind of noise and metric, one line for each cell."""
        figure, known = FigureCells(results, output), keyed(self.traces, "metric")
        series, panels, partial = [], [], []
        for noise, metric in product(figure.noises, output.metrics):
            found = figure.shown(known, noise, metric)
            series += map(figure.look, found)
            for key, trace in found.items():
                partial += figure.missing(key, figure.name(key), trace.runs)
            if found:
                chart = _chart({figure.name(key): trace for key, trace in found.items()}, metric)
                panels.append(Panel(figure.noise(noise), chart, labels.heading(metric)))
        note = ["Lines: means over seeds. Bands: smallest to largest value.", *dict.fromkeys(partial)]
        return Drawing(tuple(dict.fromkeys(series)), tuple(panels), " ".join(note), columns=2)

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the last value of each trace."""
        figure, known = FigureCells(results, output), keyed(self.traces, "metric")
        shown = [key for key in figure.keys if any((key, metric) in known for metric in output.metrics)]
        groups = []
        for noise in figure.noises:
            rows = [
                PlainRow(figure.name(key), tuple(_last(known.get((key, metric)), metric) for metric in output.metrics))
                for key in shown
                if key.noise == noise
            ]
            groups += [(figure.noise(noise), tuple(rows))] if rows else []
        caption = "Last epoch: mean over seeds, with smallest and largest value."
        columns = ("Method", *map(labels.heading, output.metrics))
        return PlainTable(caption, columns, tuple(groups)) if groups else None


def _gather(evidence: Evidence, key: CellKey, metric: str) -> Trace | None:
    each = [evidence.guarded(record, lambda r: evidence.trace(r, metric)) for record in evidence.complete(key)]
    runs = [one for one in each if one]
    epochs = sorted(set.intersection(*(set(one) for one in runs))) if runs else []
    if not epochs:
        return None
    values = [[one[epoch] for one in runs] for epoch in epochs]
    return Trace(
        key=key,
        metric=metric,
        epochs=tuple(epochs),
        mean=tuple(sum(row) / len(row) for row in values),
        low=tuple(map(min, values)),
        high=tuple(map(max, values)),
        runs=len(runs),
    )


def _last(trace: Trace | None, metric: str) -> tuple[str, float | None]:
    return (numbers.NOTHING, None) if trace is None else (_text(trace, -1, labels.measure(metric).unit), trace.mean[-1])


def _text(trace: Trace, place: int, unit: str) -> str:
    mean, low, high = (numbers.number(each[place], unit) for each in (trace.mean, trace.low, trace.high))
    return f"{mean} ({low} to {high})"


def _chart(shown: dict[str, Trace], metric: str) -> Build:
    unit = labels.measure(metric).unit
    rows = [
        {
            "series": name,
            "x": epoch,
            "y": numbers.in_unit(mean, unit),
            "low": numbers.in_unit(low, unit),
            "high": numbers.in_unit(high, unit),
            "Value": _text(trace, place, unit),
            "Runs": trace.runs,
        }
        for name, trace in shown.items()
        for place, (epoch, mean, low, high) in enumerate(
            zip(trace.epochs, trace.mean, trace.low, trace.high, strict=True)
        )
    ]
    few = max(len(trace.epochs) for trace in shown.values()) <= _FEW

    def build(style: Style) -> alt.LayerChart:
        axis = alt.Axis(grid=False, tickMinStep=1)
        x = alt.X("x:Q", title="Epoch", scale=alt.Scale(nice=False, zero=False), axis=axis)
        y = alt.Y("y:Q", title=None, scale=style.window(*extents(rows, "low", "high"), zero=False))
        tooltip = [alt.Tooltip("series:N", title="Method"), alt.Tooltip("x:Q", title="Epoch")]
        tooltip += [alt.Tooltip("Value:N", title="Mean (smallest to largest)"), "Runs:Q"]
        base = style.base(rows).encode(x=x, color=style.colour())
        dots = base.mark_point(filled=True, size=30, clip=True).encode(y=y, tooltip=tooltip)
        # many points are transparent and serve only for tooltips
        opacity = style.emphasis() if few else alt.value(0)
        return alt.LayerChart(layer=[*band_and_line(base, style, y), dots.encode(opacity=opacity)])

    return build
