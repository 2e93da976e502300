"""Numbers through training: the mean over seeds, and a band from the smallest to the largest."""

from dataclasses import dataclass
from typing import Any, Self

import altair as alt

from softtargets.measures import TRACES
from softtargets.report import numbers, palette
from softtargets.report.drawing import Build, Drawing, Panel, Series, Style, padded
from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies import labels
from softtargets.studies.layout import axis_phrase, axis_values, cells
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.series import arm_series, cell_name, levels_of
from softtargets.studies.records import CellKey
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output

# So few epochs have a point each.
_FEW = 25


@dataclass(frozen=True)
class Trace:
    """A number through training: its mean over the seeds of a cell, and their smallest and largest, by epoch."""

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
    """Numbers through training, over the seeds of each cell."""

    metrics = tuple(TRACES)
    per_run = False
    traces: tuple[Trace, ...] = ()

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        found = (_gather(evidence, key, metric) for key, metric in evidence.places(output, output.metrics))
        return cls(tuple(trace for trace in found if trace is not None))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the traces of an output, a panel for each kind of noise and metric; each cell is a line."""
        study = results.study
        keys = cells(study, output, results.scale)
        levels, looks = levels_of(keys), arm_series(study)
        noises = axis_values(study, output, results.scale)["noise"]
        known = {(trace.key, trace.metric): trace for trace in self.traces}
        series: dict[str, Series] = {}
        panels, partial = [], {}
        for noise in noises:
            for metric in output.metrics:
                shown: dict[str, Trace] = {}
                for key in (key for key in keys if key.noise == noise and (key, metric) in known):
                    name, look = cell_name(study, key, levels[key.arm]), looks[key.arm]
                    several = len(levels[key.arm]) > 1
                    dash = (
                        palette.DASHES[levels[key.arm].index(key.level) % len(palette.DASHES)] if several else look.dash
                    )
                    series[name], shown[name] = Series(name, look.colour, look.shape, dash), known[key, metric]
                    complete = sum(record.status == "complete" for record in results.records(key))
                    if shown[name].runs < complete:
                        partial[f"{name}: {shown[name].runs} of {complete} runs."] = None
                if shown:
                    title = axis_phrase(study, "noise", noise) if len(noises) > 1 else ""
                    panels.append(Panel(title, _chart(shown, metric), labels.heading(metric)))
        note = " ".join(["Lines: means over seeds; bands: from the smallest to the largest.", *partial])
        return Drawing(tuple(series.values()), tuple(panels), note, columns=2)

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the last value of each trace."""
        study = results.study
        keys = cells(study, output, results.scale)
        levels, noises = levels_of(keys), axis_values(study, output, results.scale)["noise"]
        known = {(trace.key, trace.metric): trace for trace in self.traces}
        groups = []
        for noise in noises:
            rows = [
                PlainRow(
                    cell_name(study, key, levels[key.arm]),
                    tuple(_last(known.get((key, metric)), metric) for metric in output.metrics),
                )
                for key in keys
                if key.noise == noise and any((key, metric) in known for metric in output.metrics)
            ]
            groups += [(axis_phrase(study, "noise", noise) if len(noises) > 1 else "", tuple(rows))] if rows else []
        caption = "At the last epoch: mean over seeds, and from the smallest to the largest."
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
    extents = {name: _heights([row for row in rows if row["series"] == name]) for name in shown}

    def build(style: Style) -> alt.LayerChart:
        x = alt.X(
            "x:Q", title="Epoch", scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(grid=False, tickMinStep=1)
        )
        y = alt.Y("y:Q", title=None, scale=style.window(_heights(rows), extents, zero=False))
        tooltip = [alt.Tooltip("series:N", title="Method"), alt.Tooltip("x:Q", title="Epoch")]
        tooltip += [alt.Tooltip("Value:N", title="Mean (smallest to largest)"), "Runs:Q"]
        base = style.base(rows).encode(x=x, color=style.colour())
        dots = base.mark_point(filled=True, size=30, clip=True).encode(y=y, tooltip=tooltip)
        layers: list[Any] = [
            base.mark_area(opacity=0.16, clip=True).encode(
                y=alt.Y("low:Q", title=None), y2="high:Q", fillOpacity=style.emphasis(1.0, 0.15)
            ),
            base.mark_line(strokeWidth=2, clip=True).encode(y=y, strokeDash=style.dash(), opacity=style.emphasis()),
            # many points are there to be pointed at, and not seen
            dots.encode(opacity=style.emphasis() if few else alt.value(0)),
        ]
        return alt.LayerChart(layer=layers)

    return build


def _heights(rows: list[dict[str, Any]]) -> tuple[float, float]:
    return padded(min(row["low"] for row in rows), max(row["high"] for row in rows))
