"""The figures of an evaluation: reliability diagrams, histograms of confidence, risk-coverage curves."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from softtargets.evaluate.curves import ConfidenceHistogram, ReliabilityBin, ReliabilityDiagram
from softtargets.evaluate.results import EvaluatedModel, EvaluationResults
from softtargets.report import numbers, palette
from softtargets.report.drawing import Drawing, Panel, Series, Style

BINS, CURVE = "accuracy by bin", "smooth curve"
RIGHT, WRONG = "right", "wrong"
# Height of the strip below the diagram that shows the number of rows in each bin; the axes above it are square.
_STRIP = 0.18
_GAP = 0.035
_SQUARE = 300
_DIAGRAM_HEIGHT = round(_SQUARE * (1 + _STRIP))
# The smooth curve is drawn only inside the bins, where the density of rows is above this share of its maximum.
_SPARSE = 0.002
# Number of characters that fit into the title of a panel.
_LONGEST = 28
_FIFTHS = [0, 0.2, 0.4, 0.6, 0.8, 1]
_QUARTERS = [0, 0.25, 0.5, 0.75, 1]


def draw_reliability(results: EvaluationResults, model: EvaluatedModel) -> tuple[Drawing, ...]:
    """Draw the bins of equal width and of equal mass, before and after temperature scaling if there is one."""
    before = model.reliability
    has_intervals = any(entry.interval for entry in before.width)
    note = f"Bars: {100 * results.confidence:g} % intervals." if has_intervals else ""
    series = [Series(BINS, palette.SERIES[0], palette.SHAPES[0], palette.DASHES[0])]
    if before.smooth:
        series.append(Series(CURVE, palette.SERIES[1], palette.SHAPES[1], palette.DASHES[0]))

    def drawing(*panels: Panel) -> Drawing:
        return Drawing(tuple(series), panels, note, _DIAGRAM_HEIGHT)

    def panel(title: str, bins: Sequence[ReliabilityBin], reliability: ReliabilityDiagram) -> Panel:
        return Panel(title, _reliability_chart(bins, _curve(reliability)), "Accuracy")

    if not model.temperature:
        return (
            drawing(
                panel("Bins of equal width", before.width, before), panel("Bins of equal mass", before.mass, before)
            ),
        )
    after = model.temperature.reliability
    return (
        drawing(
            panel("Equal width", before.width, before),
            panel("Equal width, after temperature scaling", after.width, after),
        ),
        drawing(
            panel("Equal mass", before.mass, before), panel("Equal mass, after temperature scaling", after.mass, after)
        ),
    )


def _reliability_chart(bins: Sequence[ReliabilityBin], curve: list[dict[str, Any]]):
    most = max(entry.count for entry in bins)
    filled = [entry for entry in bins if entry.count]
    points = [_point(entry) for entry in filled]
    strip = [
        {**point, "x": entry.low, "x2": entry.high, "y": -_STRIP, "y2": (_STRIP - _GAP) * entry.count / most - _STRIP}
        for entry, point in zip(filled, points, strict=True)
    ]

    def build(style: Style) -> alt.LayerChart:
        x = _shares("Confidence", _FIFTHS)
        ticks = alt.Axis(format=".0%", values=_FIFTHS)
        y = alt.Y("y:Q", title=None, scale=alt.Scale(domain=[-_STRIP, 1], nice=False), axis=ticks)
        tooltip = [alt.Tooltip(f"{name}:N") for name in ("Bin", "Rows", "Confidence", "Accuracy")]
        diagonal = style.base([{"x": 0, "y": 0}, {"x": 1, "y": 1}])
        dots = style.base(points).encode(x=x, color=style.colour(), opacity=style.emphasis(), tooltip=tooltip)
        bars = style.base(strip).mark_bar(
            stroke=style.paint("ground"), strokeWidth=0.5, fillOpacity=0.55, minBandSize=1
        )
        layers: list[Any] = [
            diagonal.mark_line(strokeWidth=1, strokeDash=[4, 3], color=style.paint("muted"), opacity=0.8).encode(
                x=x, y=y
            ),
            _sides(style),
            bars.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", color=style.colour(), tooltip=tooltip),
        ]
        if curve:
            trail = style.base(curve).mark_trail(clip=True)
            size = alt.Size("density:Q", scale=alt.Scale(range=[1, 4.5], zero=True), legend=None)
            layers.append(
                trail.encode(x=x, y=y, size=size, color=style.colour(), opacity=style.emphasis(0.85), order="x:Q")
            )
        layers += [
            dots.mark_rule(strokeWidth=1.6).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
            dots.mark_point(filled=True, size=44, shape="circle", fillOpacity=1).encode(y=y),
        ]
        return alt.LayerChart(layer=layers)

    return build


def _shares(title: str, ticks: list[float]) -> alt.X:
    """Return an axis of shares with its last tick label inside the figure."""
    axis = alt.Axis(format=".0%", grid=False, values=ticks, labelFlush=True)
    return alt.X("x:Q", title=title, scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)


def _point(entry: ReliabilityBin) -> dict[str, Any]:
    interval = entry.interval
    return {
        "series": BINS,
        "x": entry.confidence,
        "y": entry.accuracy,
        "low": interval.low if interval else entry.accuracy,
        "high": interval.high if interval else entry.accuracy,
        "Bin": f"{numbers.rate(entry.low)} to {numbers.rate(entry.high)}",
        "Rows": f"{entry.count:,}",
        "Confidence": f"{numbers.number(entry.confidence, 'percent')} %",
        "Accuracy": f"{numbers.number(entry.accuracy, 'percent')} %"
        + (f" ({_range(interval.low, interval.high)})" if interval else ""),
    }


def _range(low: float, high: float) -> str:
    return f"{numbers.number(low, 'percent')}–{numbers.number(high, 'percent')}"


def _curve(reliability: ReliabilityDiagram) -> list[dict[str, Any]]:
    """Return the smooth curve where there are rows, with their density for the line width."""
    smooth = reliability.smooth
    if smooth is None:
        return []
    most = max(smooth.density)
    filled = [entry for entry in reliability.width if entry.count]
    rows = zip(smooth.confidence, smooth.accuracy, smooth.density, strict=True)
    # square roots keep the line visible where the density is low
    return [
        {"series": CURVE, "x": x, "y": y, "density": (density / most) ** 0.5}
        for x, y, density in rows
        if density > _SPARSE * most and filled[0].low <= x <= filled[-1].high
    ]


def _sides(style: Style) -> alt.Chart:
    """Label the sides of the diagonal."""
    words = [{"x": 0.03, "y": 0.95, "text": "under-confident"}, {"x": 0.68, "y": 0.05, "text": "over-confident"}]
    text = style.base(words).mark_text(align="left", fontSize=11, fontStyle="italic", color=style.paint("muted"))
    return text.encode(x="x:Q", y="y:Q", text="text:N")


def draw_confidences(results: EvaluationResults) -> Drawing:
    """Draw the confidences of right and of wrong rows, one panel for each model."""
    series = (
        Series(RIGHT, palette.SERIES[0], palette.SHAPES[0], palette.DASHES[0]),
        Series(WRONG, palette.SERIES[1], palette.SHAPES[1], palette.DASHES[1]),
    )
    several = len(results.models) > 1
    # one scale for all panels
    top = max(
        max(counts) / max(1, sum(counts))
        for model in results.models
        for counts in (model.histogram.right, model.histogram.wrong)
    )
    panels = tuple(
        Panel(
            _short(model.name) if several else "",
            _confidence_chart(model.histogram, top),
            "Share of right rows, of wrong rows",
        )
        for model in results.models
    )
    return Drawing(series, panels, "", 240)


def _short(name: str) -> str:
    """Return a name shortened to the title of a panel."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _confidence_chart(histogram: ConfidenceHistogram, top: float):
    rows = []
    for name, counts in ((RIGHT, histogram.right), (WRONG, histogram.wrong)):
        total = max(1, sum(counts))
        steps = [
            {
                "series": name,
                "x": low,
                "y": count / total,
                "Confidence": f"{numbers.rate(low)} to {numbers.rate(high)}",
                "Rows": f"{count:,}",
                "Share": f"{numbers.number(count / total, 'percent')} %",
            }
            for low, high, count in zip(histogram.edges, histogram.edges[1:], counts, strict=False)
        ]
        # the last step ends at the last edge
        rows += [*steps, {**steps[-1], "x": histogram.edges[-1]}]

    def build(style: Style) -> alt.LayerChart:
        x = _shares("Confidence", _QUARTERS)
        scale = alt.Scale(domain=[0, 1.05 * top], nice=False)
        y = alt.Y("y:Q", title=None, stack=None, scale=scale, axis=alt.Axis(format="%", tickCount=4))
        tooltip = [alt.Tooltip("series:N", title="Rows")]
        tooltip += [alt.Tooltip(f"{name}:N") for name in ("Confidence", "Rows", "Share")]
        base = style.base(rows).encode(x=x, y=y, color=style.colour())
        return alt.LayerChart(
            layer=[
                base.mark_area(interpolate="step-after", fillOpacity=0.16).encode(
                    opacity=style.emphasis(1.0, 0.15), tooltip=tooltip
                ),
                base.mark_line(interpolate="step-after", strokeWidth=1.8).encode(
                    strokeDash=style.dash(), opacity=style.emphasis(), tooltip=tooltip
                ),
            ]
        )

    return build


def draw_risk(results: EvaluationResults) -> Drawing:
    """Draw the error of the most confident rows by the share of rows kept, one line for each model."""
    series = tuple(
        Series(
            model.name,
            palette.SERIES[i % len(palette.SERIES)],
            palette.SHAPES[i % len(palette.SHAPES)],
            palette.DASHES[i % len(palette.DASHES)],
        )
        for i, model in enumerate(results.models)
    )
    return Drawing(series, (Panel("", _risk_chart(results), "Error among the rows kept"),), "")


def _risk_chart(results: EvaluationResults):
    rows = [
        {"series": model.name, "x": x, "y": y}
        for model in results.models
        for x, y in zip(model.risk_coverage.coverage, model.risk_coverage.risk, strict=True)
    ]
    # the error of the first few rows varies strongly and does not set the scale
    settled = [row["y"] for row in rows if row["x"] >= 0.02]
    top = 1.08 * max([0.01, *settled])

    def build(style: Style) -> alt.LayerChart:
        x = _shares("Rows kept, most confident first", _QUARTERS)
        y = alt.Y("y:Q", title=None, scale=alt.Scale(domain=[0, top], nice=False), axis=alt.Axis(format="~%"))
        tooltip = [
            alt.Tooltip("series:N", title="Model"),
            alt.Tooltip("x:Q", title="Kept", format=".1%"),
            alt.Tooltip("y:Q", title="Error", format=".2%"),
        ]
        line = style.base(rows).mark_line(strokeWidth=2, clip=True)
        return alt.LayerChart(
            layer=[
                line.encode(
                    x=x,
                    y=y,
                    color=style.colour(),
                    strokeDash=style.dash(),
                    opacity=style.emphasis(),
                    tooltip=tooltip,
                )
            ]
        )

    return build
