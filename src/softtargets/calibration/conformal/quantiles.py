"""Finite-sample quantiles of nonconformity scores, for clean labels and for labels with known noise."""

import math
from fractions import Fraction
from numbers import Real

import torch
from torch import Tensor

from softtargets._errors import InputError, fail, fail_type
from softtargets.matrices import Transition

# Sums of weights carry rounding errors; a smaller deficit, as a share of the rows, counts as none.
_ROUNDING = 1e-9


def check_alpha(alpha: object) -> float:
    """Return the share of sets that may miss the label, a number in (0, 1)."""
    required, remedy = "a number above 0 and below 1", "0.1 gives sets that contain 90 % of the labels"
    if isinstance(alpha, bool) or not isinstance(alpha, Real):
        raise fail_type("alpha", required, type(alpha).__name__, remedy)
    if not 0 < float(alpha) < 1:
        raise fail("alpha", required, f"{float(alpha):g}", remedy)
    return float(alpha)


def rank_of(rows: float, alpha: float) -> float:
    """Return the rank of the score that is the threshold, ceil((n + 1)(1 - alpha)); it may exceed n.

    It is computed as n + 1 - floor((n + 1) alpha) with the decimal number that was written for alpha. In floating point
    150 * (1 - 0.18) is above its true value of 123, and the rank would be one too high.

    Args:
        rows: n, at least 0; not a whole number if labels are noisy.
        alpha: in (0, 1).

    Example:
        >>> rank_of(99, 0.1), rank_of(9, 0.1), rank_of(8, 0.1), rank_of(149, 0.18)        # 8 rows are too few for 90 %
        (90, 9, 9, 123)
    """
    return rows + 1 - math.floor((Fraction(rows) + 1) * Fraction(repr(alpha)))


def least_rows(alpha: float) -> int:
    """Return the smallest number of rows with a finite threshold, ceil(1 / alpha) - 1.

    Example:
        >>> least_rows(0.1), least_rows(0.05)
        (9, 19)
    """
    return math.ceil(1 / Fraction(repr(alpha))) - 1


def order_statistics(scores: Tensor, group: Tensor, counts: Tensor, alpha: float) -> Tensor:
    """Return the threshold of each group, (G,) float64: its score of rank :func:`rank_of`, or infinity.

    Args:
        scores: (N,) float64.
        group: (N,) int64 in [0, G).
        counts: (G,) int64, rows of each group.
        alpha: in (0, 1).
    """
    by_score = scores.argsort()
    order = by_score[group[by_score].argsort(stable=True)]
    ranks = torch.tensor([rank_of(int(n), alpha) for n in counts.tolist()], device=scores.device)
    thresholds = scores.new_full(counts.shape, torch.inf)
    finite = ranks <= counts
    place = (counts.cumsum(0) - counts + ranks - 1)[finite]
    thresholds[finite] = scores[order[place]]
    return thresholds


def noise_weights(transition: Transition | Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return the weight of each class for each row, (N, K) float64: rows of the inverse of T by observed label.

    The sum over the rows of weight times f(row, class) has the expectation of the sum of f(row, clean label).

    Raises:
        ValueError: if T has another number of classes or no inverse.
    """
    transition = Transition.wrap(transition)
    if transition.num_classes != num_classes:
        required = f"{num_classes} classes, as the logits"
        raise fail("transition", required, transition.num_classes, "pass one row and column per class")
    try:
        inverse = transition.inverse().to_dense()
    except InputError:
        got = f"a condition number of {transition.condition():g}"
        remedy = "use labels with less noise; these do not determine the coverage of clean labels"
        raise fail("transition", "a matrix with an inverse", got, remedy) from None
    return inverse.detach().to(labels.device)[labels]


def corrected_quantile(scores: Tensor, weights: Tensor, alpha: float) -> tuple[float, float]:
    """Return the threshold for clean labels, and the number of clean rows that would determine it as well.

    The estimate of the distribution of the clean label's score, F(t) = sum of weights where score <= t, is not
    monotone. The threshold is the smallest t from which on it stays at :func:`rank_of` or above.

    Args:
        scores: (N, C) float64, the scores of some classes.
        weights: (N, C) float64, their :func:`noise_weights`.
        alpha: in (0, 1).
    """
    rows = float(weights.sum())
    if rows <= 0:
        return math.inf, 0.0
    ordered, order = scores.flatten().sort()
    total = weights.flatten()[order].cumsum(0)
    # a sum counts where all equal scores are in it
    last = torch.ones_like(order, dtype=torch.bool)
    last[:-1] = ordered[1:] > ordered[:-1]
    below = (last & (total < rank_of(rows, alpha) - _ROUNDING * len(scores))).nonzero()[:, 0]
    place = int(below[-1]) + 1 if len(below) else 0
    if place == len(ordered):
        return math.inf, rows
    threshold = float(ordered[place])
    inside = (weights * (scores <= threshold)).sum(1)
    share = float(inside.sum()) / rows
    # the variance of a ratio of sums over rows
    variance = float((inside - share * weights.sum(1)).square().sum()) / rows**2
    return threshold, share * (1 - share) / variance if variance > 0 and 0 < share < 1 else rows
