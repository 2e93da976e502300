"""Metrics against the level: one line for each arm, with a band over seeds."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import altair as alt

from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Panel, Style, extents
from softtargets.studies import labels
from softtargets.studies.arms import ZERO
from softtargets.studies.expand import cell
from softtargets.studies.layout import Place, arm_label
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.marks import SPREADS, band_and_line, markers, spread_row
from softtargets.studies.outputs.series import FigureCells
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Noise, Output

_MANY_DECADES = 30.0
_MOST_TICKS = 12


@output_kind("sweep")
@dataclass(frozen=True)
class SweepOutput(OutputKind):
    """Metrics of the cells as lines over the levels."""

    takes_spread = True

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the metrics against the level, one panel for each kind of noise and metric."""
        study, figure = results.study, FigureCells(results, output)
        panels, drawn = [], []
        for noise, metric in product(figure.noises, output.metrics):
            spots = [place for place in figure.places if (place.noise, place.metric) == (noise, metric)]
            lines, baseline = _rows(results, spots, output.spread)
            drawn.append([*lines, *baseline])
            if drawn[-1]:
                chart = _chart(lines, baseline, noise, study.level_name)
                panels.append(Panel(figure.noise(noise), chart, labels.heading(metric)))
        note = f"Bands: {SPREADS[output.spread]}."
        arms = dict.fromkeys(place.arm for place in figure.places if study.arms[place.arm].sweep is not None)
        if any(place.level == ZERO for place in figure.places):
            zeros = [figure.arms[arm].label for arm in dict.fromkeys(study.arm_at(arm, ZERO) for arm in arms)]
            if zeros == [figure.arms[study.baseline].label]:
                note += f" {study.level_name} = 0 is {zeros[0]} for all methods; the thin line shows its value."
            elif zeros:
                note += f" {study.level_name} = 0 is {', '.join(zeros)}."
        return Drawing(figure.arms_of(drawn), tuple(panels), note)


def _rows(
    results: StudyResults, spots: list[Place], spread: str | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the points of the lines, and separately the point of the baseline, which all lines share."""
    study = results.study
    lines: list[dict[str, Any]] = []
    baseline: list[dict[str, Any]] = []
    for spot in spots:
        key = cell(study, spot.arm, spot.level, spot.noise)
        summary = results.summary(key, spot.metric)
        if summary is None or not math.isfinite(summary.mean):
            continue
        unit = labels.measure(spot.metric).unit
        row = {"series": arm_label(study, spot.arm), "x": spot.level}
        row |= spread_row(summary, unit, ("y", "low", "high"), spread)
        row |= {"own": key.arm == spot.arm, "Level": numbers.level(spot.level)}
        row["Value"] = labels.summary_text(summary, unit)
        if key.arm == study.baseline:
            label = arm_label(study, study.baseline)
            baseline = [{**row, "series": label, "x": ZERO, "own": True, "Level": numbers.level(ZERO)}]
        if spot.arm != study.baseline:
            lines.append(row)
    return lines, baseline


def _chart(lines: list[dict[str, Any]], baseline: list[dict[str, Any]], noise: Noise, level_name: str) -> Build:
    points = [*lines, *baseline]
    levels = sorted({row["x"] for row in points})
    positive = [level for level in levels if level > 0]
    wide = bool(positive) and max(positive) / min(positive) > _MANY_DECADES
    kind: dict[str, Any] = {"type": "symlog", "constant": min(positive)} if wide else {"zero": False}
    ticks: dict[str, Any] = {"values": levels} if len(levels) <= _MOST_TICKS else {}

    def build(style: Style) -> alt.LayerChart:
        scale, axis = alt.Scale(nice=False, padding=10, **kind), alt.Axis(format="~g", grid=False, **ticks)
        x = alt.X("x:Q", title=level_name, scale=scale, axis=axis)
        heights = style.window(*extents(points, "low", "high", baseline), zero=False)
        y = alt.Y("y:Q", title=None, scale=heights)
        tooltip = [alt.Tooltip("series:N", title="Method"), alt.Tooltip("Level:N", title=level_name)]
        tooltip += [alt.Tooltip("Value:N", title="Mean ± sd (n)")]
        base = style.base(lines).encode(x=x, color=style.colour())
        layers: list[Any] = []
        if not isinstance(noise, str) and levels[0] < noise < levels[-1]:
            layers.append(style.upright(noise, f"noise rate {numbers.rate(noise)}"))
        if baseline:
            across = style.base(baseline).mark_rule(strokeWidth=1)
            layers.append(across.encode(y=y, color=style.colour(), opacity=style.emphasis(0.8)))
        layers += [*band_and_line(base, style, y), *markers(points, style, x, y, tooltip)]
        return alt.LayerChart(layer=layers)

    return build
