"""Figures: one specification, styled for the page (with theme and variable width) or for a file."""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Self

import altair as alt
from altair.utils import schemapi

from softtargets.report import palette, static
from softtargets.report.frame import data_uri

Extent = tuple[float, float]
Build = Callable[["Style"], alt.LayerChart]

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
_PAGE_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
_FILE_WIDTHS = {1: 560, 2: 330}
_NARROW = 250
# In a file, a legend with more characters than this has two columns.
_LONG_LEGEND = 80
# The index of the series that is highlighted in the legend of the page; -1 for none.
_FOCUS = {"name": "focus", "value": -1}


class PanelChart(alt.Chart):
    """A chart whose encodings may be written in short as text, such as "x:Q", or as a dict with a value.

    Altair finds the class of such an encoding by comparing it with the schema, which takes as long as all else.
    """

    def encode(self, *args: Any, **channels: Any) -> Self:
        """Return the chart with more encodings."""
        return super().encode(*args, **{name: _channel(name, given) for name, given in channels.items()})


def _channel(name: str, given: Any) -> Any:
    channel = name[0].upper() + name[1:]
    if isinstance(given, str):
        return getattr(alt, channel)(given)
    return getattr(alt, f"{channel}Value")(**given) if isinstance(given, dict) and "value" in given else given


@dataclass(frozen=True)
class Series:
    """One entry of a legend: label, name of the colour, shape and dash; `dots`: points without a line."""

    label: str
    colour: str
    shape: str
    dash: tuple[int, ...]
    dots: bool = False


@dataclass(frozen=True)
class Panel:
    """One set of axes: title, function that draws it in a style, and title of the vertical axis."""

    title: str
    build: Build
    y_title: str


@dataclass(frozen=True)
class Style:
    """Scales, fonts and colours. `paint` returns a colour by name; `legend`: whether the drawing contains a legend.

    `size` is the width and height of a panel in pixels; None on the page, where the width is variable. `datasets` gets
    the rows of the charts by name: Altair would copy rows inside a chart at every step.
    """

    series: tuple[Series, ...]
    paint: palette.Colour
    legend: bool
    size: tuple[int, int] | None = None
    datasets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def base(self, rows: list[dict[str, Any]]) -> "PanelChart":
        """Return a chart of these rows, with the index of each row's series in the legend."""
        place = {entry.label: i for i, entry in enumerate(self.series)}
        known = [{**row, "place": place[row["series"]]} if "series" in row else row for row in rows]
        name = f"data-{hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]}"
        self.datasets[name] = known
        return PanelChart(alt.NamedData(name=name))

    def specification(self, content: dict[str, Any], font: str) -> dict[str, Any]:
        """Return the specification of a whole figure with its rows."""
        return {"$schema": alt.SCHEMA_URL, **content, "datasets": self.datasets, "config": self.config(font)}

    def window(self, whole: Extent, each: dict[str, Extent], **settings: Any) -> alt.Scale:
        """Return a scale over `whole`; on the page it changes to the range in `each` of the highlighted series."""
        if self.legend:
            return alt.Scale(domain=list(whole), nice=False, **settings)
        extents = [each.get(entry.label, whole) for entry in self.series]
        low, high = ([extent[side] for extent in extents] for side in (0, 1))
        return alt.Scale(
            domainMin=alt.ExprRef(f"focus < 0 ? {whole[0]} : {low}[focus]"),
            domainMax=alt.ExprRef(f"focus < 0 ? {whole[1]} : {high}[focus]"),
            nice=False,
            **settings,
        )

    def equal(self, x: Extent, y: Extent) -> tuple[alt.Scale, alt.Scale]:
        """Return scales with equal units on both axes that include `x` and `y`."""
        middles = [(low + high) / 2 for low, high in (x, y)]
        halves = [(high - low) / 2 for low, high in (x, y)]
        if self.size is not None:
            unit = max(2 * half / length for half, length in zip(halves, self.size, strict=True))
            reach = [unit * length / 2 for length in self.size]
            scales = [
                alt.Scale(domain=[middle - r, middle + r], nice=False) for middle, r in zip(middles, reach, strict=True)
            ]
        else:
            unit = f"max({halves[0]} / width, {halves[1]} / height)"
            scales = [
                alt.Scale(
                    domainMin=alt.ExprRef(f"{middle} - {length} * {unit}"),
                    domainMax=alt.ExprRef(f"{middle} + {length} * {unit}"),
                    nice=False,
                )
                for middle, length in zip(middles, ("width", "height"), strict=True)
            ]
        return scales[0], scales[1]

    def _domain(self) -> list[str]:
        return [entry.label for entry in self.series]

    def _legend(self) -> alt.Legend | None:
        if not self.legend:
            return None
        dots = all(entry.dots for entry in self.series)
        return alt.Legend(
            title=None,
            orient="top",
            columns=2 if sum(map(len, self._domain())) > _LONG_LEGEND else 0,
            labelLimit=400,
            symbolOpacity=1,
            **({} if dots else {"symbolType": "stroke", "symbolSize": 400, "symbolStrokeWidth": 2}),
        )

    def colour(self) -> alt.Color:
        """Return the colour of a series."""
        scale = alt.Scale(domain=self._domain(), range=[self.paint(entry.colour) for entry in self.series])
        return alt.Color("series:N", scale=scale, legend=self._legend())

    def dash(self) -> alt.StrokeDash:
        """Return the dash of a series."""
        scale = alt.Scale(domain=self._domain(), range=[list(entry.dash) for entry in self.series])
        return alt.StrokeDash("series:N", scale=scale, legend=self._legend())

    def shape(self) -> alt.Shape:
        """Return the shape of a series of dots."""
        scale = alt.Scale(domain=self._domain(), range=[entry.shape for entry in self.series])
        return alt.Shape("series:N", scale=scale, legend=self._legend())

    def emphasis(self, full: float = 1.0, faint: float = 0.12):
        """Return an opacity that fades all series except the one highlighted in the legend of the page."""
        if self.legend:
            return alt.value(full)
        return alt.when("focus < 0 || datum.place === focus").then(alt.value(full)).otherwise(alt.value(faint))

    def upright(self, x: float, text: str) -> alt.LayerChart:
        """Return a vertical reference line with its text at the top."""
        chart = self.base([{"x": x, "text": text}]).encode(x="x:Q")
        words = chart.mark_text(
            align="left", dx=5, dy=2, baseline="top", fontSize=11, color=self.paint("muted")
        ).encode(y=alt.value(0), text="text:N")
        return alt.LayerChart(layer=[self._reference(chart), words])

    def across(self, y: float) -> alt.Chart:
        """Return a horizontal reference line."""
        return self._reference(self.base([{"y": y}]).encode(y="y:Q"))

    def _reference(self, chart: alt.Chart) -> alt.Chart:
        return chart.mark_rule(strokeDash=[4, 3], strokeWidth=1, color=self.paint("muted"), opacity=0.8)

    def finish(self, panel: Panel, height: int) -> dict[str, Any]:
        """Return a panel with its titles; the title of the vertical axis is horizontal, above the panel.

        Titles and sizes are added to the specification, since Altair copies a whole chart for each of them.
        """
        drawn = panel.build(self).to_dict(validate=False)
        content = {name: part for name, part in drawn.items() if name not in ("$schema", "config")}
        title = {"text": panel.y_title}
        if panel.title:
            title = {"text": panel.title, "subtitle": panel.y_title}
        return {**content, "height": height, "title": title}

    def config(self, font: str) -> dict[str, Any]:
        """Return the style of axes, titles and legends."""
        ink, muted, line = self.paint("ink"), self.paint("muted"), self.paint("line")
        return {
            "font": font,
            "background": None if not self.legend else "#ffffff",
            "view": {"stroke": None},
            "axis": {
                "domainColor": muted,
                "tickColor": muted,
                "gridColor": line,
                "labelColor": muted,
                "titleColor": ink,
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "titlePadding": 8,
                "labelPadding": 5,
                "tickSize": 4,
                "labelOverlap": "greedy",
                "labelFlush": False,
                "labelSeparation": 4,
            },
            "axisY": {"domain": False, "ticks": False, "tickCount": 6},
            "title": {
                "anchor": "start",
                "frame": "group",
                "color": ink,
                "subtitleColor": muted,
                "fontSize": 13,
                "fontWeight": 600,
                "subtitleFontSize": 12,
                "offset": 12,
            },
            "legend": {"labelColor": ink, "labelFontSize": 12, "symbolStrokeWidth": 2},
        }


@dataclass(frozen=True)
class Drawing:
    """A figure: series of the legend, panels, and a note for the reader.

    `columns` is the largest number of panels in a row.
    """

    series: tuple[Series, ...]
    panels: tuple[Panel, ...]
    note: str
    height: int = 300
    columns: int = 3

    @property
    def in_row(self) -> int:
        """Number of panels in a row; four panels are laid out as two and two."""
        four = len(self.panels) == 4 and self.columns > 2
        return 2 if four else min(len(self.panels), self.columns)

    def page_specs(self, description: str) -> list[dict[str, Any]]:
        """Return one specification for each panel, as wide as its container; the page draws the legend."""
        with unvalidated():
            return [self._page_spec(panel, description) for panel in self.panels]

    def _page_spec(self, panel: Panel, description: str) -> dict[str, Any]:
        style = Style(self.series, palette.on_page, legend=False)
        content = {
            **style.finish(panel, self.height),
            "width": "container",
            "autosize": {"type": "fit-x", "contains": "padding"},
            "description": f"{description} {panel.title or panel.y_title}".strip(),
            "params": [_FOCUS],
        }
        return style.specification(content, _PAGE_FONT)

    def still(self) -> str:
        """Return the address of an SVG image for readers without JavaScript; empty text without vl-convert."""
        return data_uri("image/svg+xml", self.svg().encode()) if static.is_available() else ""

    def svg(self) -> str:
        """Return the figure as SVG on a white background.

        Raises:
            InputError: if vl-convert is not installed.
        """
        return static.to_svg(self._file_spec())

    def png(self) -> bytes:
        """Return the figure as PNG on a white background.

        Raises:
            InputError: if vl-convert is not installed.
        """
        return static.to_png(self._file_spec())

    def _file_spec(self) -> dict[str, Any]:
        with unvalidated():
            return self._whole()

    def _whole(self) -> dict[str, Any]:
        width = _FILE_WIDTHS.get(self.in_row, _NARROW)
        style = Style(self.series, palette.in_file, legend=True, size=(width, self.height))
        panels = [{**style.finish(panel, self.height), "width": width} for panel in self.panels]
        whole = panels[0] if len(panels) == 1 else {"concat": panels, "columns": self.in_row}
        return {**style.specification(whole, FONT), "padding": 16}


def unvalidated() -> AbstractContextManager[None]:
    """Return a context in which Altair does not compare each part of a chart with its schema.

    That takes a third of the time of a figure, and finds only errors of the program, which tests find: they convert
    figures of every kind, and a specification that is invalid is not converted.
    """
    return schemapi.debug_mode(False)


def padded(low: float, high: float, share: float = 0.06) -> Extent:
    """Return a range with padding on both sides."""
    room = share * (high - low) or 1.0
    return low - room, high + room


def extent(rows: list[dict[str, Any]], low: str, high: str, share: float = 0.06) -> Extent:
    """Return the range of two columns of some rows, with padding on both sides."""
    return padded(min(row[low] for row in rows), max(row[high] for row in rows), share)


def extents(
    rows: list[dict[str, Any]], low: str, high: str, beside: Iterable[dict[str, Any]] = ()
) -> tuple[Extent, dict[str, Extent]]:
    """Return the range of all rows, and the range of each series with the rows `beside`, by label."""
    every: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        every.setdefault(row["series"], [*beside]).append(row)
    return extent(rows, low, high), {name: extent(own, low, high) for name, own in every.items()}
