"""Differences from the baseline, paired by seed: the mean of each cell with its interval."""

import math
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import fmean, stdev
from typing import Any, Self

import altair as alt

from softtargets._errors import fail
from softtargets.metrics.statistics import paired_t
from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Panel, Style, extent
from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies import labels
from softtargets.studies.arms import ZERO
from softtargets.studies.expand import cell
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.series import FigureCells, keyed
from softtargets.studies.records import CellKey
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output, Study

LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """A metric of a cell minus the baseline's under the same noise, over `n` common seeds; with a 95 % interval."""

    key: CellKey
    metric: str
    mean: float
    low: float
    high: float
    n: int

    @property
    def is_too_wide(self) -> bool:
        """Whether the interval is at least as wide as the range of the difference, so that it says nothing."""
        span = labels.span([(self.metric, 1.0), (self.metric, -1.0)])
        return span is not None and self.high - self.low >= span

    def cells(self) -> tuple[tuple[str, float | None], ...]:
        """Return the cells of a table: the difference with its unit, the interval and the number of seeds."""
        unit = labels.measure(self.metric).unit
        shown = f"{numbers.number(self.mean, unit, signed=True)} {numbers.difference_unit(unit)}".strip()
        ends = " to ".join(numbers.ends(self.low, self.high, unit, signed=True))
        interval = labels.NOT_ENOUGH_SEEDS if self.is_too_wide else ends
        return (shown, self.mean), (interval, None), (str(self.n), float(self.n))


@output_kind("difference")
@dataclass(frozen=True)
class DifferenceOutput(OutputKind):
    """Metrics of the cells minus those of the study's baseline, or of the arms that `minus` names."""

    takes_minus = True

    differences: tuple[Difference, ...] = ()

    @classmethod
    def check(cls, place: str, output: Output, study: Study) -> None:
        """Require the baseline, so that its runs are trained, unless each arm is compared with another one."""
        if not output.minus and study.baseline not in output.arms:
            raise fail(f"{place}.arms", f"'{study.baseline}', the baseline, among them", list(output.arms), "add it")

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        return cls(evidence.gathered(output, output.metrics, partial(difference, output)))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw an interval for each cell, a panel for each kind of noise and metric."""
        figure, known = FigureCells(results, output), keyed(self.differences, "metric")
        panels, series = [], {}
        for noise, metric in product(figure.noises, output.metrics):
            shown = figure.shown(known, noise, metric)
            series |= {figure.name(key): figure.look(key) for key in shown}
            if shown:
                rows = [_row(figure.name(key), one) for key, one in shown.items()]
                panels.append(Panel(figure.noise(noise), _chart(rows, metric), labels.measure(metric).label))
        other = "the counterpart of each" if output.minus else figure.arms[results.study.baseline].label
        note = f"Minus {other}, paired by seed: means and 95 % intervals, not adjusted for multiple comparisons."
        return Drawing(tuple(series.values()), tuple(panels), note)

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the differences and their intervals."""
        figure, known = FigureCells(results, output), keyed(self.differences, "metric")
        groups = []
        for noise, metric in product(figure.noises, output.metrics):
            title = ", ".join(filter(None, (figure.noise(noise), labels.measure(metric).label)))
            shown = figure.shown(known, noise, metric)
            rows = tuple(PlainRow(figure.name(key), one.cells()) for key, one in shown.items())
            groups += [(title, rows)] if rows else []
        caption = f"Differences from the {'counterparts' if output.minus else 'baseline'}, paired by seed."
        return (
            PlainTable(caption, ("Method", "Difference", "95 % interval", "Seeds"), tuple(groups)) if groups else None
        )


def difference(output: Output, evidence: Evidence, key: CellKey, metric: str) -> Difference | None:
    """Return the difference of a cell from its counterpart; None if it has none, or fewer than two common seeds."""
    if output.minus:
        arm = output.minus.get(key.arm)
        base = None if arm is None else cell(evidence.study, arm, key.level, key.noise)
    else:
        base = cell(evidence.study, evidence.study.baseline, ZERO, key.noise)
    if base is None or key == base:
        return None
    own, other = (
        {record.seed: record.metrics[metric] for record in evidence.complete(place) if metric in record.metrics}
        for place in (key, base)
    )
    values = [own[seed] - other[seed] for seed in sorted(own.keys() & other.keys())]
    if len(values) < 2:
        return None
    mean = fmean(values)
    low, high = paired_t(mean, stdev(values) / math.sqrt(len(values)), len(values), LEVEL)
    return Difference(key, metric, mean, low, high, len(values))


def _row(name: str, difference: Difference) -> dict[str, Any]:
    unit = labels.measure(difference.metric).unit
    names = ("mean", "mean", "mean") if difference.is_too_wide else ("mean", "low", "high")
    ends = {
        end: numbers.in_unit(getattr(difference, name), unit)
        for end, name in zip(("mean", "low", "high"), names, strict=True)
    }
    (mean, _), (interval, _), (seeds, _) = difference.cells()
    return {"series": name, **ends, "text": f"{mean} ({interval}), {seeds} seeds"}


def _chart(rows: list[dict[str, Any]], metric: str) -> Build:
    unit = numbers.difference_unit(labels.measure(metric).unit)
    settings = {"title": f"difference ({unit})" if unit else "difference", "axis": alt.Axis(tickCount=6)}
    domain = extent([*rows, {"low": 0.0, "high": 0.0}], "low", "high")

    def build(style: Style) -> alt.LayerChart:
        scale = alt.Scale(domain=list(domain), nice=False)
        mean, low = (alt.X(f"{end}:Q", scale=scale, **settings) for end in ("mean", "low"))
        y = alt.Y("series:N", title=None, sort=[row["series"] for row in rows], axis=alt.Axis(labels=style.legend))
        base = style.base(rows).encode(y=y, color=style.colour(), opacity=style.emphasis())
        tooltip = [alt.Tooltip("series:N", title="Method"), alt.Tooltip("text:N", title="Difference")]
        point = base.mark_point(filled=True, size=64).encode(x=mean, tooltip=tooltip)
        interval = base.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", strokeDash=style.dash())
        return alt.LayerChart(layer=[style.upright(0.0, "baseline"), interval, point])

    return build
