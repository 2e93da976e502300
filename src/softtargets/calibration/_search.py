"""The search for the temperature: safeguarded Newton steps in log T, on samples of increasing size."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets.calibration._inputs import MASKED, Examples

# smallest and largest temperature of a search, unless others are given
BOUNDS = (1e-3, 1e3)
# entries of the first sample, on which the grid is evaluated; each further sample is GROWTH times as large, up to all
FIRST = 2**18
GROWTH = 16
GRID = 29  # temperatures tried on the first sample; with the default bounds their ratio is 1.64


@dataclass(frozen=True)
class Found:
    """The result of a search: log T, and whether the slope is 0 there."""

    log_temperature: float
    converged: bool


class TemperatureNLL:
    """The mean NLL of labels after a transition as a function of log T, with its slope and curvature, all float64.

    Let q be the posterior of the clean class given the observed label (without noise, the label itself, or the
    distribution of a soft label), b = 1/T and d the logits. The derivatives in b are NLL' = E_p[d] - E_q[d] and
    NLL'' = Var_p[d] - Var_q[d], without noise Var_p[d].
    """

    def __init__(self, rows: Examples, log_columns: Tensor | None = None) -> None:
        self.rows, self.log_columns = rows, log_columns

    def __call__(self, log_temperature: float) -> tuple[float, float, float]:
        rows, inverse = self.rows, math.exp(-log_temperature)
        total = torch.zeros(3, dtype=torch.float64, device=rows.top.device)
        for chunk in rows.chunks():
            shifted = rows.shifted(chunk)
            sums = _moments(shifted, shifted * inverse)
            if self.log_columns is None:
                given = rows.expected(chunk, shifted)
                total += torch.stack([(sums[0] - inverse * given).sum(), (sums[1] - given).sum(), sums[2].sum()])
            else:
                posterior = _moments(
                    shifted, (shifted * inverse).add_(self.log_columns[rows.labels[chunk]]), normalise=True
                )
                total += (sums - posterior).sum(1)
        value, slope, curvature = (total / len(rows)).tolist()
        return value, -inverse * slope, inverse * (inverse * curvature + slope)


def _moments(shifted: Tensor, scores: Tensor, *, normalise: bool = False) -> Tensor:
    """Return the log-sum of the weights, and mean and variance of `shifted` under softmax(scores), stacked (3, n).

    `scores` is overwritten. Unless `normalise`, the largest score of each row must be 0.
    """
    top = scores.amax(1, keepdim=True) if normalise else torch.zeros_like(scores[:, :1])
    weights = (scores.sub_(top) if normalise else scores).exp_()
    total = weights.sum(1)
    mean = weights.mul_(shifted).sum(1) / total
    square = weights.mul_(shifted).sum(1) / total
    return torch.stack([total.log() + top[:, 0], mean, square - mean * mean])


def search(objective: TemperatureNLL, low: float, high: float, *, tolerance: float) -> Found:
    """Return the minimum between two values of log T.

    A grid on a sample gives the start. Newton steps follow on larger and larger samples, so that only the last few
    process every row. A sample consists of evenly spaced rows, without random numbers.
    """
    rows = objective.rows
    strides = [max(1, len(rows) * rows.num_classes // FIRST)]
    while strides[-1] > 1:
        strides.append(max(1, strides[-1] // GROWTH))
    samples = [TemperatureNLL(rows[::stride], objective.log_columns) for stride in strides]
    reach = (high - low) / (GRID - 1)
    grid = [low + reach * step for step in range(GRID - 1)] + [high]
    # the lowest T on ties; T = 1 if all logits of each row are equal, since the objective is then constant
    start = min(grid, key=lambda point: samples[0](point)[0]) if _differ(samples[0].rows) else min(max(0.0, low), high)
    found = Found(start, False)
    for sample in samples:
        found = _newton(sample, (low, high), found.log_temperature, reach, tolerance)
    return found


def _differ(rows: Examples) -> bool:
    """Return whether any row has finite logits that differ."""
    shifted = (rows.shifted(chunk) for chunk in rows.chunks())
    return any(bool(((values < 0) & (values > MASKED)).any()) for values in shifted)


def _newton(
    objective: Callable[[float], tuple[float, float, float]],
    bounds: tuple[float, float],
    start: float,
    reach: float,
    tolerance: float,
) -> Found:
    """Find a minimum: Newton steps while they shrink, otherwise bisection within a bracket."""
    (left, right), point, last = bounds, start, math.inf
    while True:
        _, slope, curvature = objective(point)
        outwards = (point == bounds[0] and slope >= 0) or (point == bounds[1] and slope <= 0)
        if outwards or slope == curvature == 0:
            return Found(point, False)
        left, right = (point, right) if slope < 0 else (left, point)
        step = -slope / curvature if curvature > 0 else math.inf
        if not (abs(step) < abs(last) / 2 and left <= point + step <= right):
            # at most one grid spacing, since there may be another minimum beyond it
            step = min(max((left + right) / 2 - point, -reach), reach)
        if abs(step) <= tolerance:
            ends = [bound for bound in bounds if abs(point + step - bound) <= tolerance]
            return Found(ends[0], False) if ends else Found(point + step, True)
        point, last = point + step, step
