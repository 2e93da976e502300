"""One measure against another: one point for each cell, with the correlation over the cells."""

import math
from dataclasses import dataclass
from itertools import product
from statistics import fmean, stdev
from typing import Any, Self

import altair as alt

from softtargets.metrics.statistics import correlation_interval, paired_t, pearson
from softtargets.report import numbers, palette
from softtargets.report.drawing import Build, Drawing, Panel, Series, Style, extents
from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies import labels
from softtargets.studies.layout import cells
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.marks import SPREADS, crosses, markers, sides
from softtargets.studies.outputs.series import FigureCells
from softtargets.studies.records import CellKey
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Noise, Output

LEVEL = 0.05
_LEAST_CELLS = 4


@dataclass(frozen=True)
class Correlation:
    """Pearson's correlation of two metrics over the cells of one kind of noise.

    Args:
        noise, metric: the kind of noise, and the metric on the vertical axis.
        r: correlation of the means over seeds.
        low, high: 95 % interval of `r`, with the cells as independent pairs (Fisher's transformation).
        cells: number of cells.
        by_seed: mean over seeds of the correlation at each seed; None if fewer than two seeds have all cells.
        seed_low, seed_high: 95 % t interval of `by_seed`.
        seeds: number of these seeds.
    """

    noise: Noise
    metric: str
    r: float
    low: float
    high: float
    cells: int
    by_seed: float | None = None
    seed_low: float | None = None
    seed_high: float | None = None
    seeds: int = 0


@output_kind("scatter")
@dataclass(frozen=True)
class ScatterOutput(OutputKind):
    """A point for each cell, and the correlation over the cells."""

    takes_x = True
    takes_spread = True

    correlations: tuple[Correlation, ...] = ()

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        noises = dict.fromkeys(key.noise for key in cells(evidence.study, output, evidence.scale))
        found = (_correlation(output, evidence, noise, metric) for noise, metric in product(noises, output.metrics))
        return cls(tuple(one for one in found if one is not None))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw one panel for each kind of noise and metric."""
        figure, across = FigureCells(results, output), output.x or ""
        known = {(one.noise, one.metric): one for one in self.correlations}
        panels, series = [], {}
        for noise, metric in product(figure.noises, output.metrics):
            rows = []
            for key in (key for key in figure.keys if key.noise == noise):
                x, y = results.summary(key, across), results.summary(key, metric)
                if x is not None and y is not None and math.isfinite(x.mean) and math.isfinite(y.mean):
                    series[key] = _look(figure.name(key), figure.keys.index(key))
                    spots = sides("x", x, across, output.spread) | sides("y", y, metric, output.spread)
                    rows.append({"series": figure.name(key), "own": True, **spots})
            if rows:
                told = ", ".join(filter(None, (figure.noise(noise), _told(known.get((noise, metric))))))
                panels.append(Panel(told, _chart(rows, across), labels.heading(metric)))
        note = f"Each point is a method; thin lines: {SPREADS[output.spread]}. r: correlation of the means."
        return Drawing(tuple(series.values()), tuple(panels), note, height=340)

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the correlations and their intervals."""
        figure = FigureCells(results, output)
        rows = tuple(_row(figure, output, one) for one in self.correlations)
        caption = f"Correlation with {labels.measure(output.x or '').label}."
        columns = ("Measure", "r of the means", "95 % interval", "Points", "mean r by seed", "95 % interval", "Seeds")
        return PlainTable(caption, columns, (("", rows),)) if rows else None


def _look(label: str, place: int) -> Series:
    """Return a style that no other point has, up to the number of colours times that of shapes."""
    round_, colour = divmod(place, len(palette.SERIES))
    shape = palette.SHAPES[round_ % len(palette.SHAPES)]
    return Series(label, palette.SERIES[colour], shape, palette.DASHES[0], dots=True)


def _correlation(output: Output, evidence: Evidence, noise: Noise, metric: str) -> Correlation | None:
    """Return the correlation over the cells of a kind of noise; None for fewer than four cells with numbers."""
    values: dict[CellKey, dict[int, tuple[float, float]]] = {}
    for key in cells(evidence.study, output, evidence.scale):
        pairs = {
            record.seed: (record.metrics[output.x or ""], record.metrics[metric])
            for record in evidence.complete(key)
            if output.x in record.metrics and metric in record.metrics
        }
        if key.noise == noise and pairs:
            values[key] = pairs
    if len(values) < _LEAST_CELLS:
        return None
    means = [[fmean(pair[side] for pair in pairs.values()) for pairs in values.values()] for side in (0, 1)]
    r = pearson(*means)
    if r is None:
        return None
    whole = Correlation(noise, metric, r, *correlation_interval(r, len(values), LEVEL), len(values))
    common = sorted(set.intersection(*(set(pairs) for pairs in values.values())))
    each = [pearson(*zip(*(pairs[seed] for pairs in values.values()), strict=True)) for seed in common]
    defined = [one for one in each if one is not None]
    if len(defined) < 2:
        return whole
    mean, count = fmean(defined), len(defined)
    ends = paired_t(mean, stdev(defined) / math.sqrt(count), count, LEVEL)
    return Correlation(noise, metric, r, whole.low, whole.high, whole.cells, mean, *ends, count)


def _told(found: Correlation | None) -> str:
    if found is None:
        return ""
    r, low, high = (numbers.number(value, "fraction", signed=True) for value in (found.r, found.low, found.high))
    return f"r = {r} ({low} to {high}, {found.cells} points)"


def _row(figure: FigureCells, output: Output, found: Correlation) -> PlainRow:
    name = ", ".join(filter(None, (figure.noise(found.noise), labels.measure(found.metric).label)))

    def number(value: float | None) -> str:
        return numbers.NOTHING if value is None else numbers.number(value, "fraction", signed=True)

    by_seed = found.seed_low is None or found.seed_high is None
    interval = numbers.NOTHING if by_seed else f"{number(found.seed_low)} to {number(found.seed_high)}"
    return PlainRow(
        name,
        (
            (number(found.r), found.r),
            (f"{number(found.low)} to {number(found.high)}", None),
            (str(found.cells), float(found.cells)),
            (number(found.by_seed), found.by_seed),
            (interval, None),
            (str(found.seeds), float(found.seeds)),
        ),
    )


def _chart(rows: list[dict[str, Any]], across: str) -> Build:
    def build(style: Style) -> alt.LayerChart:
        title = labels.heading(across)
        x_scale, y_scale = (
            style.window(*extents(rows, f"{axis}_low", f"{axis}_high"), zero=False) for axis in ("x", "y")
        )
        x = alt.X("x:Q", title=title, scale=x_scale, axis=alt.Axis(grid=False, tickCount=6))
        y = alt.Y("y:Q", title=None, scale=y_scale)
        tooltip = [alt.Tooltip("series:N", title="Method"), alt.Tooltip("x_text:N", title=title)]
        tooltip += [alt.Tooltip("y_text:N", title="Mean ± sd (n)")]
        return alt.LayerChart(layer=[*crosses(rows, style, x, y), *markers(rows, style, x, y, tooltip)])

    return build
