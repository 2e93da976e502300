"""Metrics against the level: a line for each arm, with a band over seeds."""

import math
from dataclasses import dataclass
from typing import Any

import altair as alt

from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Extent, Panel, Style, padded
from softtargets.studies import labels
from softtargets.studies.arms import ZERO
from softtargets.studies.expand import cell
from softtargets.studies.layout import Place, arm_label, axis_phrase, axis_values, places
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.series import arm_series
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Noise, Output

_MANY_DECADES = 30.0
_MOST_TICKS = 12


@output_kind("sweep")
@dataclass(frozen=True)
class SweepOutput(OutputKind):
    """Metrics of the cells as lines over the levels."""

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the metrics against the level, a panel for each kind of noise and metric."""
        study = results.study
        values = axis_values(study, output, results.scale)
        looks = arm_series(study)
        panels, used = [], set()
        for noise in values["noise"]:
            for metric in values["metric"]:
                spots = [p for p in places(study, output, results.scale) if (p.noise, p.metric) == (noise, metric)]
                lines, baseline = _rows(results, spots)
                used |= {row["series"] for row in [*lines, *baseline]}
                if lines or baseline:
                    title = axis_phrase(study, "noise", noise) if len(values["noise"]) > 1 else ""
                    panels.append(
                        Panel(title, _chart(lines, baseline, noise, study.level_name), labels.heading(metric))
                    )
        series = tuple(looks[arm] for arm in study.arms if looks[arm].label in used)
        note = "Bands: ± 1 sd over seeds."
        if ZERO in values["level"]:
            swept = [arm for arm in values["arm"] if study.arms[arm].sweep is not None]
            zeros = [looks[arm].label for arm in dict.fromkeys(study.arm_at(arm, ZERO) for arm in swept)]
            if zeros == [looks[study.baseline].label]:
                note += f" {study.level_name} = 0 is {zeros[0]} for every method; the thin line carries it across."
            elif zeros:
                note += f" {study.level_name} = 0 is {', '.join(zeros)}."
        return Drawing(series, tuple(panels), note)


def _rows(results: StudyResults, spots: list[Place]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the points of the lines and, apart from them, the one point of the baseline, which all lines share."""
    study = results.study
    lines: list[dict[str, Any]] = []
    baseline: list[dict[str, Any]] = []
    for spot in spots:
        key = cell(study, spot.arm, spot.level, spot.noise)
        summary = results.summary(key, spot.metric)
        if summary is None or not math.isfinite(summary.mean):
            continue
        unit = labels.measure(spot.metric).unit
        mean, sd = numbers.in_unit(summary.mean, unit), numbers.in_unit(summary.sd, unit)
        row = {
            "series": arm_label(study, spot.arm),
            "x": spot.level,
            "y": mean,
            "low": mean - sd,
            "high": mean + sd,
            "own": key.arm == spot.arm,
            "Level": numbers.level(spot.level),
            "Value": labels.summary_text(summary, unit),
        }
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
    extents = {
        name: _heights([row for row in points if row["series"] == name] + baseline)
        for name in {row["series"] for row in points}
    }
    kind: dict[str, Any] = {"type": "symlog", "constant": min(positive)} if wide else {"zero": False}
    ticks: dict[str, Any] = {"values": levels} if len(levels) <= _MOST_TICKS else {}

    def build(style: Style) -> alt.LayerChart:
        x = alt.X(
            "x:Q",
            title=level_name,
            scale=alt.Scale(nice=False, padding=10, **kind),
            axis=alt.Axis(format="~g", grid=False, **ticks),
        )
        y = alt.Y("y:Q", title=None, scale=style.window(_heights(points), extents, zero=False))
        tooltip = [
            alt.Tooltip("series:N", title="Method"),
            alt.Tooltip("Level:N", title=level_name),
            alt.Tooltip("Value:N", title="Mean ± sd (n)"),
        ]
        base = style.base(lines).encode(x=x, color=style.colour())
        layers: list[Any] = []
        if not isinstance(noise, str) and levels[0] < noise < levels[-1]:
            layers.append(style.upright(noise, f"noise rate {numbers.rate(noise)}"))
        if baseline:
            across = style.base(baseline).mark_rule(strokeWidth=1)
            layers.append(across.encode(y=y, color=style.colour(), opacity=style.emphasis(0.8)))
        layers += [
            base.mark_area(opacity=0.16, clip=True).encode(
                y=alt.Y("low:Q", title=None), y2="high:Q", fillOpacity=style.emphasis(1.0, 0.15)
            ),
            base.mark_line(strokeWidth=2, clip=True).encode(y=y, strokeDash=style.dash(), opacity=style.emphasis()),
        ]
        # One layer per series: a shape that came from a scale would replace the dashes of the legend.
        for entry in style.series:
            mine = style.base([row for row in points if row["own"] and row["series"] == entry.label])
            point = mine.mark_point(shape=entry.shape, filled=True, size=64, clip=True)
            layers.append(point.encode(x=x, y=y, color=style.colour(), opacity=style.emphasis(), tooltip=tooltip))
        return alt.LayerChart(layer=layers)

    return build


def _heights(rows: list[dict[str, Any]]) -> Extent:
    return padded(min(row["low"] for row in rows), max(row["high"] for row in rows))
