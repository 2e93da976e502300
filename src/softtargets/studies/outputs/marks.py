"""Marks used by several figures: lines with bands, and points with shapes."""

from typing import Any

import altair as alt

from softtargets.report import numbers
from softtargets.report.drawing import Style
from softtargets.studies import labels
from softtargets.studies.records import Summary

SPREADS = {None: "± 1 sd over seeds", "sd": "± 1 sd over seeds", "range": "minimum to maximum over seeds"}


def spread_row(summary: Summary, unit: str, names: tuple[str, str, str], spread: str | None = None) -> dict[str, float]:
    """Return the mean and the ends of the spread in the displayed unit, under these names."""
    mean, sd = numbers.in_unit(summary.mean, unit), numbers.in_unit(summary.sd, unit)
    ends = (mean - sd, mean + sd)
    if spread == "range":
        ends = (numbers.in_unit(summary.low, unit), numbers.in_unit(summary.high, unit))
    return dict(zip(names, (mean, *ends), strict=True))


def sides(axis: str, summary: Summary, metric: str, spread: str | None) -> dict[str, Any]:
    """Return the position, the ends of the spread and the text of a measure on the axis "x" or "y"."""
    unit = labels.measure(metric).unit
    ends = spread_row(summary, unit, (axis, f"{axis}_low", f"{axis}_high"), spread)
    return {**ends, f"{axis}_text": labels.summary_text(summary, unit)}


def crosses(rows: list[dict[str, Any]], style: Style, x: alt.X, y: alt.Y) -> list[Any]:
    """Return a thin upright and a thin level line through each point, as long as the spread of its measures."""
    thin = style.base(rows).mark_rule(strokeWidth=1, clip=True)
    faint = {"color": style.colour(), "opacity": style.emphasis(0.45)}
    return [
        thin.encode(x=x, y=_like(y, "y_low"), y2="y_high:Q", **faint),
        thin.encode(y=y, x=_like(x, "x_low"), x2="x_high:Q", **faint),
    ]


def _like(axis: Any, name: str) -> Any:
    """Return an axis with another field."""
    return type(axis)(f"{name}:Q", **{key: axis[key] for key in ("title", "scale") if axis[key] is not alt.Undefined})


def band_and_line(base: alt.Chart, style: Style, y: alt.Y) -> list[Any]:
    """Return a band from `low` to `high` with a line."""
    band, line = base.mark_area(opacity=0.16, clip=True), base.mark_line(strokeWidth=2, clip=True)
    return [
        band.encode(y=alt.Y("low:Q", title=None), y2="high:Q", fillOpacity=style.emphasis(1.0, 0.15)),
        line.encode(y=y, strokeDash=style.dash(), opacity=style.emphasis()),
    ]


def markers(rows: list[dict[str, Any]], style: Style, x: alt.X, y: alt.Y, tooltip: list[alt.Tooltip]) -> list[Any]:
    """Return the points of each series.

    Each series is a layer of its own, because a scale for shapes would replace the dashes in the legend.
    """
    layers = []
    for entry in style.series:
        mine = [row for row in rows if row["own"] and row["series"] == entry.label]
        if not mine:
            # a layer without rows has no extent, of which the page would warn
            continue
        point = style.base(mine).mark_point(shape=entry.shape, filled=True, size=64, clip=True)
        layers.append(point.encode(x=x, y=y, color=style.colour(), opacity=style.emphasis(), tooltip=tooltip))
    return layers
