"""Outputs as figures: what is drawn. How it looks, on the page and in a file, is in ``drawing``."""

import math
from itertools import accumulate, pairwise
from statistics import median
from typing import Any

import altair as alt

from softtargets.report import numbers, palette
from softtargets.report.drawing import Build, Drawing, Extent, Panel, Series, Style, padded
from softtargets.studies import labels
from softtargets.studies.arms import ZERO
from softtargets.studies.expand import cell
from softtargets.studies.figures import against, class_means, projections, reliability, separators, traces
from softtargets.studies.layout import (
    Place,
    arm_label,
    axis_phrase,
    axis_values,
    cells,
    places,
)
from softtargets.studies.results import CellKey, Density, StudyResults
from softtargets.studies.schema import Noise, Output
from softtargets.studies.series import arm_series, cell_name, levels_of

_MANY_DECADES = 30.0
_MOST_TICKS = 12
# A density this many times as wide as the median one does not decide the width of the axis.
_FAR = 8.0
# Nor can an axis be narrowed to fewer bins than show a shape.
_FEWEST_BINS = 8


def draw(results: StudyResults, name: str) -> Drawing | None:
    """Draw one output of the study; None where it is a table or where nothing is known yet."""
    output = results.study.outputs[name]
    kinds = {
        "sweep": _sweep,
        "density": _density,
        "curves": _curves,
        "reliability": reliability.draw,
        "projection": projections.draw,
        "classes": class_means.draw,
        "trace": traces.draw,
        "against": against.draw,
        "separators": separators.draw,
    }
    if output.kind not in kinds:
        return None
    drawing = kinds[output.kind](results, output)
    return drawing if drawing.panels else None


def _sweep(results: StudyResults, output: Output) -> Drawing:
    study = results.study
    values = axis_values(study, output, results.scale)
    looks = arm_series(study)
    panels, used = [], set()
    for noise in values["noise"]:
        for metric in values["metric"]:
            spots = [p for p in places(study, output, results.scale) if (p.noise, p.metric) == (noise, metric)]
            lines, baseline = _sweep_rows(results, spots)
            used |= {row["series"] for row in [*lines, *baseline]}
            if lines or baseline:
                title = axis_phrase(study, "noise", noise) if len(values["noise"]) > 1 else ""
                panels.append(
                    Panel(title, _sweep_chart(lines, baseline, noise, study.level_name), labels.heading(metric))
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


def _sweep_rows(results: StudyResults, spots: list[Place]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
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


def _sweep_chart(lines: list[dict[str, Any]], baseline: list[dict[str, Any]], noise: Noise, level_name: str) -> Build:
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


def _density(results: StudyResults, output: Output) -> Drawing:
    study = results.study
    values = axis_values(study, output, results.scale)
    keys = cells(study, output, results.scale)
    known, looks = levels_of(keys), arm_series(study)

    def label(key: CellKey) -> str:
        return cell_name(study, key, known[key.arm])

    series: dict[str, Series] = {}
    panels, far = [], {}
    for noise in values["noise"]:
        for metric in values["metric"]:
            found = [d for d in results.densities if d.key in keys and d.key.noise == noise and d.metric == metric]
            found.sort(key=lambda d: keys.index(d.key))
            for density in found:
                base = looks[density.key.arm]
                dash = palette.DASHES[known[density.key.arm].index(density.key.level) % len(palette.DASHES)]
                name = label(density.key)
                series[name] = Series(name, base.colour, base.shape, dash if name != base.label else base.dash)
            if found:
                noted = f" · {axis_phrase(study, 'noise', noise)}" if len(values["noise"]) > 1 else ""
                by_name = {label(density.key): density for density in found}
                widths = [density.edges[1] - density.edges[0] for density in found]
                window, beyond = _window({name: _bulk(density) for name, density in by_name.items()}, min(widths))
                far |= dict.fromkeys(beyond)
                title = labels.measure(metric).label + noted
                panels.append(Panel(title, _density_chart(by_name, window, metric), "Density"))
    levels = [numbers.level(level) for level in values["level"] if level != ZERO]
    note = f"{study.level_name} = {', '.join(levels)}. " if levels else ""
    note += "Densities pooled over seeds; vertical lines: means."
    if far:
        note += f" Reaching beyond the axis: {', '.join(far)}; press a name in the legend to see its own range."
    return Drawing(tuple(series.values()), tuple(panels), note)


def _bulk(density: Density) -> Extent:
    """Return the range of the bins that hold the middle 98 % of a histogram."""
    masses = [height * (b - a) for height, (a, b) in zip(density.density, pairwise(density.edges), strict=True)]
    whole, below = sum(masses), list(accumulate(masses))
    first = next((i for i, mass in enumerate(below) if mass >= 0.01 * whole), 0)
    last = next((i for i, mass in enumerate(below) if mass >= 0.99 * whole), len(masses) - 1)
    return density.edges[first], density.edges[last + 1]


def _window(bulks: dict[str, Extent], bin_width: float) -> tuple[Extent, list[str]]:
    """Return the range to show and whose bulk reaches beyond it: one far wider than the others would hide them."""
    usual = median(high - low for low, high in bulks.values())
    kept = [
        (low, high) for low, high in bulks.values() if high - low <= _FAR * usual or usual < _FEWEST_BINS * bin_width
    ]
    low, high = min(low for low, _ in kept), max(high for _, high in kept)
    return (low, high), [name for name, bulk in bulks.items() if bulk[0] < low or bulk[1] > high]


def _density_chart(found: dict[str, Density], window: Extent, metric: str) -> Build:
    unit = labels.measure(metric).unit
    scale = numbers.in_unit(1.0, unit)
    rows, means, spans, tops = [], [], {}, {}
    for name, density in found.items():
        centres = [scale * (a + b) / 2 for a, b in pairwise(density.edges)]
        rows += [{"series": name, "x": x, "y": y / scale} for x, y in zip(centres, density.density, strict=True)]
        mean = numbers.number(density.mean, unit)
        means.append({"series": name, "x": scale * density.mean, "Mean": mean, "Examples": f"{density.count:,}"})
        low, high = _bulk(density)
        spans[name] = padded(scale * min(low, density.mean), scale * max(high, density.mean))
        tops[name] = (0.0, 1.06 * max(density.density) / scale)
    shown = padded(scale * window[0], scale * window[1])
    top = (0.0, max(high for _, high in tops.values()))

    def build(style: Style) -> alt.LayerChart:
        axis = alt.Axis(grid=False, tickCount=6)
        x = alt.X("x:Q", title=unit, scale=style.window(shown, spans, zero=False), axis=axis)
        y = alt.Y("y:Q", title=None, scale=style.window(top, tops), axis=alt.Axis(tickCount=4), stack=None)
        base = style.base(rows).encode(x=x, y=y, color=style.colour())
        line = base.mark_line(strokeWidth=1.8, clip=True)
        rule = style.base(means).mark_rule(strokeWidth=1.6, clip=True)
        tooltip = [alt.Tooltip("series:N", title="Method"), "Mean:N", "Examples:N"]
        layers = [
            base.mark_area(opacity=0.1, clip=True).encode(fillOpacity=style.emphasis(1.0, 0.1)),
            line.encode(strokeDash=style.dash(), opacity=style.emphasis()),
            rule.encode(
                x=x, color=style.colour(), opacity=style.emphasis(0.9), tooltip=tooltip, strokeDash=style.dash()
            ),
        ]
        return alt.LayerChart(layer=layers)

    return build


def _curves(results: StudyResults, output: Output) -> Drawing:
    study = results.study
    curves = [c for c in results.curves if not output.noise or c.noise in output.noise]
    drawn = {curve.arm for curve in curves}
    arms = [arm for arm in output.arms or study.arms if arm in drawn]
    curves = [curve for curve in curves if curve.arm in arms]
    rates = sorted({curve.noise for curve in curves})
    colours = palette.spaced(len(rates))
    looks = {
        rate: Series(
            f"noise rate {numbers.rate(rate)}", colours[i % len(colours)], palette.SHAPES[0], palette.DASHES[0]
        )
        for i, rate in enumerate(rates)
    }
    heights = [y for curve in curves for y in curve.y]
    panels = []
    for arm in arms:
        rows = [
            {"series": looks[curve.noise].label, "x": x, "y": y, "order": i}
            for curve in curves
            if curve.arm == arm
            for i, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
        ]
        if rows:
            panels.append(Panel(arm_label(study, arm), _curve_chart(rows, (min(heights), max(heights))), "Loss (nats)"))
    return Drawing(
        tuple(looks.values()), tuple(panels), "Exact curves: nothing is trained. The panels share one scale."
    )


def _curve_chart(rows: list[dict[str, Any]], heights: tuple[float, float]) -> Build:
    def build(style: Style) -> alt.LayerChart:
        line = (
            style.base(rows)
            .mark_line(strokeWidth=2)
            .encode(
                x=alt.X("x:Q", title="Logit of the label", scale=alt.Scale(nice=False), axis=alt.Axis(grid=False)),
                y=alt.Y("y:Q", title=None, scale=alt.Scale(domain=list(heights), nice=True)),
                order="order:Q",
                color=style.colour(),
                opacity=style.emphasis(),
                tooltip=[alt.Tooltip("series:N", title="Curve")],
            )
        )
        zero = [style.across(0.0)] if heights[0] < 0 < heights[1] else []
        return alt.LayerChart(layer=[*zero, line])

    return build
