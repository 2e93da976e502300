"""Histograms of logits as densities, pooled over the seeds of each cell."""

from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from statistics import median
from typing import Self

import altair as alt
import torch
from torch import Tensor

from softtargets.measures import MEASURES
from softtargets.measures.gaps import gaps_of
from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Extent, Panel, Style, padded
from softtargets.studies import labels
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.series import FigureCells, keyed
from softtargets.studies.records import CellKey
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output

BINS = 40
SAMPLE = 1_000_000
# A density that is this many times as wide as the median density does not set the range of the axis.
_FAR = 8.0
# Smallest number of bins on the axis.
_FEWEST_BINS = 8


@dataclass(frozen=True)
class Density:
    """A histogram as a density, pooled over the seeds of a cell: `edges` (B + 1), `density` (B).

    The lowest and the highest 0.5 % lie outside the edges; `mean` and `count` include all values.
    """

    key: CellKey
    metric: str
    edges: tuple[float, ...]
    density: tuple[float, ...]
    mean: float
    count: int


@output_kind("density")
@dataclass(frozen=True)
class DensityOutput(OutputKind):
    """Densities of logit gaps."""

    metrics = tuple(metric for metric in MEASURES if metric.startswith("gap."))
    densities: tuple[Density, ...] = ()

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        return cls(evidence.gathered(output, output.metrics, _gather))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the densities, one panel for each kind of noise and metric, one series for each cell."""
        figure, known = FigureCells(results, output), keyed(self.densities, "metric")
        series, panels, far = [], [], []
        for noise, metric in product(figure.noises, output.metrics):
            found = figure.shown(known, noise, metric)
            series += map(figure.look, found)
            if found:
                by_name = {figure.name(key): density for key, density in found.items()}
                narrowest = min(density.edges[1] - density.edges[0] for density in found.values())
                window, beyond = _window({name: _bulk(density) for name, density in by_name.items()}, narrowest)
                far += beyond
                title = " · ".join(filter(None, [labels.measure(metric).label, figure.noise(noise)]))
                panels.append(Panel(title, _chart(by_name, window, metric), "Density"))
        note = [*figure.levels, "Densities pooled over seeds; vertical lines: means."]
        if far:
            names = ", ".join(dict.fromkeys(far))
            note += [f"Beyond the axis: {names}. Select a name in the legend to see its whole range."]
        return Drawing(tuple(dict.fromkeys(series)), tuple(panels), " ".join(note))


def _gather(evidence: Evidence, key: CellKey, metric: str) -> Density | None:
    parts = [gaps_of(predictions, metric.removeprefix("gap.")) for predictions in evidence.predictions(key)]
    gaps = torch.cat(parts).double() if parts else torch.empty(0)
    return _histogram(key, metric, gaps) if len(gaps) else None


def _histogram(key: CellKey, metric: str, gaps: Tensor) -> Density:
    """Bin the middle 99 % of the gaps; with an unbounded loss, a few logits are too large to draw."""
    sample = gaps[:: max(1, len(gaps) // SAMPLE)]
    low, high = torch.quantile(sample, sample.new_tensor([0.005, 0.995])).tolist()
    high = high if high > low else low + 1.0
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    inside = gaps[(gaps >= low) & (gaps <= high)]
    counts = torch.bincount(torch.bucketize(inside, edges[1:-1]), minlength=BINS).double()
    density = counts / len(gaps) * BINS / (high - low)
    return Density(key, metric, tuple(edges.tolist()), tuple(density.tolist()), float(gaps.mean()), len(gaps))


def _bulk(density: Density) -> Extent:
    """Return the range of the bins with the middle 98 % of a histogram."""
    masses = [height * (b - a) for height, (a, b) in zip(density.density, pairwise(density.edges), strict=True)]
    whole, below = sum(masses), list(accumulate(masses))
    first = next((i for i, mass in enumerate(below) if mass >= 0.01 * whole), 0)
    last = next((i for i, mass in enumerate(below) if mass >= 0.99 * whole), len(masses) - 1)
    return density.edges[first], density.edges[last + 1]


def _window(bulks: dict[str, Extent], bin_width: float) -> tuple[Extent, list[str]]:
    """Return the range of the axis, which ignores far wider densities, and the names of those that exceed it."""
    usual = median(high - low for low, high in bulks.values())
    least = _FEWEST_BINS * bin_width
    kept = [(low, high) for low, high in bulks.values() if high - low <= _FAR * usual or usual < least]
    low, high = min(low for low, _ in kept), max(high for _, high in kept)
    return (low, high), [name for name, bulk in bulks.items() if bulk[0] < low or bulk[1] > high]


def _chart(found: dict[str, Density], window: Extent, metric: str) -> Build:
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
        rule = style.base(means).mark_rule(strokeWidth=1.6, clip=True).encode(x=x, color=style.colour())
        tooltip = [alt.Tooltip("series:N", title="Method"), "Mean:N", "Examples:N"]
        layers = [
            base.mark_area(opacity=0.1, clip=True).encode(fillOpacity=style.emphasis(1.0, 0.1)),
            line.encode(strokeDash=style.dash(), opacity=style.emphasis()),
            rule.encode(opacity=style.emphasis(0.9), tooltip=tooltip, strokeDash=style.dash()),
        ]
        return alt.LayerChart(layer=layers)

    return build
