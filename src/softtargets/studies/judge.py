"""Verdicts of the claims: paired intervals over seeds, adjusted for multiple claims by serial gatekeeping."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from softtargets.metrics.statistics import ROUNDING, holm_levels, paired_t, paired_t_p_value, pearson
from softtargets.studies.expand import term_cells
from softtargets.studies.records import CellKey, CellRecord, FamilyName, Leaning, Verdict, VerdictName
from softtargets.studies.schema import Claim, Study

LEVEL = 0.05


@dataclass(frozen=True)
class Contrast:
    """The contrast of a claim over the seeds with all required runs."""

    claim: Claim
    mean: float
    standard_error: float
    n: int

    @property
    def p(self) -> float:
        """Two-sided p-value of the distance to the nearest boundary."""
        distance = min(abs(self.mean - boundary) for boundary in self.claim.boundaries)
        return paired_t_p_value(distance, self.standard_error, self.n)


def judge(
    study: Study,
    scale: str,
    outputs: Sequence[str],
    cells: Sequence[CellRecord],
    *,
    exact: Mapping[str, Callable[[], float]] | None = None,
    level: float = LEVEL,
) -> tuple[Verdict, ...]:
    """Judge all claims of these outputs.

    The contrast of a claim is computed for each seed, because arms share data order, initialisation and noise within a
    seed; its interval is the paired t interval over seeds. Each setting of the study, and the outputs without a
    setting, is an experiment on its own data. Its claims are tested by serial gatekeeping (Westfall and Krishen 2001;
    Dmitrienko and Tamhane 2007):

    1. The primary claims are tested with Holm's step-down procedure: ordered by p-value, the i-th of m is tested at
       level / (m - i + 1). From the first undecided claim on, all have the confidence of that claim.
    2. Only if all primary claims are reproduced or contradicted, the secondary claims are tested, again with Holm's
       procedure at `level`. Otherwise they are exploratory: they have an unadjusted interval and no verdict.

    The probability that any false verdict is given in a setting is then at most `level`: a true primary hypothesis is
    rejected with at most this probability, and if none is true, only the second family can err. A setting without
    primary claims is a single family. m counts all claims of the setting that can be run, selected or not, so that
    running a part of it makes no verdict easier to reach.

    Verdicts: "reproduced": the interval lies on the claimed side; "contradicted": on the other side; "inconclusive":
    it contains the boundary; "exploratory": a secondary claim that is not tested; "not run": fewer than two seeds have
    all runs and numbers, or the study states a reason.

    A claim on an exact number is decided by that number alone. It has no interval, is never inconclusive and belongs to
    no family. A number on the boundary does not fulfil the claim.

    If all seeds give the same value, the interval has no width and the signs decide (see
    :func:`softtargets.metrics.statistics.paired_t_p_value`).

    Args:
        study: the study.
        scale: the scale whose level sets apply.
        outputs: names of the outputs whose claims are judged.
        cells: the runs, complete or not.
        exact: the exact numbers that claims refer to.
        level: family-wise error rate.

    Returns:
        One verdict for each claim, in the order of the study.
    """
    claims = [claim for claim in study.claims if claim.output in outputs]
    records = {(cell.key, cell.seed): cell for cell in cells}
    verdicts: dict[str, Verdict] = {}
    for setting in dict.fromkeys(study.outputs[claim.output].setting for claim in claims):
        whole = study.claims_of(setting)
        found = {
            claim.id: claim.not_run or contrast(study, scale, claim, records)
            for claim in claims
            if claim in whole and claim.exact is None
        }
        verdicts |= gated(whole, found, level)
    exactly = {claim.id: _exact(claim, (exact or {})[claim.exact]()) for claim in claims if claim.exact is not None}
    return tuple((verdicts | exactly)[claim.id] for claim in claims)


def gated(claims: Sequence[Claim], found: Mapping[str, Contrast | str], level: float) -> dict[str, Verdict]:
    """Test the claims of one setting: the primary ones first, the secondary ones if all of those are decided.

    Args:
        claims: all claims of the setting.
        found: the contrasts of the claims to judge by id; text: why a claim has none.
        level: family-wise error rate of the setting.
    """
    primary = [claim for claim in claims if claim.primary]
    others = [claim for claim in claims if claim.terms and not claim.primary]
    verdicts = {claim.id: Verdict(claim, "not run") for claim in claims if claim.id in found}
    verdicts |= _tested(primary, found, level, "primary")
    undecided = next((claim for claim in primary if not _decided(verdicts.get(claim.id))), None)
    if undecided is None:
        verdicts |= _tested(others, found, level, "secondary" if primary else "all")
    else:
        verdicts |= _exploratory(others, found, level, _closed(undecided, verdicts.get(undecided.id)))
    for name, reason in found.items():
        if isinstance(reason, str):
            verdicts[name] = replace(verdicts[name], name="not run", reason=reason)
    return verdicts


def _tested(
    family: Sequence[Claim], found: Mapping[str, Contrast | str], level: float, name: FamilyName
) -> dict[str, Verdict]:
    """Test a family with Holm's procedure."""
    contrasts = {claim.id: one for claim in family if isinstance(one := found.get(claim.id), Contrast)}
    levels = holm_levels({claim: contrast.p for claim, contrast in contrasts.items()}, level, len(family))
    tested = {claim: replace(_verdict(contrasts[claim], own), family=name) for claim, own in levels.items()}
    return {claim.id: Verdict(claim, "not run", family=name) for claim in family if claim.id in found} | tested


def _exploratory(
    family: Sequence[Claim], found: Mapping[str, Contrast | str], level: float, reason: str
) -> dict[str, Verdict]:
    """Estimate the claims of a family that is not tested, with unadjusted intervals."""
    verdicts = {claim.id: Verdict(claim, "not run", family="secondary") for claim in family if claim.id in found}
    for claim in family:
        if isinstance(one := found.get(claim.id), Contrast):
            side = leaning(claim, one.mean)
            own = replace(_verdict(one, level), name="exploratory", family="secondary", reason=reason, leaning=side)
            verdicts[claim.id] = own
    return verdicts


def _decided(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.name in ("reproduced", "contradicted")


def _closed(claim: Claim, verdict: Verdict | None) -> str:
    """Say why secondary claims are not tested."""
    state = "not run" if verdict is None else verdict.name
    return f"not tested, because the primary claim '{claim.id}' is {state}"


def contrast(
    study: Study, scale: str, claim: Claim, records: Mapping[tuple[CellKey, int], CellRecord]
) -> Contrast | str:
    """Return the contrast of a claim over the seeds of the records; text: why it cannot be computed."""
    seeds = sorted({seed for _, seed in records})
    values = [value for seed in seeds if (value := _value(study, scale, claim, records, seed)) is not None]
    if len(values) < 2:
        short = f"{len(values)} of {len(seeds)} seeds have all runs and numbers of the claim; at least two are required"
        return short + _without(study, scale, claim, records)
    # fmean and fsum are exact, so that the result does not depend on the order of the runs
    return Contrast(claim, fmean(values), stdev(values) / math.sqrt(len(values)), len(values))


def _value(
    study: Study, scale: str, claim: Claim, records: Mapping[tuple[CellKey, int], CellRecord], seed: int
) -> float | None:
    """Return the contrast, or the correlation, at one seed; None if a number is missing or it is not defined."""
    columns: list[list[float]] = []
    for term in claim.terms:
        column = []
        for key in term_cells(study, term, scale):
            record = records.get((key, seed))
            if record is None or record.status != "complete" or term.metric not in record.metrics:
                return None
            column.append(record.metrics[term.metric])
        columns.append(column)
    if claim.statistic == "correlation":
        return pearson(*columns)
    weighted = zip(claim.terms, columns, strict=True)
    return math.fsum(term.weight * value / len(column) for term, column in weighted for value in column)


def _without(study: Study, scale: str, claim: Claim, records: Mapping[tuple[CellKey, int], CellRecord]) -> str:
    """Name the first metric that finished runs do not have, such as a temperature whose fit diverged."""
    for term in claim.terms:
        for key in term_cells(study, term, scale):
            cell = [record for (owner, _), record in records.items() if owner == key and record.status == "complete"]
            lack = sum(term.metric not in record.metrics for record in cell)
            if lack:
                label = study.arms[key.arm].label
                return f". {lack} of {len(cell)} finished runs of '{label}' have no {term.metric}"
    return ""


def _verdict(contrast: Contrast, level: float) -> Verdict:
    low, high = paired_t(contrast.mean, contrast.standard_error, contrast.n, level)
    name = "inconclusive" if contrast.p > level else _decide(contrast.claim, low, high)
    return Verdict(
        claim=contrast.claim,
        name=name,
        estimate=contrast.mean,
        low=low,
        high=high,
        p=contrast.p,
        confidence=1 - level,
        n=contrast.n,
        leaning=leaning(contrast.claim, contrast.mean) if name == "inconclusive" else "",
    )


def leaning(claim: Claim, estimate: float) -> Leaning:
    """Return on which side of a claim's boundary an estimate lies; empty text if it is on the boundary."""
    if claim.margin is not None:
        towards = abs(estimate) < claim.margin
    elif estimate == claim.threshold:
        return ""
    else:
        towards = estimate > claim.threshold if claim.relation == ">" else estimate < claim.threshold
    return "towards the claim" if towards else "against the claim"


def _exact(claim: Claim, value: float) -> Verdict:
    if claim.margin is not None:
        holds = abs(value) < claim.margin
    else:
        beyond = value - claim.threshold if claim.relation == ">" else claim.threshold - value
        holds = beyond > ROUNDING
    return Verdict(claim, "reproduced" if holds else "contradicted", estimate=value, low=value, high=value)


def _decide(claim: Claim, low: float, high: float) -> VerdictName:
    if claim.margin is not None:
        if -claim.margin < low and high < claim.margin:
            return "reproduced"
        return "contradicted" if high < -claim.margin or low > claim.margin else "inconclusive"
    above, below = low > claim.threshold, high < claim.threshold
    if not above and not below:
        return "inconclusive"
    return "reproduced" if above == (claim.relation == ">") else "contradicted"
