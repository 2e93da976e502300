"""Smooth calibration error and its reliability curve."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Unpack, overload

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._results import TensorResult, new_axes, shown, unit_square
from softtargets.metrics.accumulators import Accumulator, gather
from softtargets.metrics.arguments import REQUIRED, RowOptions
from softtargets.metrics.rows import Rows, chunks
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["SmoothECE", "SmoothReliability", "smooth_ece", "smooth_reliability"]

# Nodes are at j / _CELLS; with a power of two, the position of a confidence between two nodes is not rounded.
_CELLS = 2**11
_NARROWEST = 2 / _CELLS
_HALVINGS = 20
_INTERVALS = 2 ** (_HALVINGS + 1)
# The first width that is tried, the largest number of steps of the secant method after it, and its last step.
_START, _SECANTS, _CLOSE = 0.05, 10, 1e-5
_COARSE = 2**9
# exp(-x**2 / 2) is below 1e-16 from x = 8.6 on
_HIGHEST = 8.6 / math.pi
# Below this density the quotient is dominated by rounding.
_DENSITY = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class SmoothReliability(TensorResult):
    """A smooth reliability diagram: accuracy as a function of confidence.

    integral of |accuracy - confidence| * density = smooth_ece

    Args:
        confidence: (M,) float64, evenly spaced from 0 to 1.
        accuracy: (M,) float64: confidence + the smoothed mean of (correct - confidence); NaN where there are no
            examples. Near 0 and 1 it can exceed [0, 1] by up to the kernel width.
        density: (M,) float64, density of the smoothed confidences.
        width: () float64, standard deviation of the kernel.
    """

    confidence: Tensor
    accuracy: Tensor
    density: Tensor
    width: Tensor

    def __repr__(self) -> str:
        return f"SmoothReliability(points={len(self.confidence)}, width={shown(self.width)})"

    def plot(self, ax: Any = None) -> Any:
        """Plot accuracy against confidence, with the density of the confidences below.

        Args:
            ax: matplotlib axes. Default: those of a new figure.

        Returns:
            The axes.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        ax = unit_square(new_axes(ax), x="confidence", y="accuracy")
        confidence = self.confidence.tolist()
        density, accuracy = torch.as_tensor(self.density), torch.as_tensor(self.accuracy)
        share = (density / (4 * density.max())).tolist()
        ax.fill_between(confidence, share, color="0.85", linewidth=0, label="density of confidence")
        ax.plot(confidence, accuracy.clamp(0, 1).tolist(), label="accuracy")
        ax.legend(loc="upper left")
        return ax


class SmoothECE(Accumulator):
    """Smooth calibration error, accumulated; see :func:`smooth_ece`.

    The state keeps the residuals, correct - confidence, on a grid of 2,049 confidences. Each residual is divided
    between the two nearest nodes so that its mean position is unchanged.

    Args:
        groups: as in :class:`Accumulator`; the state takes 49 kB per group.
        seed: as in :class:`Accumulator`.
    """

    interval_method = "basic"
    most = 1.0

    def bound(self) -> Tensor:
        """Return an upper bound on the difference between :meth:`compute` and the exact smooth calibration error.

        Let h be the spacing of the grid and s the kernel width. Dividing a residual between nodes changes the error by
        at most h**2 / 8 * |K''|_1, and the sum over nodes differs from the integral by at most h**2 / 4 * |K''|_1.
        |K''|_1 = 4 phi(1) / s**2 is the integral of the absolute second derivative of the Gaussian, and an upper bound
        for the reflected one. The points where two decreasing curves cross the diagonal are no farther apart than the
        curves are.

        Returns:
            () float64, at most 0.005.

        Raises:
            ValueError: if there are no examples.
        """
        value = self.compute()
        residuals = self._residuals(self._totals())
        width = _width(residuals)[0]
        highest = _width(residuals, allowance=_error)[0]
        slack = 2.0**-_HALVINGS
        return torch.maximum(highest - value, torch.minimum(value, _error(width))) + slack

    def curve(self) -> SmoothReliability:
        """Return the smooth reliability diagram.

        Raises:
            ValueError: if there are no examples.
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
        sums.add_residuals("examples", "residuals", group, rows.top, rows.correct)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        residuals = self._residuals(totals)
        return _error_at(residuals, _width(residuals))

    def _residuals(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["residuals"] / totals["rows"][:, None]


@overload
def smooth_ece(probs: ArrayLike, labels: ArrayLike, **options: Unpack[RowOptions]) -> Tensor: ...


@overload
def smooth_ece(*, logits: ArrayLike, labels: ArrayLike, **options: Unpack[RowOptions]) -> Tensor: ...


@array_function
def smooth_ece(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
) -> Tensor:
    """Smooth calibration error (smECE) of the predicted class (Błasiok & Nakkiran 2023).

    smECE_s = integral over t in [0, 1] of |mean_i K_s(t, confidence_i) (correct_i - confidence_i)|
    smECE = smECE_s at the smallest s with s >= smECE_s

    K_s is the Gaussian density of standard deviation s, reflected at 0 and 1. There is no hyper-parameter. A small
    change of the confidences changes smECE by little, unlike the binned calibration error. Widths below 1/1024 are not
    tried.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.

    Returns:
        () float64, a fraction in [0, 1]; :meth:`SmoothECE.bound` bounds its error.

    Raises:
        ValueError: if both `probs` and `logits` are given, shapes differ, a row is not a probability distribution, a
            label is out of range (first bad row named), or no row is left.
        TypeError: if an argument is missing, predictions are not floating-point, labels not integers, or mask not
            bool.

    Special cases:
        equal confidences of all examples give |accuracy - confidence|, whatever the width.

    When to use:
        To compare models, since there are no bins to choose.

    Aliases:
        smECE; relplot

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.75, 0.25]])
        >>> f"{smooth_ece(probs, torch.tensor([0, 1])):.3f}"  # confidence .75, accuracy .5
        '0.250'
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    return gather(SmoothECE(), read).compute()


@overload
def smooth_reliability(probs: ArrayLike, labels: ArrayLike, **options: Unpack[RowOptions]) -> SmoothReliability: ...


@overload
def smooth_reliability(*, logits: ArrayLike, labels: ArrayLike, **options: Unpack[RowOptions]) -> SmoothReliability: ...


@array_function
def smooth_reliability(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
) -> SmoothReliability:
    """Smooth reliability diagram: accuracy against confidence, smoothed with the kernel of :func:`smooth_ece`.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.

    Returns:
        SmoothReliability; smooth_ece is the area between its curve and the diagonal, weighted by the density.

    Raises:
        ValueError: as :func:`smooth_ece`.
        TypeError: as :func:`smooth_ece`.

    Example:
        >>> curve = smooth_reliability(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]))
        >>> float(curve.accuracy[(curve.confidence - 0.75).abs().argmin()].round(decimals=2))
        0.5
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    return gather(SmoothECE(), read).curve()


def _smoothed(values: Tensor, width: Tensor) -> Tensor:
    """Smooth (R, M) masses at the nodes with reflected Gaussians of (R,) widths; returns densities at the nodes.

    Masses reflected at both ends have period 2, and in the cosine basis the Gaussian is diagonal.
    """
    return _from_cosines(_cosines(values), width)


def _cosines(values: Tensor) -> Tensor:
    # a mass at an end coincides with its reflection
    ends = torch.cat([2 * values[:, :1], values[:, 1:-1], 2 * values[:, -1:]], 1)
    return torch.fft.rfft(torch.cat([ends, values[:, 1:-1].flip(1)], 1)).real / 2


def _from_cosines(cosines: Tensor, width: Tensor, cells: int = _CELLS) -> Tensor:
    """Return the densities at the ends of so many cells, smoothed with Gaussians of (R,) widths, (R, cells + 1)."""
    # at higher frequencies the Gaussian is below the rounding error
    kept = min(cells + 1, math.ceil(_HIGHEST / float(width.min())))
    frequency = math.pi * torch.arange(kept, device=cosines.device, dtype=torch.float64)
    damped = cosines[:, :kept] * torch.exp(-0.5 * (frequency * width[:, None]).square())
    return torch.fft.irfft(damped, n=2 * cells)[:, : cells + 1] * (2 * cells)


def _area(density: Tensor) -> Tensor:
    """Integrate (R, M) absolute values over [0, 1] by the trapezoidal rule."""
    values = density.abs()
    return (values.sum(1) - 0.5 * (values[:, 0] + values[:, -1])) / (values.shape[1] - 1)


def _error_at(residuals: Tensor, width: Tensor) -> Tensor:
    return _area(_smoothed(residuals, width))


def _error(width: Tensor) -> Tensor:
    """Return the largest error due to the grid at a width, for residuals of at most 1; see `SmoothECE.bound`."""
    second = 4 * math.exp(-0.5) / math.sqrt(2 * math.pi)
    return (3 / 8) * second / (_CELLS * width).square()


def _width(residuals: Tensor, allowance: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Return the smallest width that is at least the error at that width, (R,), to within 2^-21.

    It is the upper end of the interval that bisection of [_NARROWEST, 1] ends in. The error falls as the width grows,
    so that this interval is the one at whose ends the comparison differs. The secant method finds it, on a coarse grid
    and then on the grid of the nodes; where it does not, the widths are bisected.
    """
    cosines = _cosines(residuals)

    def error(rows: Tensor | slice, width: Tensor, cells: int = _CELLS) -> Tensor:
        return _area(_from_cosines(cosines[rows], width, cells)) + (0 if allowance is None else allowance(width))

    near = _crossing(lambda width: error(slice(None), width, _COARSE), cosines.new_full((len(cosines),), _START))
    crossing = _crossing(lambda width: error(slice(None), width), near)
    # the ends of the last intervals of a bisection, which floating point represents exactly
    spacing = (1 - _NARROWEST) / _INTERVALS
    place = ((crossing - _NARROWEST) / spacing).ceil().clamp(1, _INTERVALS)
    high, low = _NARROWEST + place * spacing, _NARROWEST + (place - 1) * spacing
    found = (error(slice(None), high) <= high) | (place == _INTERVALS)
    found &= (error(slice(None), low) > low) | (place == 1)
    others = (~found).nonzero()[:, 0]
    if len(others):
        high[others] = _bisected(lambda width: error(others, width), high[others])
    return high


def _crossing(error: Callable[[Tensor], Tensor], before: Tensor) -> Tensor:
    """Return approximately the width that equals the error at that width, (R,), by the secant method from a width."""
    above = error(before)
    # the error falls, so that it and the width that it was computed at are on two sides of the crossing
    width = above.clamp(_NARROWEST, 1)
    for _ in range(_SECANTS):
        gap, last = error(width) - width, above - before
        step = gap * (width - before) / (gap - last)
        step = step.where(step.isfinite(), 0)
        before, above = width, gap + width
        width = (width - step).clamp(_NARROWEST, 1)
        if float((width - before).abs().max()) < _CLOSE:
            break
    return width


def _bisected(error: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    low, high = like.new_full((len(like),), _NARROWEST), torch.ones_like(like)
    for _ in range(_HALVINGS + 1):
        middle = (low + high) / 2
        enough = error(middle) <= middle
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high
