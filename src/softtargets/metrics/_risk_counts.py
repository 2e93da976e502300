"""Risk and coverage from counts of right and wrong predictions in order of falling score."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import check_fraction
from softtargets._errors import fail_type
from softtargets._results import TensorResult, new_axes, shown

__all__ = ["RiskCoverage"]


@dataclass(frozen=True, eq=False, repr=False)
class RiskCoverage(TensorResult):
    """A risk-coverage curve: the error rate among the most confident predictions, one point per threshold of the score.

    Args:
        coverage: (M,) float64, share of predictions kept, increasing to 1.
        risk: (M,) float64, share of wrong predictions among those kept; the last one is the error rate.
    """

    coverage: Tensor
    risk: Tensor

    def __repr__(self) -> str:
        return f"RiskCoverage(points={len(self.risk)}, error_rate={shown(self.risk[-1])})"

    def plot(self, ax: Any = None) -> Any:
        """Plot risk against coverage.

        Args:
            ax: matplotlib axes. Default: those of a new figure.

        Returns:
            The axes.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        ax = new_axes(ax)
        ax.plot(self.coverage.tolist(), self.risk.tolist())
        ax.set(xlim=(0, 1), ylim=(0, None), xlabel="coverage", ylabel="risk (error rate)")
        return ax


def check_risk(argument: str, risk: object) -> None:
    """Require a number in [0, 1]."""
    if isinstance(risk, bool) or not isinstance(risk, Real):
        got = repr(risk) if isinstance(risk, str) else type(risk).__name__
        raise fail_type(argument, "a number in [0, 1]", got, "pass an error rate such as 0.05")
    check_fraction(argument, risk)


def descending(totals: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the counts of right and wrong predictions, highest cell first."""
    return totals["right"].flip(1), totals["wrong"].flip(1)


def curve_of(right: Tensor, wrong: Tensor) -> RiskCoverage:
    """Return the curve of (M,) counts in order of falling score."""
    kept = (right + wrong).cumsum(0)
    return RiskCoverage(kept / kept[-1], wrong.cumsum(0) / kept)


def measures_of(right: Tensor, wrong: Tensor, risks: tuple[float, ...]) -> Tensor:
    """Return AURC, excess AURC, AUROC of error detection and the coverages, (R, 3 + len(risks)), of (R, M) counts."""
    # the logarithmic derivatives of empty cells take most of the time
    filled = (right + wrong).any(0)
    if bool(filled.any()):
        right, wrong = right[:, filled], wrong[:, filled]
    kept, failed = _cumulative(right, wrong)
    area = _aurc(wrong, kept, failed)
    excess = area - least_aurc(right.sum(1), wrong.sum(1))
    # The quotient, unlike risk * kept, is rounded to the very float that a literal such as 0.29 denotes.
    rates = failed / kept
    coverages = [_coverage(kept, rates, risk) for risk in risks]
    return torch.stack([area, excess, _auroc(right, wrong, failed), *coverages], 1)


def aurc_of(right: Tensor, wrong: Tensor) -> Tensor:
    """Return the mean risk of (R, M) counts in order of falling score, averaged over the orders of ties.

    Take m tied predictions, b of them wrong, after a predictions, e of them wrong. On average, e + j b / m of the first
    a + j predictions are wrong. With H = sum_j 1 / (a + j), the risks of the ties sum to b + (e - a b / m) H.
    """
    return _aurc(wrong, *_cumulative(right, wrong))


def least_aurc(right: Tensor, wrong: Tensor) -> Tensor:
    """Return the smallest possible mean risk of (R,) counts: all right predictions first, then the wrong ones."""
    harmonic = torch.special.digamma(right + wrong + 1) - torch.special.digamma(right + 1)
    return (wrong - right * harmonic) / (right + wrong)


def auroc_of(right: Tensor, wrong: Tensor) -> Tensor:
    """Return the probability that a right prediction has a higher score than a wrong one, (R,), of (R, M) counts."""
    return _auroc(right, wrong, wrong.cumsum(1))


def coverage_of(right: Tensor, wrong: Tensor, risk: float) -> Tensor:
    """Return the largest coverage with at most this risk, (R,), of (R, M) counts."""
    kept, failed = _cumulative(right, wrong)
    return _coverage(kept, failed / kept, risk)


def most_coverage(right: Tensor, wrong: Tensor, risk: float) -> Tensor:
    """Return the largest coverage over all orders within the cells: right predictions of each cell first."""
    kept, failed = _cumulative(right, wrong)
    # Keep everything up to the last right prediction of a cell, and as many of its wrong ones as the risk then allows.
    # The 1e-6 allows for rounding.
    upto = kept - wrong
    room = ((risk * upto - (failed - wrong)) / max(1 - risk, 1e-300) + 1e-6).floor()
    most = (upto + room.minimum(wrong)).where(room >= 0, 0).amax(1)
    return torch.maximum(most / kept[:, -1], coverage_of(right, wrong, risk))


def _cumulative(right: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers of predictions and of wrong ones up to each cell."""
    return (right + wrong).cumsum(1), wrong.cumsum(1)


def _aurc(wrong: Tensor, kept: Tensor, failed: Tensor) -> Tensor:
    start = kept.new_zeros(len(kept), 1)
    # kept and failed before each cell and after the last one
    ends, errors = torch.cat([start, kept], 1), torch.cat([start, failed], 1)
    harmonic = torch.special.digamma(ends + 1).diff(dim=1)
    before, tied = ends[:, :-1], ends.diff(dim=1)
    rate = wrong / tied.clamp_(min=1)
    return (wrong + (errors[:, :-1] - before * rate).mul_(harmonic)).sum(1) / kept[:, -1]


def _auroc(right: Tensor, wrong: Tensor, failed: Tensor) -> Tensor:
    below = failed[:, -1:] - failed
    return (right * (below + wrong / 2)).sum(1) / (right.sum(1) * wrong.sum(1))


def _coverage(kept: Tensor, rates: Tensor, risk: float) -> Tensor:
    return kept.where(rates <= risk, 0).amax(1) / kept[:, -1]
