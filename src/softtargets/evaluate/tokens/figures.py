"""The figures of the tokens of sequences: confidence and NLL by position or frequency."""

from typing import Any

import altair as alt

from softtargets.evaluate.results import EvaluationResults
from softtargets.evaluate.text import range_of, text_of
from softtargets.evaluate.tokens.results import TokenRange, TokenTable
from softtargets.evaluate.values import MetricValue
from softtargets.report import palette
from softtargets.report.drawing import Drawing, Panel, Series, Style

BEFORE, AFTER = "as given", "after temperature scaling"
_HEIGHT = 240


def draw_ranges(results: EvaluationResults, table: TokenTable, x_title: str) -> Drawing:
    """Draw confidence − accuracy and the NLL of each range, before and after temperature scaling."""
    is_scaled = any(one.scaled for one in table.ranges)
    series = [
        Series(name, palette.SERIES[place], palette.SHAPES[place], palette.DASHES[0], dots=True)
        for place, name in enumerate((BEFORE, AFTER) if is_scaled else (BEFORE,))
    ]
    panels = (
        Panel("Confidence − accuracy", _chart(table, "overconfidence", x_title), "Confidence − accuracy"),
        Panel("NLL", _chart(table, "nll", x_title), "NLL, nats"),
    )
    return Drawing(tuple(series), panels, f"Bars: {100 * results.confidence:g} % intervals.", _HEIGHT)


def _chart(table: TokenTable, name: str, x_title: str):
    points = [_point(one, BEFORE, one.metric(name)) for one in table.ranges]
    points += [_point(one, AFTER, metric) for one in table.ranges if (metric := one.after(name)) is not None]
    points = [point for point in points if point is not None]
    order = [one.text for one in table.ranges]
    is_share = name == "overconfidence"

    def build(style: Style) -> alt.LayerChart:
        x = alt.X(
            "x:N",
            title=x_title,
            sort=order,
            axis=alt.Axis(labelAngle=-40, labelLimit=150, labelOverlap=False, grid=False),
        )
        axis = alt.Axis(format="+.0%" if is_share else "~r", tickCount=5)
        y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=is_share), axis=axis)
        tooltip = [alt.Tooltip("series:N", title="Predictions")]
        tooltip += [alt.Tooltip(f"{field}:N") for field in ("Range", "Tokens", "Value")]
        base = style.base(points).encode(
            x=x, xOffset=_offset(), color=style.colour(), opacity=style.emphasis(), tooltip=tooltip
        )
        layers: list[Any] = []
        if is_share:
            zero = style.base([{"y": 0}])
            layers.append(zero.mark_rule(color=style.paint("muted"), strokeDash=[4, 3]).encode(y="y:Q"))
        layers += [
            base.mark_rule(strokeWidth=1.6).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
            base.mark_point(filled=True, size=44, fillOpacity=1).encode(y=y),
        ]
        return alt.LayerChart(layer=layers)

    return build


def _offset() -> alt.XOffset:
    return alt.XOffset("series:N", sort=[BEFORE, AFTER], scale=alt.Scale(paddingInner=0.6, paddingOuter=0.8))


def _point(one: TokenRange, series: str, metric: MetricValue) -> dict[str, Any] | None:
    """Return a point of a chart; None for a value that cannot be drawn."""
    if metric.value is None or metric.value == float("inf"):
        return None
    unit = metric.definition.unit
    ends = range_of(metric.interval, unit)
    return {
        "series": series,
        "x": one.text,
        "y": metric.value,
        "low": metric.interval.low if metric.interval else metric.value,
        "high": metric.interval.high if metric.interval else metric.value,
        "Range": one.text,
        "Tokens": f"{one.tokens:,}",
        "Value": text_of(metric.value, unit) + (f" ({ends})" if ends else ""),
    }
