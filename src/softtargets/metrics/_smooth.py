"""Smooth calibration error and the curve it is the area of."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["SmoothECE", "SmoothReliability", "smooth_ece", "smooth_reliability"]

# Nodes at j / _CELLS; a power of two, so that a confidence's place between two has no rounding.
_CELLS = 2**11
_NARROWEST = 2 / _CELLS
_HALVINGS = 20
# exp(-x**2 / 2) is below 1e-16 from x = 8.6 on
_HIGHEST = 8.6 / math.pi
# Below this density rounding is no longer far smaller than what is divided.
_DENSITY = 1e-6


@dataclass(frozen=True, eq=False)
class SmoothReliability:
    """The curve whose weighted distance from the diagonal is the smooth calibration error.

    integral of |accuracy - confidence| * density = smooth_ece

    Args:
        confidence: (M,) float64, evenly from 0 to 1.
        accuracy: (M,) float64: confidence + the smoothed mean of (correct - confidence); NaN where there is no example.
            Near the ends it may leave [0, 1] by as much as the width.
        density: (M,) float64, of the smoothed confidences.
        width: () float64, the kernel's.
    """

    confidence: Tensor
    accuracy: Tensor
    density: Tensor
    width: Tensor


class SmoothECE(Accumulator):
    """Smooth calibration error gathered; see :func:`smooth_ece`.

    The state keeps the residuals, correct - confidence, on a grid of 2,049 confidences: each is shared between the two
    next to it in proportion, which keeps its place on average.

    Args:
        groups: for an interval; the state has so many copies of 49 kB.
        seed: of the groups.
    """

    interval_method = "basic"

    def bound(self) -> Tensor:
        """Return how far at most :meth:`compute` is from the smooth calibration error of the examples themselves.

        With h the grid's spacing, sharing a residual between nodes changes the error at a width s by at most
        h**2 / 8 * |K''|_1 and the sum over nodes is at most h**2 / 4 * |K''|_1 from the integral, where |K''|_1 =
        4 phi(1) / s**2 is the integral of the Gaussian's second derivative in absolute value (a reflected one has no
        more). Where two falling curves cross the diagonal is no farther apart than they are; below the crossing of the
        curve raised by its error no width can be excluded.

        Returns:
            () float64, of at most 0.005.

        Raises:
            ValueError: where there is no example.
        """
        value = self.compute()
        residuals = self._residuals(self._totals())
        width = _width(residuals)[0]
        highest = _width(residuals, allowance=_error)[0]
        slack = 2.0**-_HALVINGS
        return torch.maximum(highest - value, torch.minimum(value, _error(width))) + slack

    def curve(self) -> SmoothReliability:
        """Return the curve that the smooth calibration error is the area of.

        Raises:
            ValueError: where there is no example.
        """
        totals = self._totals()
        residuals = self._residuals(totals)
        width = _width(residuals)
        density = _smoothed(totals["examples"] / totals["rows"][:, None], width)[0]
        confidence = torch.arange(_CELLS + 1, device=density.device, dtype=torch.float64) / _CELLS
        gap = _smoothed(residuals, width)[0] / density.where(density > _DENSITY, torch.nan)
        return SmoothReliability(confidence, confidence + gap, density.clamp(min=0), width[0])

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"residuals": Field((_CELLS + 1,), real=True), "examples": Field((_CELLS + 1,))}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        confidence = rows.confidence
        place = confidence * _CELLS
        below = place.floor().clamp(max=_CELLS - 1)
        share, node = place - below, below.long()
        residual = rows.correct.double() - confidence
        upper = residual * share
        sums.add("residuals", group, node, residual - upper, most=1.0)
        sums.add("residuals", group, node + 1, upper, most=1.0)
        sums.count("examples", group, place.round().long())

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        residuals = self._residuals(totals)
        return _error_at(residuals, _width(residuals))

    def _residuals(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["residuals"] / totals["rows"][:, None]


def smooth_ece(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Smooth calibration error of the predicted class (Błasiok & Nakkiran 2023, smECE).

    smECE_s = integral over t in [0, 1] of |mean_i K_s(t, confidence_i) (correct_i - confidence_i)|
    smECE = smECE_s at the smallest s with s >= smECE_s

    K_s is the Gaussian density of standard deviation s, reflected at 0 and 1. There is nothing to choose, and a small
    change of the confidences changes it little, which no binned calibration error can say. Widths below 1/1024 are not
    tried.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.

    Returns:
        () float64, a fraction in [0, 1]; how near, says :meth:`SmoothECE.bound`.

    Raises:
        ValueError: where `probs` are not probabilities (first bad row named), a label is out of range, or none counts.
        TypeError: where values are not floating-point, labels not integers, or mask not bool.

    Special cases:
        one confidence for all gives |accuracy - confidence|, whatever the width.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.75, 0.25]])
        >>> f"{smooth_ece(probs, torch.tensor([0, 1])):.3f}"  # confidence .75, accuracy .5
        '0.250'
    """
    return SmoothECE().update(probs, labels, logits=logits, mask=mask).compute()


def smooth_reliability(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
) -> SmoothReliability:
    """Accuracy against confidence, smoothed by the very kernel of :func:`smooth_ece`, which is the area of the gap.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.

    Returns:
        SmoothReliability.

    Raises:
        ValueError: as :func:`smooth_ece`.
        TypeError: as :func:`smooth_ece`.
    """
    return SmoothECE().update(probs, labels, logits=logits, mask=mask).curve()


def _smoothed(values: Tensor, width: Tensor) -> Tensor:
    """Smooth (R, M) masses at the nodes by reflected Gaussians of (R,) widths: a density at the nodes.

    Reflected at both ends the masses have period 2, and the Gaussian is diagonal in cosines.
    """
    return _from_cosines(_cosines(values), width)


def _cosines(values: Tensor) -> Tensor:
    # a mass at an end is its own mirror image
    ends = torch.cat([2 * values[:, :1], values[:, 1:-1], 2 * values[:, -1:]], 1)
    return torch.fft.rfft(torch.cat([ends, values[:, 1:-1].flip(1)], 1)).real / 2


def _from_cosines(cosines: Tensor, width: Tensor) -> Tensor:
    # the Gaussian of the higher ones is less than a rounding
    kept = min(_CELLS + 1, math.ceil(_HIGHEST / float(width.min())))
    frequency = math.pi * torch.arange(kept, device=cosines.device, dtype=torch.float64)
    damped = cosines[:, :kept] * torch.exp(-0.5 * (frequency * width[:, None]).square())
    return torch.fft.irfft(damped, n=2 * _CELLS)[:, : _CELLS + 1] * (2 * _CELLS)


def _area(density: Tensor) -> Tensor:
    """Integrate (R, M) absolute values over [0, 1] by trapezia."""
    values = density.abs()
    return (values.sum(1) - 0.5 * (values[:, 0] + values[:, -1])) / _CELLS


def _error_at(residuals: Tensor, width: Tensor) -> Tensor:
    return _area(_smoothed(residuals, width))


def _error(width: Tensor) -> Tensor:
    """Return how far the grid may take the error at a width, for residuals of at most 1: see `bound`."""
    second = 4 * math.exp(-0.5) / math.sqrt(2 * math.pi)
    return (3 / 8) * second / (_CELLS * width).square()


def _width(residuals: Tensor, allowance: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Return the smallest width that is at least the error at it, (R,), by halving: the error falls with the width."""
    cosines = _cosines(residuals)
    low = residuals.new_full((len(residuals),), _NARROWEST)
    high = torch.ones_like(low)
    for _ in range(_HALVINGS + 1):
        middle = (low + high) / 2
        error = _area(_from_cosines(cosines, middle)) + (0 if allowance is None else allowance(middle))
        enough = error <= middle
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high
