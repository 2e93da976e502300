"""Tests and intervals of computed numbers: Holm's procedure, Student's t, Wilson's interval, Fisher's exact test.

Bootstrap intervals of accumulated metrics are :func:`softtargets.metrics.interval` and
:func:`softtargets.metrics.paired_difference`. `level` is a significance level: an interval of level 0.05 has
confidence 0.95.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, correlation

import torch

# scipy is imported inside the functions that need it, since the library requires torch alone.

# Sums of fractions carry rounding errors of about 1e-16; a spread or a distance below this counts as zero.
ROUNDING = 1e-12
# A term below this share of a sum of falling terms is left out with those after it.
_NEGLIGIBLE = 1e-18


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons (Holm 1979).

    adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j)),  p_(1) <= ... <= p_(m)

    Args:
        p_values: m p-values in [0, 1], in any order.

    Returns:
        m values in [0, 1], in the order of `p_values`.

    Example:
        >>> [round(p, 10) for p in holm_adjusted([0.03, 0.001, 0.04])]        # 3 * .001, 2 * .03, and no less for .04
        [0.06, 0.003, 0.06]
    """
    adjusted, last = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        last = max(last, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = last
    return adjusted


def holm_levels(p_values: dict[str, float], level: float, family: int) -> dict[str, float]:
    """Return the level at which Holm's step-down procedure tests each hypothesis.

    The i-th smallest of m p-values is tested at level / (m - i + 1). After the first hypothesis that is not rejected,
    all further ones have the level of that one.

    Args:
        p_values: p-values by the name of the hypothesis.
        level: family-wise error rate, in (0, 1).
        family: m, the number of hypotheses, at least the number of `p_values`, since some may not have been tested.

    Returns:
        Levels by name, in increasing order of the p-values.

    Example:
        >>> holm_levels({"a": 0.001, "b": 0.03, "c": 0.04}, 0.05, family=3)
        {'a': 0.016666666666666666, 'b': 0.025, 'c': 0.025}
    """
    result: dict[str, float] = {}
    held: float | None = None
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        own = level / (family - place) if held is None else held
        if held is None and p > own:
            held = own
        result[name] = own
    return result


def paired_t(mean: float, standard_error: float, n: float, level: float) -> tuple[float, float]:
    """Two-sided t interval of a mean of paired differences.

    mean ± t(1 - level / 2; n - 1) * standard_error

    Args:
        mean: mean of the n differences.
        standard_error: standard deviation of the differences / sqrt(n), at least 0.
        n: number of pairs, at least 2, or one more than the degrees of freedom of another standard error.
        level: 1 - confidence, in (0, 1).

    Returns:
        Lower and upper end.

    Example:
        >>> [round(end, 3) for end in paired_t(1.0, 0.1, 5, 0.05)]        # t(.975; 4) = 2.776
        [0.722, 1.278]
    """
    from scipy import stats

    half = float(stats.t.isf(level / 2, n - 1)) * standard_error
    return mean - half, mean + half


def paired_t_p_value(distance: float, standard_error: float, n: float) -> float:
    """Two-sided p-value of a paired t-test.

    P(|t| >= distance / standard_error),  t with n - 1 degrees of freedom

    Args:
        distance: absolute difference of the mean and its value under the null hypothesis.
        standard_error: standard deviation of the paired differences / sqrt(n), at least 0.
        n: number of pairs, at least 2, or one more than the degrees of freedom of another standard error.

    Returns:
        p-value in [0, 1].

    Special cases:
        a standard error below `ROUNDING` gives the p-value of the sign test, 2^(1 - n), or 1 if the distance is below
        `ROUNDING` too.

    Example:
        >>> round(paired_t_p_value(0.2776, 0.1, 5), 3)
        0.05
        >>> paired_t_p_value(0.2, 0.0, 5)        # all five differences are equal
        0.0625
    """
    from scipy import stats

    if standard_error < ROUNDING:
        return 1.0 if distance < ROUNDING else 2.0 ** (1 - n)
    return float(2 * stats.t.sf(distance / standard_error, n - 1))


def pearson(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's correlation of two sequences.

    Args:
        first: n numbers, n at least 2.
        second: n numbers.

    Returns:
        Correlation in [-1, 1]; None if one of the sequences is constant (up to `ROUNDING`).

    Example:
        >>> pearson([0.0, 1.0, 2.0], [0.0, 2.0, 1.0])
        0.5
    """
    if max(first) - min(first) < ROUNDING or max(second) - min(second) < ROUNDING:
        return None
    return correlation(first, second)


def correlation_interval(r: float, n: int, level: float) -> tuple[float, float]:
    """Confidence interval of a correlation of n independent pairs (Fisher 1921).

    tanh(atanh r ± z(1 - level / 2) / sqrt(n - 3))

    Args:
        r: Pearson's correlation, in [-1, 1].
        n: number of pairs, at least 4.
        level: 1 - confidence, in (0, 1).

    Returns:
        Lower and upper end, in [-1, 1].

    Special cases:
        |r| = 1 gives an interval without width.

    Example:
        >>> [round(end, 3) for end in correlation_interval(0.5, 28, 0.05)]        # atanh .5 ± 1.96 / 5
        [0.156, 0.736]
    """
    if abs(r) >= 1 - ROUNDING:
        return r, r
    half = NormalDist().inv_cdf(1 - level / 2) / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def wilson(count: int, total: int, level: float) -> tuple[float, float]:
    """Confidence interval of a proportion (Wilson 1927).

    (s + z^2 / 2n ± z sqrt(s (1 - s) / n + z^2 / 4n^2)) / (1 + z^2 / n),  s = count / n, n = total

    Args:
        count: number of successes, in [0, total].
        total: number of trials, at least 1.
        level: 1 - confidence, in (0, 1).

    Returns:
        Lower and upper end, in [0, 1].

    Special cases:
        count=0 gives a lower end of exactly 0; count=total gives an upper end of exactly 1.

    Example:
        >>> [round(end, 4) for end in wilson(0, 10, 0.05)]        # 0 to z^2 / (n + z^2)
        [0.0, 0.2775]
    """
    z = NormalDist().inv_cdf(1 - level / 2)
    share, spread = count / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    # exact at the ends, where rounding could leave a small error
    return 0.0 if count == 0 else middle - half, 1.0 if count == total else middle + half


def beta_binomial_range(total: int, a: float, b: float, level: float) -> tuple[float, float]:
    """Return the central range of a share of successes with a beta-binomial distribution.

    P(count) = C(n, count) B(count + a, n - count + b) / B(a, b),  n = total

    Args:
        total: number of trials, at least 1.
        a: first parameter of the beta distribution of the probability of success, above 0.
        b: second parameter, above 0.
        level: probability outside the range, at most level / 2 on either side, in (0, 1).

    Returns:
        Lower and upper end, in [0, 1].

    Example:
        >>> beta_binomial_range(9, 1, 1, 0.2)        # all of 0, ..., 9 successes have probability .1
        (0.1111111111111111, 0.8888888888888888)
    """
    counts = torch.arange(total + 1, dtype=torch.float64)
    gamma = torch.lgamma
    choose = gamma(counts + 1) + gamma(total - counts + 1)
    likelihood = gamma(counts + a) + gamma(total - counts + b) - choose
    shares = (likelihood - likelihood.amax()).exp()
    below = shares.cumsum(0) / shares.sum()
    # a sum that equals level / 2 up to rounding counts as equal
    low = int((below <= level / 2 + ROUNDING).sum())
    high = int((below < 1 - level / 2 - ROUNDING).sum())
    return low / total, high / total


def surely_below(totals: Sequence[int], counts: Sequence[int], level: float = 0.05) -> list[bool]:
    """Return for each class whether its proportion is significantly below that of all other classes together.

    One-sided Fisher's exact test, with p-values adjusted over the classes by Holm's procedure.

    Args:
        totals: (K,) number of rows of each class, such as those that have its label.
        counts: (K,) number of successes among them, such as right predictions; counts[k] <= totals[k].
        level: family-wise error rate, in (0, 1).

    Returns:
        K booleans; False for classes without rows and for a class that has all rows.

    Example:
        >>> surely_below([4, 4], [0, 4])        # p = 1 / 70 each way, twice that after adjustment
        [True, False]
    """
    tested = [k for k, total in enumerate(totals) if 0 < total < sum(totals)]
    p_values = [at_most(counts[k], sum(totals), sum(counts), totals[k]) for k in tested]
    below = {k for k, p in zip(tested, holm_adjusted(p_values), strict=True) if p < level}
    return [k in below for k in range(len(totals))]


def at_most(count: int, population: int, successes: int, drawn: int) -> float:
    """Return the hypergeometric probability of at most `count` successes among numbers drawn without replacement.

    sum_{i <= count} C(successes, i) C(population - successes, drawn - i) / C(population, drawn)

    Args:
        count: number of successes.
        population: size of the population.
        successes: successes in the population, in [0, population].
        drawn: numbers drawn, in [0, population].

    Example:
        >>> round(at_most(0, 8, 4, 4) * 70, 10)        # 1 of C(8, 4) = 70 draws has no success
        1.0
    """
    failures = population - successes
    least, most = max(0, drawn - failures), min(drawn, successes)
    if not least <= count < most:
        return 0.0 if count < least else 1.0
    # The sum over the side of `count` that is away from the mean, whose terms decrease.
    below = count * population <= drawn * successes
    i = count if below else count + 1
    term = math.exp(_log_choose(successes, i) + _log_choose(failures, drawn - i) - _log_choose(population, drawn))
    total = 0.0
    while term > total * _NEGLIGIBLE:
        total += term
        if below:
            term *= i * (failures - drawn + i) / ((successes - i + 1) * (drawn - i + 1))
            i -= 1
        else:
            term *= (successes - i) * (drawn - i) / ((i + 1) * (failures - drawn + i + 1))
            i += 1
    return min(1.0, total if below else 1 - total)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
