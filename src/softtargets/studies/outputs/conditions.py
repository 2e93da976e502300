"""Metrics over kinds of noise or variants of the data, such as the number of classes: one line for each arm."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Self

import altair as alt

from softtargets._errors import fail
from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Panel, Style, extents
from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies import labels
from softtargets.studies.layout import arm_label, axis_label, axis_title
from softtargets.studies.outputs.difference import Difference, difference
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.marks import SPREADS, band_and_line, markers, spread_row
from softtargets.studies.outputs.series import FigureCells, keyed
from softtargets.studies.records import CellKey
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Noise, Output, Study


@output_kind("conditions")
@dataclass(frozen=True)
class ConditionsOutput(OutputKind):
    """Metrics of the cells over the kinds of noise; with `minus` also the paired differences of arms."""

    takes_spread = True
    takes_minus = True

    differences: tuple[Difference, ...] = ()

    @classmethod
    def check(cls, place: str, output: Output, study: Study) -> None:
        """Require at least two kinds of noise, all of which have a position on the axis."""
        if len(output.noise) < 2:
            raise fail(f"{place}.noise", "at least two kinds", list(output.noise), "add one")
        lacking = [noise for noise in output.noise if isinstance(noise, str) and study.noises[noise].position is None]
        if lacking:
            remedy = "add its key 'position', such as the number of classes"
            raise fail(f"{place}.noise", "kinds that have a position on the axis", lacking[0], remedy)

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        if not output.minus:
            return cls()
        return cls(evidence.gathered(output, output.metrics, partial(difference, output)))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw one panel for each metric, and one for its paired differences."""
        figure, drawn = FigureCells(results, output), []
        panels = []
        for metric in output.metrics:
            rows = list(_rows(figure, results, output, metric))
            gains = list(_gains(figure, keyed(self.differences, "metric"), metric))
            drawn += [rows, gains]
            heading, label = labels.heading(metric), labels.measure(metric).label
            unit = numbers.difference_unit(labels.measure(metric).unit)
            panels += [Panel("", _chart(rows, figure, zero=False), heading)] if rows else []
            title = f"Difference in {label[:1].lower()}{label[1:]}" + (f" ({unit})" if unit else "")
            panels += [Panel("", _chart(gains, figure, zero=True), title)] if gains else []
        note = f"Bands: {SPREADS[output.spread]}"
        note += "; of differences, 95 % intervals of paired means, not adjusted." if self.differences else "."
        if output.minus:
            pairs = (
                f"{figure.arms[arm].label} minus {figure.arms[other].label}" for arm, other in output.minus.items()
            )
            note += f" Differences: {'; '.join(pairs)}."
        return Drawing(figure.arms_of(drawn), tuple(panels), note)

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the differences and their intervals."""
        figure, known = FigureCells(results, output), keyed(self.differences, "metric")
        groups = []
        for metric, noise in product(output.metrics, figure.noises):
            shown = figure.shown(known, noise, metric)
            title = f"{axis_label(results.study, 'noise', noise)}, {labels.measure(metric).label}"
            rows = tuple(PlainRow(figure.name(key), one.cells()) for key, one in shown.items())
            groups += [(title, rows)] if rows else []
        columns = ("Method", "Difference", "95 % interval", "Seeds")
        return PlainTable("Paired differences.", columns, tuple(groups)) if groups else None


def position(study: Study, noise: Noise) -> float:
    """Return the position of a kind of noise on the axis: its own, or its rate."""
    placed = study.noises[noise].position if isinstance(noise, str) else noise
    return math.nan if placed is None else float(placed)


def _rows(figure: FigureCells, results: StudyResults, output: Output, metric: str) -> Iterator[dict[str, Any]]:
    unit = labels.measure(metric).unit
    for key in figure.keys:
        summary = results.summary(key, metric)
        if summary is not None and math.isfinite(summary.mean):
            ends = spread_row(summary, unit, ("y", "low", "high"), output.spread)
            yield {**_spot(figure, key), **ends, "Value": labels.summary_text(summary, unit)}


def _gains(figure: FigureCells, known: Mapping[Any, Difference], metric: str) -> Iterator[dict[str, Any]]:
    unit = labels.measure(metric).unit
    for key in figure.keys:
        found = known.get((key, metric))
        if found is not None:
            names = ("mean", "mean", "mean") if found.is_too_wide else ("mean", "low", "high")
            mean, low, high = (numbers.in_unit(getattr(found, name), unit) for name in names)
            (text, _), (interval, _), (seeds, _) = found.cells()
            value = f"{text} ({interval}), {seeds} seeds"
            yield {**_spot(figure, key), "y": mean, "low": low, "high": high, "Value": value}


def _spot(figure: FigureCells, key: CellKey) -> dict[str, Any]:
    study = figure.study
    where = {"x": position(study, key.noise), "Condition": axis_label(study, "noise", key.noise)}
    return {"series": arm_label(study, key.arm), "own": True, **where}


def _chart(rows: list[dict[str, Any]], figure: FigureCells, *, zero: bool) -> Build:
    study = figure.study
    places = sorted({position(study, noise) for noise in figure.noises})
    # the whole axis of differences includes 0
    ends = [*rows, {**rows[0], "low": 0.0, "high": 0.0}] if zero else rows
    wide = min(places) > 0 and max(places) / min(places) > 4

    def build(style: Style) -> alt.LayerChart:
        kind: dict[str, Any] = {"type": "log"} if wide else {"zero": False}
        scale = alt.Scale(nice=False, padding=14, **kind)
        axis = alt.Axis(values=places, format="~g", grid=False)
        x = alt.X("x:Q", title=axis_title(study, "noise"), scale=scale, axis=axis)
        y = alt.Y("y:Q", title=None, scale=style.window(*extents(ends, "low", "high"), zero=False))
        tooltip = [alt.Tooltip("series:N", title="Method"), alt.Tooltip("Condition:N")]
        tooltip += [alt.Tooltip("Value:N", title="Difference" if zero else "Mean ± sd (n)")]
        base = style.base(rows).encode(x=x, color=style.colour())
        layers: list[Any] = [style.across(0.0)] if zero else []
        layers += [*band_and_line(base, style, y), *markers(rows, style, x, y, tooltip)]
        return alt.LayerChart(layer=layers)

    return build
