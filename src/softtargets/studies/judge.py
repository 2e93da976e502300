"""Verdicts of the claims: paired intervals over seeds, adjusted for multiple claims."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from softtargets.metrics.statistics import ROUNDING, holm_levels, paired_t, paired_t_p_value
from softtargets.studies.expand import term_cells
from softtargets.studies.records import CellKey, CellRecord, Leaning, Verdict, VerdictName
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
    def boundaries(self) -> tuple[float, ...]:
        """The boundaries of the claimed region: the threshold, or minus and plus the margin."""
        margin = self.claim.margin
        return (self.claim.threshold,) if margin is None else (-margin, margin)

    @property
    def p(self) -> float:
        """Two-sided p-value of the distance to the nearest boundary."""
        distance = min(abs(self.mean - boundary) for boundary in self.boundaries)
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
    seed; its interval is the paired t interval over seeds. Holm's step-down procedure adjusts the confidence: claims
    are ordered by p-value and the i-th of m is tested at level / (m - i + 1). From the first undecided claim on, all
    claims have the confidence of that claim. m counts all claims of the study that can be run, selected or not, so that
    running a part of the study makes no verdict easier to reach.

    Verdicts: "reproduced": the interval lies on the claimed side; "contradicted": on the other side; "inconclusive":
    it contains the boundary; "not run": fewer than two seeds have all runs and numbers, or the study states a reason.

    A claim on an exact number is decided by that number alone. It has no interval, is never inconclusive and is not
    counted in m. A number on the boundary does not fulfil the claim.

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
    contrasts: dict[str, Contrast] = {}
    verdicts: dict[str, Verdict] = {}
    records = {(cell.key, cell.seed): cell for cell in cells}
    for claim in claims:
        if claim.exact is not None:
            verdicts[claim.id] = _exact(claim, (exact or {})[claim.exact]())
            continue
        found = claim.not_run or _contrast(study, scale, claim, records)
        if isinstance(found, str):
            verdicts[claim.id] = Verdict(claim, "not run", reason=found)
        else:
            contrasts[claim.id] = found
    family = sum(bool(claim.terms) for claim in study.claims)
    levels = holm_levels({name: contrast.p for name, contrast in contrasts.items()}, level, family)
    verdicts |= {name: _verdict(contrast, levels[name]) for name, contrast in contrasts.items()}
    return tuple(verdicts[claim.id] for claim in claims)


def _contrast(study: Study, scale: str, claim: Claim, records: dict[tuple[CellKey, int], CellRecord]) -> Contrast | str:
    seeds = sorted({seed for _, seed in records})
    values = [value for seed in seeds if (value := _value(study, scale, claim, records, seed)) is not None]
    if len(values) < 2:
        short = f"{len(values)} of {len(seeds)} seeds have all runs and numbers of the claim; at least two are required"
        return short + _without(study, scale, claim, records)
    # fmean and fsum are exact, so that the result does not depend on the order of the runs
    return Contrast(claim, fmean(values), stdev(values) / math.sqrt(len(values)), len(values))


def _value(
    study: Study, scale: str, claim: Claim, records: dict[tuple[CellKey, int], CellRecord], seed: int
) -> float | None:
    total: list[float] = []
    for term in claim.terms:
        keys = term_cells(study, term, scale)
        for key in keys:
            record = records.get((key, seed))
            if record is None or record.status != "complete" or term.metric not in record.metrics:
                return None
            total.append(term.weight * record.metrics[term.metric] / len(keys))
    return math.fsum(total)


def _without(study: Study, scale: str, claim: Claim, records: dict[tuple[CellKey, int], CellRecord]) -> str:
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
