"""Risk and coverage from counts: right and wrong predictions by falling score."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["RiskCoverage"]


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Risk where only the most confident predictions are kept, one point for each threshold of the score.

    Args:
        coverage: (M,) float64, the share kept, rising to 1.
        risk: (M,) float64, the share of those that is wrong; at the end the error rate.
    """

    coverage: Tensor
    risk: Tensor


def descending(totals: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the counts of right and wrong ones by falling cell."""
    return totals["right"].flip(1), totals["wrong"].flip(1)


def curve_of(right: Tensor, wrong: Tensor) -> RiskCoverage:
    """Return the curve of (M,) counts by falling score."""
    kept = (right + wrong).cumsum(0)
    return RiskCoverage(kept / kept[-1], wrong.cumsum(0) / kept)


def measures_of(right: Tensor, wrong: Tensor, risks: tuple[float, ...]) -> Tensor:
    """Return AURC, excess AURC, AUROC of errors and the coverages, (R, 3 + len(risks)), of (R, M) counts."""
    area = aurc_of(right, wrong)
    excess = area - least_aurc(right.sum(1), wrong.sum(1))
    coverages = [coverage_of(right, wrong, risk) for risk in risks]
    return torch.stack([area, excess, auroc_of(right, wrong), *coverages], 1)


def aurc_of(right: Tensor, wrong: Tensor) -> Tensor:
    """Return the mean risk of (R, M) counts by falling score, averaged over the orders of tied ones.

    After a others of which e are wrong, the j-th of m tied ones of which b are wrong sees e + j b / m wrong ones in the
    mean. With sum_j 1 / (a + j) = H the block's risks add to b + (e - a b / m) H.
    """
    tied = right + wrong
    kept, failed = tied.cumsum(1), wrong.cumsum(1)
    before, failed_before = kept - tied, failed - wrong
    harmonic = torch.special.digamma(kept + 1) - torch.special.digamma(before + 1)
    rate = wrong / tied.clamp(min=1)
    return (wrong + (failed_before - before * rate) * harmonic).sum(1) / kept[:, -1]


def least_aurc(right: Tensor, wrong: Tensor) -> Tensor:
    """Return the least mean risk of (R,) counts: the right ones in one block, then the wrong ones one by one."""
    harmonic = torch.special.digamma(right + wrong + 1) - torch.special.digamma(right + 1)
    return (wrong - right * harmonic) / (right + wrong)


def auroc_of(right: Tensor, wrong: Tensor) -> Tensor:
    """Return the probability that a right one scores higher than a wrong one, (R,), of (R, M) counts."""
    below = wrong.sum(1, keepdim=True) - wrong.cumsum(1)
    return (right * (below + wrong / 2)).sum(1) / (right.sum(1) * wrong.sum(1))


def coverage_of(right: Tensor, wrong: Tensor, risk: float) -> Tensor:
    """Return the largest coverage of at most this risk, (R,), of (R, M) counts."""
    kept = (right + wrong).cumsum(1)
    # a quotient that is the number written as `risk` is rounded to it; its product with `kept` may be a hair less
    low_enough = wrong.cumsum(1) / kept <= risk
    return kept.where(low_enough, 0).amax(1) / kept[:, -1]


def most_coverage(right: Tensor, wrong: Tensor, risk: float) -> Tensor:
    """Return the largest coverage that any order within the cells allows: the right ones of each first."""
    kept, failed = (right + wrong).cumsum(1), wrong.cumsum(1)
    # kept up to the last right one of a cell, and as many of its wrong ones as the risk then leaves room for; what
    # rounding may take off, too
    upto = kept - wrong
    room = ((risk * upto - (failed - wrong)) / max(1 - risk, 1e-300) + 1e-6).floor()
    most = (upto + room.minimum(wrong)).where(room >= 0, 0).amax(1)
    return torch.maximum(most / kept[:, -1], coverage_of(right, wrong, risk))
