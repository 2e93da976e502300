"""Verdicts in words: estimate, interval and condition in the unit of the claim."""

from dataclasses import dataclass

from softtargets.report import numbers
from softtargets.studies import labels
from softtargets.studies.records import Verdict

_CANCELLED = 1e-9


@dataclass(frozen=True)
class Wording:
    """A verdict as text; `where` says in words where the claim puts the contrast, `condition` in signs."""

    estimate: str
    interval: str
    unit: str
    condition: str
    where: str
    evidence: str

    @property
    def found(self) -> str:
        """Estimate, unit and interval in one line; empty where nothing was found."""
        if not self.interval:
            return ""
        low, _, high = self.interval.strip("[]").partition(", ")
        return f"{self.estimate} {self.unit}".strip() + (f", {low} to {high}" if high else f", {self.interval}")


def unit_of(verdict: Verdict) -> str:
    """Return the one unit of a contrast; a contrast of several, and an exact number, have none."""
    units = {labels.measure(term.metric).unit for term in verdict.claim.terms}
    return units.pop() if len(units) == 1 else "fraction"


def word(verdict: Verdict) -> Wording:
    """Return what a verdict rests on as text."""
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
    return Wording(
        estimate=numbers.number(verdict.estimate, unit, signed=difference, beside=widest),
        interval="exact" if exact else f"[{low}, {high}]" if known else "",
        unit=suffix,
        condition="" if claim.not_run else condition,
        where=where,
        evidence=", ".join(part for part in evidence if part),
    )
