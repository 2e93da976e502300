"""Claims judged by the runs: paired intervals over seeds, adjusted within the study."""

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
    """A claim's contrast over the seeds that have every run it needs."""

    claim: Claim
    mean: float
    standard_error: float
    n: int

    @property
    def boundaries(self) -> tuple[float, ...]:
        """Where the claim turns false: the threshold, or minus and plus the margin."""
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
    """Judge every claim of these outputs.

    The contrast of a claim is taken within each seed, where arms share data order, initialisation and noise; its
    interval is the paired t interval over seeds. Holm's step-down procedure adjusts the confidence within the study:
    claims are ordered by p-value, the i-th of m is held at level / (m - i + 1), and from the first that stays
    undecided on, all keep that one's confidence. m counts every claim of the study that can be run, asked for or not,
    so that running a part of the study makes no verdict easier to reach.

    reproduced: the interval lies wholly on the claimed side · contradicted: wholly on the other · inconclusive: it
    reaches over the boundary · not run: fewer than two seeds have every run and number, or the study says why.

    A claim on an exact number is decided by that number alone: nothing about it is random, so that it has no interval,
    is never inconclusive and does not count among the m. A number on the boundary is on neither side of it.

    Args:
        study: with its claims.
        scale: whose level sets the claims mean.
        outputs: whose claims to judge.
        cells: the runs, complete or not.
        exact: the exact numbers that claims name.
        level: family-wise error rate.

    Where all seeds give the same value an interval has no width; the signs alone decide (see
    :func:`softtargets.metrics.statistics.paired_t_p_value`).

    Returns:
        One verdict per claim, in the order of the study.
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
        short = f"{len(values)} of {len(seeds)} seeds have every run and number that the claim needs; two are the least"
        return short + _without(study, scale, claim, records)
    # fmean and fsum are exact, so that the order of runs cannot move a digit
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
    """Name the first number that finished runs lack: an accuracy never reached, say, or a T that has no fit."""
    for term in claim.terms:
        for key in term_cells(study, term, scale):
            cell = [record for (owner, _), record in records.items() if owner == key and record.status == "complete"]
            lack = sum(term.metric not in record.metrics for record in cell)
            if lack:
                label = study.arms[key.arm].label
                return f". Of {len(cell)} finished runs of '{label}' {lack} have no {term.metric}"
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
    """Say on which side of a claim's boundary an estimate lies; nothing where it lies on the boundary."""
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
