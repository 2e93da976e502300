"""Exact separators of two Gaussians by smoothed or penalised logistic regression (Lukasik et al. 2020, Fig. 5)."""

import math
from dataclasses import dataclass
from typing import Any, Self

import altair as alt

from softtargets._errors import fail
from softtargets.report import numbers, palette
from softtargets.report.drawing import Build, Drawing, Panel, Series, Style
from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies.lukasik2020.gaussians import DEVIATION, FLIPPED, Separator, figure5
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output, Study

_BAYES = Series("Bayes-optimal", "ink", palette.SHAPES[0], palette.DASHES[1])
_TITLES = {
    "LS": "Label smoothing",
    "L2": "L2 on the weights",
    "L2 with intercept": "L2 on weights and intercept",
}
_LEVELS = {"LS": "smoothing", "L2": "penalty", "L2 with intercept": "penalty"}
# Range of the axes, around the means (1, 1) and (-1, -1).
_SPAN = (-1.6, 1.6)
_FAR = 20.0
_CORNERS = 48


@output_kind("separators")
@dataclass(frozen=True)
class SeparatorsOutput(OutputKind):
    """Exact separators of two Gaussians; they depend on no arm."""

    separators: tuple[Separator, ...] = ()

    @classmethod
    def check(cls, place: str, output: Output, study: Study) -> None:
        """Require an output without arms, levels, noise and metrics."""
        if output.arms or output.levels or output.noise or output.metrics:
            required = f"no arms, levels, noise or metrics with '{cls.kind}'"
            raise fail(place, required, "some of these", "remove these keys")

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        return cls(figure5())

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the two classes and the separators, one panel for each arm."""
        by_arm = _by_arm(self.separators)
        series: dict[str, Series] = {}
        panels = []
        for arm, every in by_arm.items():
            found = _spread(every)
            for colour, separator in zip(palette.spaced(len(found)), found, strict=True):
                series[_label(separator)] = Series(_label(separator), colour, palette.SHAPES[0], palette.DASHES[0])
            panels.append(Panel(_TITLES[arm], _chart(found), ""))
        note = (
            f"Circles: 1, 2 and 3 standard deviations of the classes. {numbers.rate(FLIPPED)} of the negatives are "
            "labelled positive. Exact, without training or sampling. The table contains all levels."
        )
        return Drawing((*series.values(), _BAYES), tuple(panels), note)

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the distance of each separator from the origin, through which the optimum passes, and its slope."""
        by_arm = _by_arm(self.separators)
        if not by_arm:
            return None
        groups = tuple((_TITLES[arm], tuple(map(_line, found))) for arm, found in by_arm.items())
        caption = "Distance along (1, 1) / √2; below 0 the line is closer to the class with noisy labels."
        return PlainTable(caption, ("Level", "Distance from the optimum", "Slope of the logit"), groups, open=True)


def _line(separator: Separator) -> PlainRow:
    values = (separator.distance, separator.slope)
    return PlainRow(_label(separator), tuple((numbers.number(value, "fraction"), value) for value in values))


def _by_arm(separators: tuple[Separator, ...]) -> dict[str, list[Separator]]:
    found: dict[str, list[Separator]] = {}
    for separator in separators:
        found.setdefault(separator.arm, []).append(separator)
    return {arm: sorted(each, key=lambda separator: separator.level) for arm, each in found.items()}


def _spread(found: list[Separator]) -> list[Separator]:
    """Return evenly spaced levels, as many as there are colours."""
    most = min(len(found), len(palette.RAMP))
    return [found[round(place * (len(found) - 1) / max(1, most - 1))] for place in range(most)]


def _label(separator: Separator) -> str:
    if separator.level == 0:
        return "no smoothing, no penalty"
    return f"{_LEVELS[separator.arm]} {numbers.level(separator.level)}"


def _chart(found: list[Separator]) -> Build:
    lines = [
        {
            "series": name,
            "x": -bias * w1 - reach * w2,
            "y": -bias * w2 + reach * w1,
            "Distance": numbers.number(-bias, "fraction"),
        }
        for name, w1, w2, bias in [
            *((_label(s), s.w1, s.w2, s.bias) for s in found),
            (_BAYES.label, 0.5**0.5, 0.5**0.5, 0.0),
        ]
        for reach in (-_FAR, _FAR)
    ]
    names = {1: "positive", -1: "negative"}
    texts = [{"x": centre, "y": centre + 3.4 * DEVIATION, "text": name} for centre, name in names.items()]
    rings = [
        {"ring": f"{centre}, {size}", "place": place, **_corner(centre, size * DEVIATION, place)}
        for centre in names
        for size in (1, 2, 3)
        for place in range(_CORNERS + 1)
    ]

    def build(style: Style) -> alt.LayerChart:
        x_scale, y_scale = style.equal(_SPAN, _SPAN)
        axis = alt.Axis(grid=False, values=[-2, -1, 0, 1, 2], format="d")
        x, y = alt.X("x:Q", title=None, scale=x_scale, axis=axis), alt.Y("y:Q", title=None, scale=y_scale, axis=axis)
        tooltip = [alt.Tooltip("series:N", title="Separator"), alt.Tooltip("Distance:N", title="From the optimum")]
        muted: dict[str, Any] = {"color": style.paint("muted"), "clip": True}
        ring = style.base(rings).mark_line(strokeWidth=1.2, **muted)
        line = style.base(lines).mark_line(strokeWidth=2, clip=True)
        word = style.base(texts).mark_text(baseline="bottom", fontSize=12, **muted)
        look = {"color": style.colour(), "strokeDash": style.dash(), "opacity": style.emphasis(), "tooltip": tooltip}
        return alt.LayerChart(
            layer=[
                ring.encode(x=x, y=y, detail="ring:N", order="place:Q"),
                word.encode(x=x, y=y, text="text:N"),
                line.encode(x=x, y=y, **look),
            ]
        )

    return build


def _corner(centre: float, radius: float, place: int) -> dict[str, float]:
    angle = 2 * math.pi * place / _CORNERS
    return {"x": centre + radius * math.cos(angle), "y": centre + radius * math.sin(angle)}
