"""The mean of each cell with whiskers, and the value of each seed."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import altair as alt

from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Panel, Style, extent
from softtargets.studies import labels
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.marks import SPREADS, spread_row
from softtargets.studies.outputs.series import FigureCells
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output


@output_kind("whiskers")
@dataclass(frozen=True)
class WhiskersOutput(OutputKind):
    """Metrics of the cells as a row for each cell: the mean, the values of the seeds and whiskers."""

    takes_spread = True

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw one panel for each kind of noise and metric."""
        figure = FigureCells(results, output)
        panels, series = [], {}
        for noise, metric in product(figure.noises, output.metrics):
            rows, points = [], []
            unit = labels.measure(metric).unit
            for key in (key for key in figure.keys if key.noise == noise):
                summary = results.summary(key, metric)
                if summary is None or not math.isfinite(summary.mean):
                    continue
                name = figure.name(key)
                series[key] = figure.look(key)
                ends = spread_row(summary, unit, ("mean", "low", "high"), output.spread)
                rows.append({"series": name, **ends, "text": labels.summary_text(summary, unit)})
                complete = (record for record in results.records(key) if record.status == "complete")
                values = (numbers.in_unit(record.metrics[metric], unit) for record in complete)
                points += [{"series": name, "value": value} for value in values]
            if rows:
                panels.append(Panel(figure.noise(noise), _chart(rows, points), labels.heading(metric)))
        note = f"Dots: means; whiskers: {SPREADS[output.spread]}; ticks: single seeds."
        rows = max((sum(key.noise == noise for key in figure.keys) for noise in figure.noises), default=0)
        return Drawing(tuple(series.values()), tuple(panels), note, height=max(200, 30 * rows), columns=2)


def _chart(rows: list[dict[str, Any]], points: list[dict[str, Any]]) -> Build:
    ends = [*rows, *({"low": point["value"], "high": point["value"]} for point in points)]
    domain = extent(ends, "low", "high")

    def build(style: Style) -> alt.LayerChart:
        scale = alt.Scale(domain=list(domain), nice=False, zero=False)
        axis = {"title": None, "scale": scale, "axis": alt.Axis(tickCount=6)}
        mean, low, value = (alt.X(f"{name}:Q", **axis) for name in ("mean", "low", "value"))
        y = alt.Y("series:N", title=None, sort=[row["series"] for row in rows], axis=alt.Axis(labels=style.legend))
        shared = {"y": y, "color": style.colour(), "opacity": style.emphasis()}
        tooltip = [alt.Tooltip("series:N", title="Method"), alt.Tooltip("text:N", title="Mean ± sd (n)")]
        point = style.base(rows).mark_point(filled=True, size=64).encode(x=mean, tooltip=tooltip, **shared)
        whisker = style.base(rows).mark_rule(strokeWidth=2)
        whisker = whisker.encode(x=low, x2="high:Q", strokeDash=style.dash(), **shared)
        ticks = style.base(points).mark_tick(thickness=1, size=10).encode(x=value, **shared)
        return alt.LayerChart(layer=[ticks, whisker, point])

    return build
