"""Verdicts as text: estimate, interval and condition in the unit of the claim."""

from dataclasses import dataclass

from softtargets.report import numbers
from softtargets.studies import labels
from softtargets.studies.records import Verdict

_CANCELLED = 1e-9


@dataclass(frozen=True)
class Wording:
    """A verdict as text. `where` states in words where the claim places the contrast, `condition` in symbols."""

    estimate: str
    interval: str
    unit: str
    condition: str
    where: str
    evidence: str

    @property
    def found(self) -> str:
        """Estimate, unit and interval in one line; empty text for a claim that was not run."""
        if not self.interval:
            return ""
        low, _, high = self.interval.strip("[]").partition(", ")
        return f"{self.estimate} {self.unit}".strip() + (f", {low} to {high}" if high else f", {self.interval}")


def unit_of(verdict: Verdict) -> str:
    """Return the unit of a contrast; "fraction" for several units, a correlation and an exact number."""
    if verdict.claim.statistic == "correlation":
        return "fraction"
    units = {labels.measure(term.metric).unit for term in verdict.claim.terms}
    return units.pop() if len(units) == 1 else "fraction"


def is_too_wide(verdict: Verdict) -> bool:
    """Whether the interval of a verdict is at least as wide as the range of its contrast, so that it says nothing."""
    if verdict.low is None or verdict.high is None or not verdict.n:
        return False
    if verdict.claim.statistic == "correlation":
        span = 2.0
    else:
        span = labels.span((term.metric, term.weight) for term in verdict.claim.terms)
    return span is not None and verdict.high - verdict.low >= span


def word(verdict: Verdict) -> Wording:
    """Return the numbers of a verdict as text."""
    claim, unit = verdict.claim, unit_of(verdict)
    # a contrast whose weights do not add up to 0 is a value instead of a difference
    difference = abs(sum(term.weight for term in claim.terms)) < _CANCELLED
    suffix = numbers.difference_unit(unit) if difference else numbers.value_unit(unit)
    tail = f" {suffix}" if suffix else ""
    if claim.margin is not None:
        condition = where = f"within ± {numbers.number(claim.margin, unit)}{tail}"
    else:
        mark = f"{numbers.number(claim.threshold, unit) if claim.threshold else 0}{tail}"
        condition, where = f"{claim.relation} {mark}", f"{'above' if claim.relation == '>' else 'below'} {mark}"
    confidence = f"{numbers.rate(verdict.confidence)} interval" if verdict.confidence is not None else ""
    confidence += ", not adjusted" if verdict.name == "exploratory" else ""
    evidence = [confidence, f"n = {verdict.n}" if verdict.n else "", numbers.p_value(verdict.p)]
    evidence = ["computed exactly, without training"] if _is_exact(verdict) else evidence
    return Wording(
        estimate=numbers.number(verdict.estimate, unit, signed=difference, beside=_widest(verdict)),
        interval=_interval(verdict, unit, signed=difference),
        unit=suffix,
        condition="" if claim.not_run else condition,
        where=where,
        evidence=", ".join(part for part in evidence if part),
    )


def _is_exact(verdict: Verdict) -> bool:
    return not verdict.n and None not in (verdict.low, verdict.high, verdict.estimate)


def _widest(verdict: Verdict) -> float:
    """Return the largest number beside which the others are shown; an interval that is not shown does not count."""
    ends = () if is_too_wide(verdict) else (verdict.low, verdict.high)
    return max((abs(value) for value in (*ends, verdict.estimate) if value is not None), default=0.0)


def _interval(verdict: Verdict, unit: str, *, signed: bool) -> str:
    if verdict.estimate is None or verdict.low is None or verdict.high is None:
        return ""
    if _is_exact(verdict):
        return "exact"
    if is_too_wide(verdict):
        return labels.NOT_ENOUGH_SEEDS
    ends = numbers.ends(verdict.low, verdict.high, unit, signed=signed, beside=_widest(verdict))
    return f"[{', '.join(ends)}]"
