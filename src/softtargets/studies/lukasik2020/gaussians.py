"""The exact separator of two Gaussians by logistic regression, if one of them has noisy labels."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.optimize import root
from scipy.special import expit

from softtargets._errors import fail

# Lukasik et al. 2020, Sec. 4.2: two classes of equal size with means ±(1, 1) and covariance 0.01 I; 5 % of the
# negatives are labelled positive.
CENTRE, DEVIATION, FLIPPED = 2**0.5, 0.1, 0.05
# Spacing of the nodes of the trapezoidal rule and its range to each side, in standard deviations.
STEP, REACH = 1 / 16, 9
# The levels that are drawn; the paper does not state its own.
SMOOTHINGS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PENALTIES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

Arm = Literal["LS", "L2", "L2 with intercept"]


@dataclass(frozen=True)
class Separator:
    """A line w1 x1 + w2 x2 + bias = 0 in the plane, positive towards the positive class.

    Args:
        arm: label smoothing, an L2 penalty on the weights, or an L2 penalty on weights and intercept.
        level: smoothing, or factor of the penalty.
        w1: first entry of the unit normal.
        w2: second entry of the unit normal.
        bias: bias for the unit normal.
        distance: signed distance of the line from the origin along (1, 1) / sqrt(2): 0 is Bayes-optimal; the mean of
            the class with noisy labels is at -sqrt(2).
        slope: increase of the logit per unit of length: the norm of the weights.
    """

    arm: Arm
    level: float
    w1: float
    w2: float
    bias: float
    distance: float
    slope: float


def separators(smoothings: tuple[float, ...], penalties: tuple[float, ...]) -> tuple[Separator, ...]:
    """Fit logistic regression with intercept exactly to the distribution (Lukasik et al. 2020, Fig. 5).

    min E[cross entropy(logit, (1 - smoothing) Y + smoothing / 2)] + penalty / 2 (||w||^2 [+ intercept^2])

    Y is the observed label. Orthogonal to the direction (1, 1) / sqrt(2), data and labels are independent and the data
    are symmetric, so the weights of this strictly convex problem lie along that direction and two numbers remain.
    Expectations are sums at equal steps, which are exact up to rounding for normal densities.

    The paper does not state whether the intercept is penalised, which determines the effect of an L2 penalty; both
    variants are computed. On clean data the effect is small: the means are 28 standard deviations apart, so a line can
    move far without errors.

    Args:
        smoothings: label smoothing over both classes, in [0, 1); without penalty.
        penalties: factors of the L2 penalty, at least 0; without smoothing.

    Returns:
        One separator for each smoothing, then one for each penalty on the weights, then one for each penalty on weights
        and intercept.

    Raises:
        ValueError: a number is out of range.

    Special cases:
        Level 0 gives the same line in all three arms. No level gives the Bayes-optimal line, distance 0. With F the
        flipped share, the distance approaches -F / ((1 - F) sqrt(2)) for an infinite penalty on both, and 2 + 0.1^2
        times that for smoothing 1 (the line of least squares). With a penalty on the weights alone, it approaches minus
        infinity, because the intercept represents the larger number of positives.
    """
    for smoothing in smoothings:
        if not 0 <= smoothing < 1:
            raise fail("smoothings", "each in [0, 1)", smoothing, "choose smoothings below 1")
    for penalty in penalties:
        if not 0 <= penalty < float("inf"):
            raise fail("penalties", "each finite and at least 0", penalty, "choose other penalties")
    return (
        *(_separator("LS", level, level, 0.0, 0.0) for level in smoothings),
        *(_separator("L2", level, 0.0, level, 0.0) for level in penalties),
        *(_separator("L2 with intercept", level, 0.0, level, level) for level in penalties),
    )


@cache
def figure5() -> tuple[Separator, ...]:
    """Return the separators that are drawn."""
    return separators(SMOOTHINGS, PENALTIES)


def noisy() -> float:
    """Return the distance of the separator without smoothing or penalty."""
    return _distances("LS")[0]


def least_step(arm: Arm) -> float:
    """Return the smallest move towards the positive class between consecutive levels.

    If it is above 0, every increase of the level moves the separator towards the positive class.
    """
    return min(after - before for before, after in pairwise(_distances(arm)))


def smoothing_limit() -> float:
    """Return the limit of the distance for smoothing 1: that of the line of least squares."""
    return -(CENTRE**2 + DEVIATION**2) * FLIPPED / ((1 - FLIPPED) * CENTRE)


def _distances(arm: Arm) -> list[float]:
    return [found.distance for found in figure5() if found.arm == arm]


def _separator(arm: Arm, level: float, smoothing: float, on_weight: float, on_intercept: float) -> Separator:
    slope, intercept = _minimiser(smoothing, on_weight, on_intercept)
    normal, distance = 0.5**0.5, -intercept / slope
    return Separator(arm, level, normal, normal, -distance, distance, slope)


def _minimiser(smoothing: float, on_weight: float, on_intercept: float) -> tuple[float, float]:
    """Return slope and intercept along (1, 1) / sqrt(2) at which the gradient of the objective is 0."""
    nodes = np.arange(-REACH, REACH + STEP, STEP)
    density = np.exp(-(nodes**2) / 2) * STEP / (2 * np.pi) ** 0.5 / 2  # each class has prior 1/2
    place = np.concatenate([CENTRE + DEVIATION * nodes, -CENTRE + DEVIATION * nodes])
    inputs, mass = np.stack([place, np.ones_like(place)], 1), np.concatenate([density, density])
    positive = np.repeat([1.0, FLIPPED], len(nodes))
    # minus 1/2, like all probabilities here, to avoid cancellation for smoothing near 1
    target = (1 - smoothing) * (positive - 0.5)
    penalty = np.array([on_weight, on_intercept])

    def gradient(x: np.ndarray) -> np.ndarray:
        return inputs.T @ (mass * (np.tanh(inputs @ x / 2) / 2 - target)) + penalty * x

    def hessian(x: np.ndarray) -> np.ndarray:
        p = expit(inputs @ x)
        return (inputs.T * (mass * p * (1 - p))) @ inputs + np.diag(penalty)

    # a tolerance below rounding: the search stops when no step improves, at a gradient of 1e-15
    solution = root(gradient, np.zeros(2), jac=hessian, tol=1e-14)
    slope, intercept = solution.x.tolist()
    return slope, intercept
