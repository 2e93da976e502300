"""Verdicts as rows of a table, with a small plot of each interval."""

from dataclasses import dataclass

from softtargets.report import numbers
from softtargets.studies.records import Verdict
from softtargets.studies.results import StudyResults
from softtargets.studies.wording import Wording, is_too_wide, unit_of, word

WIDTH, HEIGHT = 200, 40
_EDGE = 6
_NEAR = 30


@dataclass(frozen=True)
class Mark:
    """A number on the axis of an interval plot."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True)
class IntervalPlot:
    """Positions of an interval on its axis, in SVG units. `zone` is where the claim places the contrast."""

    low: float
    high: float
    estimate: float
    zone: tuple[float, float]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class ClaimRow:
    """A verdict ready to print. `plot` is None without an interval to draw."""

    anchor: str
    verdict: Verdict
    text: Wording
    plot: IntervalPlot | None


def rows(results: StudyResults) -> list[ClaimRow]:
    """Return all verdicts in the order of the claims."""
    return [
        ClaimRow(f"claim-{place}", verdict, word(verdict), _plot(verdict, unit_of(verdict)))
        for place, verdict in enumerate(results.verdicts, start=1)
    ]


def _plot(verdict: Verdict, unit: str) -> IntervalPlot | None:
    low, high, estimate = verdict.low, verdict.high, verdict.estimate
    if low is None or high is None or estimate is None or is_too_wide(verdict):
        return None
    claim = verdict.claim
    boundaries = (claim.threshold,) if claim.margin is None else (-claim.margin, claim.margin)
    left, right = min(low, estimate, *boundaries), max(high, estimate, *boundaries)
    room = 0.18 * (right - left) or 1.0
    left, right = left - room, right + room

    def at(value: float) -> float:
        return round(_EDGE + (value - left) / (right - left) * (WIDTH - 2 * _EDGE), 1)

    edges = [at(value) for value in boundaries]
    texts = ["0" if value == 0 else numbers.number(value, unit, signed=True) for value in boundaries]
    if claim.margin is not None:
        zone = (edges[0], edges[1])
        # aligned outwards, so that the two texts do not overlap when their marks are close
        anchors = ["start" if edges[0] < _NEAR else "end", "end" if edges[1] > WIDTH - _NEAR else "start"]
    else:
        zone = (edges[0], float(WIDTH)) if claim.relation == ">" else (0.0, edges[0])
        anchors = ["start" if edges[0] < _NEAR else "end" if edges[0] > WIDTH - _NEAR else "middle"]
    marks = tuple(Mark(*mark) for mark in zip(edges, texts, anchors, strict=True))
    return IntervalPlot(at(low), at(high), at(estimate), zone, marks)
