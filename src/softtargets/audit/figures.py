"""Figures of an audit: the heat map of the transition, and the number of wrong labels at each cutoff."""

from dataclasses import dataclass

import altair as alt
import torch

from softtargets.audit.results import AuditResults
from softtargets.report import palette
from softtargets.report.drawing import Drawing, Panel, Series, Style

# Largest number of classes in the heat map; those with the most estimated errors are shown.
_MOST_CLASSES = 30
# Up to this many classes, the cells contain numbers.
_MOST_NUMBERED = 16
_DARK = 0.6
ESTIMATED, TRUE = "estimated wrong", "wrong according to the reference"


@dataclass(frozen=True)
class HeatShare:
    """A share in a cell: value, text, strength of its colour in percent, and whether the colour is dark."""

    value: float
    text: str
    share: float
    strong: bool


@dataclass(frozen=True)
class HeatCell:
    """A cell: the estimated share and, below it, that of the reference. `words` contains both as text."""

    parts: tuple[HeatShare, ...]
    words: str


@dataclass(frozen=True)
class HeatRow:
    """A clean class, its cells, and the distance of its row to the reference."""

    name: str
    cells: tuple[HeatCell, ...]
    distance: float | None


@dataclass(frozen=True)
class HeatMap:
    """A heat map. `left_out` classes are not shown; a `fine` map has no numbers in its cells."""

    names: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    left_out: int
    fine: bool


def heat_map(results: AuditResults) -> HeatMap:
    """Lay out the chosen estimate and, below it, the transition of the reference."""
    all_names = results.audited.class_names
    matrices = [results.noise.estimate.transition.to_dense()]
    matrices += [results.noise.reference.transition.to_dense()] if results.noise.reference else []
    errors = torch.tensor([found.clean * found.lost for found in results.classes])
    kept = errors.argsort(descending=True, stable=True)[:_MOST_CLASSES].sort().values.tolist()
    names = tuple(all_names[index] for index in kept)
    distance = results.noise.estimate.distance
    rows = []
    for clean in kept:
        cells = []
        for observed in kept:
            values = [float(matrix[clean, observed]) for matrix in matrices]
            words = f"{all_names[clean]} → {all_names[observed]}: "
            cells.append(HeatCell(tuple(map(_share, values)), words + " / ".join(f"{value:.3f}" for value in values)))
        rows.append(HeatRow(all_names[clean], tuple(cells), None if distance is None else distance[clean]))
    return HeatMap(names, tuple(rows), len(all_names) - len(kept), len(kept) > _MOST_NUMBERED)


def _share(value: float) -> HeatShare:
    strength = max(value, 0.0) ** 0.5
    text = "1" if value >= 0.995 else f"{value:.2f}".removeprefix("0") if value >= 0.005 else "·"
    return HeatShare(value, text, round(100 * strength, 1), strength > _DARK)


def draw_cutoffs(results: AuditResults) -> Drawing:
    """Draw the number of wrong labels among the most suspect ones."""
    series = [Series(ESTIMATED, palette.SERIES[0], palette.SHAPES[0], palette.DASHES[0])]
    if results.noise.reference:
        series.append(Series(TRUE, palette.SERIES[1], palette.SHAPES[1], palette.DASHES[1]))
    band = "range of the estimate"
    note = f"Band: {band}. Thin line: all labels wrong."
    return Drawing(tuple(series), (Panel("", _cutoffs_chart(results), "Wrong labels"),), note)


def _cutoffs_chart(results: AuditResults):
    rows = [
        {
            "series": ESTIMATED,
            "x": cutoff.first,
            "y": cutoff.wrong.estimate,
            "low": cutoff.wrong.low,
            "high": cutoff.wrong.high,
            "Wrong": f"{cutoff.wrong.estimate:,.0f} ({cutoff.wrong.low:,.0f}–{cutoff.wrong.high:,.0f})",
        }
        for cutoff in results.ranking.cutoffs
    ]
    true = [
        {"series": TRUE, "x": cutoff.first, "y": cutoff.true, "Wrong": f"{cutoff.true:,}"}
        for cutoff in results.ranking.cutoffs
        if cutoff.true is not None
    ]
    last = results.ranking.cutoffs[-1].first
    # an axis needs a positive length even if no label is wrong
    top = max(1.0, *(row.get("high", row["y"]) for row in [*rows, *true]))
    edge = min(float(last), top)

    def build(style: Style) -> alt.LayerChart:
        x = alt.X(
            "x:Q",
            title="Labels inspected, most suspect first",
            scale=alt.Scale(domain=[0, last], nice=False),
            axis=alt.Axis(grid=False, format="~s"),
        )
        y = alt.Y("y:Q", title=None, scale=alt.Scale(domain=[0, 1.05 * top], nice=False), axis=alt.Axis(format="~s"))
        tooltip = [
            alt.Tooltip("series:N", title="Count"),
            alt.Tooltip("x:Q", title="Labels inspected", format=","),
            alt.Tooltip("Wrong:N", title="Wrong"),
        ]
        all_wrong = style.base([{"x": 0, "y": 0}, {"x": edge, "y": edge}])
        band = style.base(rows).mark_area(opacity=0.16, clip=True)
        line = style.base([*rows, *true]).mark_line(strokeWidth=2, clip=True)
        return alt.LayerChart(
            layer=[
                all_wrong.mark_line(strokeWidth=1, color=style.paint("muted"), opacity=0.6).encode(x=x, y=y),
                band.encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q", color=style.colour()),
                line.encode(
                    x=x,
                    y=y,
                    color=style.colour(),
                    strokeDash=style.dash(),
                    opacity=style.emphasis(),
                    tooltip=tooltip,
                ),
            ]
        )

    return build
