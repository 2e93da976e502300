"""One measure against another: a line for each arm, with a point at each of its levels."""

import math
from dataclasses import dataclass
from typing import Any

import altair as alt

from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Extent, Panel, Style, padded
from softtargets.studies import labels
from softtargets.studies.expand import cell
from softtargets.studies.layout import Place, arm_label, axis_phrase, axis_values, places
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.series import arm_series
from softtargets.studies.records import Summary
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output


@output_kind("against")
@dataclass(frozen=True)
class AgainstOutput(OutputKind):
    """Metrics of the cells against another metric of theirs."""

    takes_x = True

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the metrics of an output against its `x`, a panel for each kind of noise and metric."""
        study, across = results.study, output.x or ""
        noises, looks = axis_values(study, output, results.scale)["noise"], arm_series(study)
        spots = places(study, output, results.scale)
        panels, used = [], set()
        for noise in noises:
            for metric in output.metrics:
                rows = _rows(results, [p for p in spots if (p.noise, p.metric) == (noise, metric)], across)
                if rows:
                    used |= {row["series"] for row in rows}
                    title = axis_phrase(study, "noise", noise) if len(noises) > 1 else ""
                    panels.append(Panel(title, _chart(rows, across, study.level_name), labels.heading(metric)))
        series = tuple(looks[arm] for arm in study.arms if looks[arm].label in used)
        note = (
            f"Each point is one value of {study.level_name}; lines join them in order. Thin lines: ± 1 sd over seeds."
        )
        return Drawing(series, tuple(panels), note)


def _rows(results: StudyResults, spots: list[Place], across: str) -> list[dict[str, Any]]:
    """Return a point for each arm and level of which both measures are known; an arm without levels has one."""
    study = results.study
    rows = {}
    for spot in spots:
        key = cell(study, spot.arm, spot.level, spot.noise)
        x, y = results.summary(key, across), results.summary(key, spot.metric)
        if x is None or y is None or not math.isfinite(x.mean) or not math.isfinite(y.mean):
            continue
        row = {"series": arm_label(study, spot.arm), "Point": arm_label(study, key.arm), "level": key.level}
        row |= {"own": key.arm == spot.arm, "Level": numbers.level(key.level)}
        rows[spot.arm, key] = row | _sides("x", x, across) | _sides("y", y, spot.metric)
        # a line may begin at another arm's point, which is drawn as that arm's
        rows.setdefault((key.arm, key), {**rows[spot.arm, key], "series": arm_label(study, key.arm), "own": True})
    return list(rows.values())


def _sides(axis: str, summary: Summary, metric: str) -> dict[str, Any]:
    unit = labels.measure(metric).unit
    mean, sd = numbers.in_unit(summary.mean, unit), numbers.in_unit(summary.sd, unit)
    text = labels.summary_text(summary, unit)
    return {axis: mean, f"{axis}_low": mean - sd, f"{axis}_high": mean + sd, f"{axis}_text": text}


def _chart(rows: list[dict[str, Any]], across: str, level_name: str) -> Build:
    def extents(axis: str) -> tuple[Extent, dict[str, Extent]]:
        names = {row["series"] for row in rows}
        return _extent(rows, axis), {name: _extent([r for r in rows if r["series"] == name], axis) for name in names}

    def build(style: Style) -> alt.LayerChart:
        x_title = labels.heading(across)
        x_scale, y_scale = (style.window(*extents(axis), zero=False) for axis in ("x", "y"))
        x = alt.X("x:Q", title=x_title, scale=x_scale, axis=alt.Axis(grid=False, tickCount=6))
        y = alt.Y("y:Q", title=None, scale=y_scale)
        tooltip = [alt.Tooltip("Point:N", title="Method"), alt.Tooltip("Level:N", title=level_name)]
        tooltip += [alt.Tooltip("x_text:N", title=x_title), alt.Tooltip("y_text:N", title="Mean ± sd (n)")]
        base = style.base(rows).encode(color=style.colour())
        own = [row for row in rows if row["own"]]
        thin = style.base(own).mark_rule(strokeWidth=1, clip=True)
        faint = {"color": style.colour(), "opacity": style.emphasis(0.45)}
        layers: list[Any] = [
            thin.encode(x=x, y=alt.Y("y_low:Q", title=None, scale=y_scale), y2="y_high:Q", **faint),
            thin.encode(y=y, x=alt.X("x_low:Q", title=x_title, scale=x_scale), x2="x_high:Q", **faint),
            base.mark_line(strokeWidth=2, clip=True).encode(
                x=x, y=y, order="level:Q", strokeDash=style.dash(), opacity=style.emphasis()
            ),
        ]
        # One layer per series: a shape that came from a scale would replace the dashes of the legend.
        for entry in style.series:
            mine = style.base([row for row in own if row["series"] == entry.label])
            point = mine.mark_point(shape=entry.shape, filled=True, size=64, clip=True)
            layers.append(point.encode(x=x, y=y, color=style.colour(), opacity=style.emphasis(), tooltip=tooltip))
        return alt.LayerChart(layer=layers)

    return build


def _extent(rows: list[dict[str, Any]], axis: str) -> Extent:
    return padded(min(row[f"{axis}_low"] for row in rows), max(row[f"{axis}_high"] for row in rows))
