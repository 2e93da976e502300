"""Numbers of pairs that paired t intervals need for a decision.

A decision is an interval that lies on one side of a boundary, or between two of them. `level` is a significance level,
as in :mod:`softtargets.metrics.statistics`.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

from softtargets.metrics.statistics import ROUNDING

# scipy is imported inside the functions that need it, since the library requires torch alone.

# Probability that is left out on each side of an integral over the standard deviation.
_TAIL = 1e-10


def upper_deviation(deviation: float, n: int, confidence: float = 0.8) -> float:
    """Upper confidence limit of a standard deviation, from a pilot of n differences.

    deviation * sqrt((n - 1) / chi2(1 - confidence; n - 1))        # Browne 1995; Kieser and Wassmer 1996

    A sample size that is computed from the observed deviation of a small pilot is too small about half of the time.
    With the upper limit, the planned power is reached with at least the probability `confidence`.

    Args:
        deviation: standard deviation (n - 1) of the n differences, at least 0.
        n: number of differences of the pilot, at least 2.
        confidence: one-sided confidence, in (0, 1).

    Returns:
        Upper limit, above `deviation` for a confidence of at least 0.7.

    Example:
        >>> round(upper_deviation(1.0, 4), 3)        # chi2(.2; 3) = 1.005
        1.728
    """
    from scipy import stats

    return deviation * math.sqrt((n - 1) / float(stats.chi2.ppf(1 - confidence, n - 1)))


def decision_power(expected: float, boundaries: Sequence[float], deviation: float, n: int, level: float) -> float:
    """Probability that a paired t interval lies on the side of the boundaries where the true mean is.

    one boundary b:    P(T > t(1 - level / 2; n - 1)),  T noncentral t with |expected - b| sqrt(n) / deviation
    -m and m:          P(-m < mean - half and mean + half < m),  half = t(1 - level / 2; n - 1) * standard error

    Args:
        expected: true mean of the differences.
        boundaries: one boundary, or two in increasing order. If the true mean is not between two boundaries, the
            nearest one counts.
        deviation: true standard deviation of the differences, at least 0.
        n: number of pairs, at least 2.
        level: 1 - confidence of the interval, in (0, 1).

    Returns:
        Probability in [0, 1].

    Special cases:
        a deviation below `ROUNDING` gives 1 if n equal signs are significant, 2^(1 - n) <= level, and 0 otherwise.

    Example:
        >>> round(decision_power(1.0, (0.0,), 1.0, 10, 0.05), 2)        # Cohen's d = 1
        0.8
    """
    from scipy import stats

    if deviation < ROUNDING:
        return float(2.0 ** (1 - n) <= level)
    scale, critical = math.sqrt(n) / deviation, float(stats.t.isf(level / 2, n - 1))
    if len(boundaries) == 2 and boundaries[0] < expected < boundaries[1]:
        return _power_between((expected - boundaries[0]) * scale, (boundaries[1] - expected) * scale, critical, n)
    return _power_between(min(abs(expected - boundary) for boundary in boundaries) * scale, math.inf, critical, n)


def _power_between(below: float, above: float, critical: float, n: int) -> float:
    """Integrate over the observed deviation, in units of the true one, the probability that both ends lie inside.

    `below` and `above` are the distances of the true mean from the boundaries, in true standard errors. Without a
    boundary above, this is the tail of the noncentral t distribution.
    """
    from scipy import integrate, stats

    normal, freedom = NormalDist(), n - 1
    unit, constant = 1 / math.sqrt(freedom), freedom / 2 * math.log(freedom / 2) - math.lgamma(freedom / 2)

    def density(ratio: float) -> float:
        # of a chi distribution divided by sqrt(n - 1)
        return 2 * math.exp(constant + (freedom - 1) * math.log(ratio) - freedom * ratio * ratio / 2)

    def inside(ratio: float) -> float:
        reach = critical * ratio
        share = (1.0 if above == math.inf else normal.cdf(above - reach)) - normal.cdf(reach - below)
        return max(0.0, share) * density(ratio)

    # no interval fits if its half-width exceeds that of the region
    most = min(float(stats.chi.isf(_TAIL, freedom, scale=unit)), (below + above) / (2 * critical))
    least = float(stats.chi.ppf(_TAIL, freedom, scale=unit))
    return float(integrate.quad(inside, least, most, limit=200)[0]) if most > least else 0.0


def pairs_needed(
    expected: float,
    boundaries: Sequence[float],
    deviation: float,
    level: float,
    *,
    power: float = 0.8,
    most: int = 1000,
) -> int | None:
    """Smallest number of pairs with which :func:`decision_power` is at least `power`.

    Args:
        expected, boundaries, deviation, level: see :func:`decision_power`.
        power: in (0, 1).
        most: largest number to consider.

    Returns:
        Number of pairs, at least 2; None if more than `most` are needed, or `expected` is a boundary.

    Example:
        >>> pairs_needed(1.0, (0.0,), 1.0, 0.05)        # Cohen's d = 1: 10 pairs have a power of .803
        10
    """
    if min(abs(expected - boundary) for boundary in boundaries) < ROUNDING:
        return None

    def enough(n: int) -> bool:
        return decision_power(expected, boundaries, deviation, n, level) >= power

    return _first(enough, 2, most)


def smallest_distance(deviation: float, n: int, level: float, *, power: float = 0.8) -> float:
    """Smallest distance from a boundary that n pairs decide with probability `power`.

    Args:
        deviation: true standard deviation of the differences, at least 0.
        n: number of pairs, at least 2.
        level: 1 - confidence of the interval, in (0, 1).
        power: in (0, 1).

    Returns:
        Distance in the unit of the differences; 0 if the deviation is below `ROUNDING`.

    Example:
        >>> round(smallest_distance(1.0, 10, 0.05), 2)
        1.0
    """
    from scipy import optimize, stats

    if deviation < ROUNDING:
        return 0.0
    # beyond this distance the power is nearly 1 even if the observed deviation is far above the true one
    far = (float(stats.t.isf(level / 2, n - 1)) * 10 + 10) * deviation / math.sqrt(n)

    def above(distance: float) -> float:
        return decision_power(distance, (0.0,), deviation, n, level) - power

    return float(optimize.brentq(above, 0.0, far))  # pyright: ignore[reportArgumentType]


def _first(holds: Callable[[int], bool], least: int, most: int) -> int | None:
    """Return the first number from `least` to `most` for which `holds`, which then holds for all larger numbers."""
    if not holds(most):
        return None
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if holds(middle) else (middle + 1, most)
    return least
