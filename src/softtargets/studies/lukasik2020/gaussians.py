"""Where logistic regression separates two Gaussians of which one has noisy labels: exact, without a sample."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.optimize import root
from scipy.special import expit

from softtargets._errors import fail

# Lukasik et al. 2020, Sec. 4.2: classes alike in size, centred at ±(1, 1), of covariance 0.01 I; of the negatives 5 %
# are called positive.
CENTRE, DEVIATION, FLIPPED = 2**0.5, 0.1, 0.05
# Standard deviations between the nodes of the trapezoid rule, and how many of them to each side.
STEP, REACH = 1 / 16, 9
# What is drawn; the paper does not print its own.
SMOOTHINGS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PENALTIES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

Arm = Literal["LS", "L2", "L2 with intercept"]


@dataclass(frozen=True)
class Separator:
    """A line w1 x1 + w2 x2 + bias = 0 in the plane, positive towards the positive class.

    Args:
        arm: what was done: label smoothing, an L2 penalty of the weights, or of weights and intercept.
        level: smoothing, or the factor of the penalty.
        w1: first entry of the unit normal.
        w2: second entry.
        bias: of that normal.
        distance: signed, of the line from the origin along (1, 1) / sqrt(2): 0 is Bayes-optimal, and the class with
            the wrong labels is centred at -sqrt(2).
        slope: by how much the logit rises per unit of length: the norm of the weights.
    """

    arm: Arm
    level: float
    w1: float
    w2: float
    bias: float
    distance: float
    slope: float


def separators(smoothings: tuple[float, ...], penalties: tuple[float, ...]) -> tuple[Separator, ...]:
    """Fit logistic regression with intercept to the distribution itself (Lukasik et al. 2020, Fig. 5), exactly.

    min E[cross entropy(logit, (1 - smoothing) Y + smoothing / 2)] + penalty / 2 (||w||^2 [+ intercept^2])

    Y is the observed label. Across the direction (1, 1) / sqrt(2) data and labels are independent and the data
    symmetric, so that the weights of a strictly convex problem lie along it, and two numbers remain. Expectations are
    sums at equal steps, as good as exact for normal densities.

    The paper does not say whether the intercept is penalised, which decides what an L2 penalty does: both are given.
    On clean data none of this matters much: between the classes' centres, 28 standard deviations apart, a line may
    move far before it errs.

    Args:
        smoothings: of label smoothing over both classes, in [0, 1); no penalty.
        penalties: factors of the L2 penalty, at least 0; no smoothing.

    Returns:
        One separator per smoothing, then one per penalty on the weights, then one per penalty on both.

    Raises:
        ValueError: where a number is out of range.

    Special cases:
        level 0 is the same line in all three arms. No level gives the Bayes-optimal one, distance 0. With F the flipped
        share, the distance goes to -F / ((1 - F) sqrt(2)) towards an infinite penalty on both, and to 2 + 0.1^2
        times that towards smoothing 1, which is least squares' line. With a penalty on the weights alone it goes to
        minus infinity: the intercept is left to say that there are more positives.
    """
    for smoothing in smoothings:
        if not 0 <= smoothing < 1:
            raise fail("smoothings", "each in [0, 1)", smoothing, "at 1 nothing is left to separate")
    for penalty in penalties:
        if not 0 <= penalty < float("inf"):
            raise fail("penalties", "each finite and at least 0", penalty, "leave it out, or change it")
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
    """Return where wrong labels alone move the separator: its distance without smoothing or penalty."""
    return _distances("LS")[0]


def least_step(arm: Arm) -> float:
    """Return the least move towards the positive class from one level that is drawn to the next.

    Where it is above 0, every rise of the level brings the separator back.
    """
    return min(after - before for before, after in pairwise(_distances(arm)))


def smoothing_limit() -> float:
    """Return the distance that is left towards smoothing 1: that of the line of least squares."""
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
    density = np.exp(-(nodes**2) / 2) * STEP / (2 * np.pi) ** 0.5 / 2  # each class is one half
    place = np.concatenate([CENTRE + DEVIATION * nodes, -CENTRE + DEVIATION * nodes])
    inputs, mass = np.stack([place, np.ones_like(place)], 1), np.concatenate([density, density])
    positive = np.repeat([1.0, FLIPPED], len(nodes))
    # less 1/2, as all probabilities here: towards smoothing 1 nothing but what they differ by is left
    target = (1 - smoothing) * (positive - 0.5)
    penalty = np.array([on_weight, on_intercept])

    def gradient(x: np.ndarray) -> np.ndarray:
        return inputs.T @ (mass * (np.tanh(inputs @ x / 2) / 2 - target)) + penalty * x

    def hessian(x: np.ndarray) -> np.ndarray:
        p = expit(inputs @ x)
        return (inputs.T * (mass * p * (1 - p))) @ inputs + np.diag(penalty)

    # a tolerance below rounding: it stops where no step is better, at a gradient of 1e-15
    solution = root(gradient, np.zeros(2), jac=hessian, tol=1e-14)
    slope, intercept = solution.x.tolist()
    return slope, intercept
