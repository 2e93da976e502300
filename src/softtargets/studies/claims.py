"""Verdicts in words and as small plots of their intervals."""

from dataclasses import dataclass

from softtargets.report import numbers
from softtargets.studies import labels
from softtargets.studies.results import StudyResults, Verdict, VerdictName

ORDER: tuple[VerdictName, ...] = ("contradicted", "inconclusive", "reproduced", "not run")
WIDTH, HEIGHT = 200, 40
_EDGE = 6
_NEAR = 30
_CANCELLED = 1e-9


@dataclass(frozen=True)
class Mark:
    """A number on the axis of an interval plot."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True)
class IntervalPlot:
    """Positions, in user units, of an interval on its axis; `zone` is where the claim says the contrast lies."""

    low: float
    high: float
    estimate: float
    zone: tuple[float, float]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class ClaimRow:
    """A verdict ready to print; `where` says in words where the claim puts the contrast, `condition` in signs."""

    anchor: str
    verdict: Verdict
    estimate: str
    interval: str
    unit: str
    condition: str
    where: str
    evidence: str
    leaning: str
    plot: IntervalPlot | None

    @property
    def found(self) -> str:
        """Estimate, unit and interval in one line; empty where nothing was found."""
        if not self.interval:
            return ""
        low, _, high = self.interval.strip("[]").partition(", ")
        return f"{self.estimate} {self.unit}".strip() + (f", {low} to {high}" if high else f", {self.interval}")


def rows(results: StudyResults) -> list[ClaimRow]:
    """Return every verdict in the order of the paper's claims."""
    return [_row(verdict, f"claim-{i}") for i, verdict in enumerate(results.verdicts, start=1)]


def counts(results: StudyResults) -> dict[VerdictName, int]:
    """Return how many claims got which verdict."""
    return {name: sum(v.name == name for v in results.verdicts) for name in ORDER}


def headline(results: StudyResults) -> str:
    """Return the verdicts in one line."""
    found = counts(results)
    order: tuple[VerdictName, ...] = ("reproduced", "contradicted", "inconclusive", "not run")
    return " · ".join(f"{found[name]} {name}" for name in order)


def unit_of(verdict: Verdict) -> str:
    """Return the one unit of a contrast; a contrast of several, and an exact number, have none."""
    units = {labels.measure(term.metric).unit for term in verdict.claim.terms}
    return units.pop() if len(units) == 1 else "fraction"


def _row(verdict: Verdict, anchor: str) -> ClaimRow:
    claim, unit = verdict.claim, unit_of(verdict)
    # a contrast whose weights do not cancel is a value, and no difference
    difference = abs(sum(term.weight for term in claim.terms)) < _CANCELLED
    suffix = numbers.difference_unit(unit) if difference else numbers.value_unit(unit)
    tail = f" {suffix}" if suffix else ""
    if claim.margin is not None:
        condition = where = f"within ± {numbers.number(claim.margin, unit)}{tail}"
    else:
        mark = f"{numbers.number(claim.threshold, unit) if claim.threshold else 0}{tail}"
        condition, where = f"{claim.relation} {mark}", f"{'above' if claim.relation == '>' else 'below'} {mark}"
    known = None not in (verdict.low, verdict.high, verdict.estimate)
    exact = known and not verdict.n
    widest = max((abs(v) for v in (verdict.low, verdict.high, verdict.estimate) if v is not None), default=0.0)
    low, high = (numbers.number(bound, unit, signed=difference, beside=widest) for bound in (verdict.low, verdict.high))
    confidence = f"{numbers.rate(verdict.confidence)} interval" if verdict.confidence is not None else ""
    evidence = [confidence, f"n = {verdict.n}" if verdict.n else "", numbers.p_value(verdict.p)]
    evidence = ["computed: nothing is trained"] if exact else evidence
    return ClaimRow(
        anchor=anchor,
        verdict=verdict,
        estimate=numbers.number(verdict.estimate, unit, signed=difference, beside=widest),
        interval="exact" if exact else f"[{low}, {high}]" if known else "",
        unit=suffix,
        condition="" if claim.not_run else condition,
        where=where,
        evidence=", ".join(part for part in evidence if part),
        leaning=leaning(verdict),
        plot=_plot(verdict, unit),
    )


def leaning(verdict: Verdict) -> str:
    """Say on which side of its boundary an inconclusive estimate lies; nothing where it lies on the boundary."""
    if verdict.name != "inconclusive" or verdict.estimate is None:
        return ""
    claim, estimate = verdict.claim, verdict.estimate
    if estimate == claim.threshold and claim.margin is None:
        return ""
    if claim.margin is not None:
        towards = abs(estimate) < claim.margin
    else:
        towards = estimate > claim.threshold if claim.relation == ">" else estimate < claim.threshold
    return "leans towards the claim" if towards else "leans against the claim"


def _plot(verdict: Verdict, unit: str) -> IntervalPlot | None:
    low, high, estimate = verdict.low, verdict.high, verdict.estimate
    if low is None or high is None or estimate is None:
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
        # Outwards, so that the two texts stay apart however close their marks are.
        anchors = ["start" if edges[0] < _NEAR else "end", "end" if edges[1] > WIDTH - _NEAR else "start"]
    else:
        zone = (edges[0], float(WIDTH)) if claim.relation == ">" else (0.0, edges[0])
        anchors = ["start" if edges[0] < _NEAR else "end" if edges[0] > WIDTH - _NEAR else "middle"]
    marks = tuple(Mark(*mark) for mark in zip(edges, texts, anchors, strict=True))
    return IntervalPlot(at(low), at(high), at(estimate), zone, marks)
