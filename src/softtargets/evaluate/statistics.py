"""Intervals of shares and p-values of many questions at once."""

import math
from collections.abc import Sequence

from softtargets.evaluate.results import Interval

LEVEL = 0.05
CONFIDENCE = 0.95
CLASSES_RULE = (
    "A class is surely below where Fisher’s exact test, one-sided, finds its recall below that of all other rows, "
    f"Holm-adjusted over the classes at {100 * LEVEL:g} %."
)


def wilson(right: int, count: int) -> Interval:
    """Return the interval of a share (Wilson 1927), of at least one row.

    Example:
        >>> [round(end, 4) for end in wilson(0, 10)]        # 0 to z^2 / (n + z^2)
        [0.0, 0.2775]
    """
    from statistics import NormalDist

    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    # exact at the ends, where rounding could leave a hair
    return Interval(0.0 if right == 0 else middle - half, 1.0 if right == count else middle + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979).

    Example:
        >>> [round(p, 10) for p in holm([0.03, 0.001, 0.04])]        # 3 * .001, 2 * .03, and no less for .04
        [0.06, 0.003, 0.06]
    """
    adjusted, last = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        last = max(last, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = last
    return adjusted


def surely_below(labels: Sequence[int], right: Sequence[int]) -> list[bool]:
    """Say of each class whether its recall is below that of the other rows, by `CLASSES_RULE`.

    Args:
        labels: rows of each class.
        right: those of them that are predicted right.
    """
    from scipy.stats import hypergeom

    found = [index for index, count in enumerate(labels) if 0 < count < sum(labels)]
    p_values = [float(hypergeom.cdf(right[i], sum(labels), sum(right), labels[i])) for i in found]
    below = {index for index, p in zip(found, holm(p_values), strict=True) if p < LEVEL}
    return [index in below for index in range(len(labels))]
