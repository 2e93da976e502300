"""Exact curves of losses, one panel for each arm. The curves are defined by the module of a study."""

from abc import abstractmethod
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Self

import altair as alt

from softtargets._errors import fail
from softtargets.report import numbers, palette
from softtargets.report.drawing import Build, Drawing, Panel, Series, Style
from softtargets.studies.layout import arm_label
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output, Study


@dataclass(frozen=True)
class Curve:
    """An exact curve: the loss of one example as a function of a logit."""

    arm: str
    noise: float
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class ExactCurves(OutputKind):
    """Exact curves, one for each arm and noise rate. The module of a study subclasses this and names the kind."""

    arms: ClassVar[tuple[str, ...]]
    curves: tuple[Curve, ...] = ()

    @classmethod
    @abstractmethod
    def curve(cls, arm: str, rate: float) -> Curve:
        """Return the curve of one of `arms` at one of `rates`."""

    @classmethod
    def rates(cls, output: Output) -> list[float]:
        """Return the numbers for which an arm has a curve: noise rates, unless a subclass says otherwise."""
        return [float(noise) for noise in output.noise]

    @classmethod
    def rate_label(cls, rate: float) -> str:
        """Return the label of a curve."""
        return f"noise rate {numbers.rate(rate)}"

    @classmethod
    def title(cls, study: Study, arm: str) -> str:
        """Return the title of the panel of an arm."""
        return arm_label(study, arm)

    @classmethod
    def check(cls, place: str, output: Output, study: Study) -> None:
        """Require noise rates, and arms with curves."""
        for noise in output.noise:
            if isinstance(noise, str):
                raise fail(f"{place}.noise", "noise rates, for curves", f"'{noise}'", "give numbers")
        for arm in output.arms:
            if arm not in cls.arms:
                raise fail(f"{place}.arms", f"arms with curves: {', '.join(cls.arms)}", f"'{arm}'", "remove it")

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        rates = cls.rates(output)
        return cls(tuple(cls.curve(arm, rate) for rate, arm in product(rates, output.arms or cls.arms)))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the curves, one panel for each arm."""
        study = results.study
        drawn = {curve.arm for curve in self.curves}
        arms = [arm for arm in output.arms or dict.fromkeys((*study.arms, *self.arms)) if arm in drawn]
        curves = [curve for curve in self.curves if curve.arm in arms]
        rates = sorted({curve.noise for curve in curves})
        colours = palette.spaced(len(rates))
        looks = {
            rate: Series(self.rate_label(rate), colours[i % len(colours)], palette.SHAPES[0], palette.DASHES[0])
            for i, rate in enumerate(rates)
        }
        heights = [y for curve in curves for y in curve.y]
        panels = []
        for arm in arms:
            rows = [
                {"series": looks[curve.noise].label, "x": x, "y": y, "order": i}
                for curve in curves
                if curve.arm == arm
                for i, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
            ]
            if rows:
                panels.append(Panel(self.title(study, arm), _chart(rows, (min(heights), max(heights))), "Loss (nats)"))
        return Drawing(
            tuple(looks.values()), tuple(panels), "Exact curves, without training. All panels have the same scale."
        )


def _chart(rows: list[dict[str, Any]], heights: tuple[float, float]) -> Build:
    def build(style: Style) -> alt.LayerChart:
        line = (
            style.base(rows)
            .mark_line(strokeWidth=2)
            .encode(
                x=alt.X("x:Q", title="Logit of the label", scale=alt.Scale(nice=False), axis=alt.Axis(grid=False)),
                y=alt.Y("y:Q", title=None, scale=alt.Scale(domain=list(heights), nice=True)),
                order="order:Q",
                color=style.colour(),
                opacity=style.emphasis(),
                tooltip=[alt.Tooltip("series:N", title="Curve")],
            )
        )
        zero = [style.across(0.0)] if heights[0] < 0 < heights[1] else []
        return alt.LayerChart(layer=[*zero, line])

    return build
