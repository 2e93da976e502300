"""The figure of a comparison: accuracy against ECE, as trained and after a temperature."""

from statistics import median
from typing import Any

import altair as alt

from softtargets.compare.results import ComparedMethodResult, CompareResults
from softtargets.report import numbers, palette
from softtargets.report.drawing import Build, Drawing, Extent, Panel, Series, Style, padded

TITLES = {"ece": "As trained", "ece_scaled": "After a temperature"}
_HEIGHT = 340
# of the axis of ECE, so that small differences look small
_LEAST_RANGE = 0.02


def draw_methods(results: CompareResults) -> Drawing:
    """Draw one point for each method in two panels, whose ranges of ECE differ."""
    series = tuple(_series(place, method) for place, method in enumerate(results.methods))
    rows = {measure: [_row(method, results.baseline, measure) for method in results.methods] for measure in TITLES}
    every = [row for own in rows.values() for row in own]
    y = _visible([row["y"] for row in every], [row["high"] - row["y"] for row in every])
    panels = tuple(
        Panel(title, _chart(rows[measure], _calibration(rows[measure]), y, rows[measure][0]["y"]), "Accuracy, %")
        for measure, title in TITLES.items()
    )
    note = (
        "Good methods are at the top left. Vertical lines: interval of the difference in accuracy from cross entropy. "
        "Dashed line: cross entropy. Long lines are cut off. The two ranges of ECE differ."
    )
    return Drawing(series, panels, note, _HEIGHT)


def _calibration(rows: list[dict[str, Any]]) -> Extent:
    low, high = min(row["x"] for row in rows), max(row["x"] for row in rows)
    spare = max(0.0, _LEAST_RANGE - (high - low)) / 2
    low, high = padded(low - spare, high + spare)
    return max(0.0, low), high


def _visible(values: list[float], reaches: list[float]) -> Extent:
    """Return a range of percents with all values and their intervals, of which very long ones are cut off."""
    reach = 1.5 * median(reaches)
    low, high = padded(min(values) - reach, max(values) + reach)
    return max(0.0, low), min(100.0, high)


def _series(place: int, method: ComparedMethodResult) -> Series:
    """Return a style that no other method has, up to the number of colours times that of shapes."""
    if place == 0:
        return Series(method.label, "baseline", "circle", palette.DASHES[0], dots=True)
    round_, colour = divmod(place - 1, len(palette.SERIES))
    shape = palette.SHAPES[(round_ + 1) % len(palette.SHAPES)]
    return Series(method.label, palette.SERIES[colour], shape, palette.DASHES[0], dots=True)


def _row(method: ComparedMethodResult, baseline: ComparedMethodResult, measure: str) -> dict[str, Any]:
    accuracy = method.values["accuracy"]
    found = method.verdict.differences.get("accuracy")
    low, high = (0.0, 0.0) if found is None else (found.low - found.estimate, found.high - found.estimate)
    difference = accuracy - baseline.values["accuracy"]
    return {
        "series": method.label,
        "x": method.values[measure],
        "y": 100 * accuracy,
        "low": 100 * (accuracy + low),
        "high": 100 * (accuracy + high),
        "Accuracy": f"{numbers.number(accuracy, 'percent')} %",
        "Difference": f"{numbers.number(difference, 'percent', signed=True)} points",
        "ECE": numbers.number(method.values[measure], "fraction"),
    }


def _chart(rows: list[dict[str, Any]], x_range: Extent, y_range: Extent, baseline: float) -> Build:
    def build(style: Style) -> alt.LayerChart:
        x_axis = alt.Axis(grid=False, tickCount=5)
        x = alt.X("x:Q", title="ECE", scale=alt.Scale(domain=list(x_range), nice=False), axis=x_axis)
        y = alt.Y("y:Q", title=None, scale=alt.Scale(domain=list(y_range), nice=False, zero=False))
        tooltip = [
            alt.Tooltip("series:N", title="Method"),
            alt.Tooltip("Accuracy:N"),
            alt.Tooltip("Difference:N"),
            alt.Tooltip("ECE:N"),
        ]
        points = style.base(rows)
        spans = points.mark_rule(strokeWidth=1.5, clip=True).encode(
            x=x, y=alt.Y("low:Q", title=None), y2="high:Q", color=style.colour(), opacity=style.emphasis(0.55)
        )
        dots = points.mark_point(filled=True, size=90, clip=False).encode(
            x=x, y=y, color=style.colour(), shape=style.shape(), opacity=style.emphasis(), tooltip=tooltip
        )
        return alt.LayerChart(layer=[style.across(baseline), spans, dots])

    return build
