"""Marks used by several figures: lines with bands, and points with shapes."""

from typing import Any

import altair as alt

from softtargets.report import numbers
from softtargets.report.drawing import Style
from softtargets.studies.records import Summary


def spread_row(summary: Summary, unit: str, names: tuple[str, str, str]) -> dict[str, float]:
    """Return the mean and mean ± sd in the displayed unit, under these names."""
    mean, sd = numbers.in_unit(summary.mean, unit), numbers.in_unit(summary.sd, unit)
    return dict(zip(names, (mean, mean - sd, mean + sd), strict=True))


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
        mine = style.base([row for row in rows if row["own"] and row["series"] == entry.label])
        point = mine.mark_point(shape=entry.shape, filled=True, size=64, clip=True)
        layers.append(point.encode(x=x, y=y, color=style.colour(), opacity=style.emphasis(), tooltip=tooltip))
    return layers
