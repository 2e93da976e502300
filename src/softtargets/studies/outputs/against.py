"""One measure against another: one line for each arm, with a point for each level."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import altair as alt

from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Panel, Style, extents
from softtargets.studies import labels
from softtargets.studies.expand import cell
from softtargets.studies.layout import Place, arm_label
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.marks import SPREADS, crosses, markers, sides
from softtargets.studies.outputs.series import FigureCells
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output


@output_kind("against")
@dataclass(frozen=True)
class AgainstOutput(OutputKind):
    """Metrics of the cells plotted against another metric."""

    takes_x = True
    takes_spread = True

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the metrics of an output against `x`, one panel for each kind of noise and metric."""
        study, across, figure = results.study, output.x or "", FigureCells(results, output)
        panels, drawn = [], []
        for noise, metric in product(figure.noises, output.metrics):
            spots = [place for place in figure.places if (place.noise, place.metric) == (noise, metric)]
            rows = _rows(results, spots, across, output.spread)
            drawn.append(rows)
            if rows:
                chart = _chart(rows, across, study.level_name)
                panels.append(Panel(figure.noise(noise), chart, labels.heading(metric)))
        note = (
            f"Each point is one value of {study.level_name}; lines join them in order. "
            f"Thin lines: {SPREADS[output.spread]}."
        )
        return Drawing(figure.arms_of(drawn), tuple(panels), note)


def _rows(results: StudyResults, spots: list[Place], across: str, spread: str | None) -> list[dict[str, Any]]:
    """Return a point for each arm and level with both measures; an arm without levels has one point."""
    study = results.study
    rows = {}
    for spot in spots:
        key = cell(study, spot.arm, spot.level, spot.noise)
        x, y = results.summary(key, across), results.summary(key, spot.metric)
        if x is None or y is None or not math.isfinite(x.mean) or not math.isfinite(y.mean):
            continue
        row = {"series": arm_label(study, spot.arm), "Point": arm_label(study, key.arm), "level": key.level}
        row |= {"own": key.arm == spot.arm, "Level": numbers.level(key.level)}
        rows[spot.arm, key] = row | sides("x", x, across, spread) | sides("y", y, spot.metric, spread)
        # a line can begin at a point of another arm, which is drawn in the style of that arm
        rows.setdefault((key.arm, key), {**rows[spot.arm, key], "series": arm_label(study, key.arm), "own": True})
    return list(rows.values())


def _chart(rows: list[dict[str, Any]], across: str, level_name: str) -> Build:
    def build(style: Style) -> alt.LayerChart:
        x_title = labels.heading(across)
        x_scale, y_scale = (
            style.window(*extents(rows, f"{axis}_low", f"{axis}_high"), zero=False) for axis in ("x", "y")
        )
        x = alt.X("x:Q", title=x_title, scale=x_scale, axis=alt.Axis(grid=False, tickCount=6))
        y = alt.Y("y:Q", title=None, scale=y_scale)
        tooltip = [alt.Tooltip("Point:N", title="Method"), alt.Tooltip("Level:N", title=level_name)]
        tooltip += [alt.Tooltip("x_text:N", title=x_title), alt.Tooltip("y_text:N", title="Mean ± sd (n)")]
        base = style.base(rows).encode(color=style.colour())
        line = base.mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, order="level:Q", strokeDash=style.dash())
        thin = crosses([row for row in rows if row["own"]], style, x, y)
        shown = [*thin, line.encode(opacity=style.emphasis()), *markers(rows, style, x, y, tooltip)]
        return alt.LayerChart(layer=shown)

    return build
