"""How much predictions differ within a class, and between classes: Shen's stability in its several readings."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from softtargets._errors import fail, unknown
from softtargets.analysis._class_means import counts_and_means
from softtargets.metrics.rows import chunks

__all__ = ["inter_class_stability", "stability"]

# A row's part of its class's spread: from its deviations from the class's mean, (n, K), and that of its own class, (n,)
_WITHIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "norm": lambda deviation, own: deviation.norm(dim=1),
    "squared": lambda deviation, own: deviation.square().sum(1),
    "listing": lambda deviation, own: own.square(),
}
# A class's part of the spread between classes, likewise
_BETWEEN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "norm": lambda deviation, own: deviation.norm(dim=1),
    "squared": lambda deviation, own: deviation.square().sum(1),
    "scalar": lambda deviation, own: own.abs(),
}


def stability(probs: Tensor, labels: Tensor, *, reading: Literal["norm", "squared", "listing"] = "norm") -> Tensor:
    """Measure how alike the predictions within a class are: what smoothing erases makes them more so.

    S = 1 - mean over classes c of spread_c        # Shen et al. 2021, Eq. 2

    norm:    spread_c = mean_i ||p_i - mean_c||_2        # Eq. 2 as printed
    squared: spread_c = mean_i ||p_i - mean_c||_2^2      # Eq. 2 taken for the variance that their text calls it
    listing: spread_c = standard deviation (n - 1) over i of p_i[c]        # their App. C, Algorithm 1

    i runs over the examples of class c. Their Table 1 prints 1 - S, from .29 to .34, and does not say of which reading;
    App. C calls the listing its code. Classes without examples are left out of the mean.

    Args:
        probs: (..., K) float, rows sum to 1.
        labels: (...) int64 in [0, K).
        reading: which of the three; a page says which it shows.

    Returns:
        () float64, at most 1.

    Raises:
        ValueError: where a row is no probability (the first is named), shapes differ, a label is out of range, there is
            no example, the reading is unknown, or `listing` finds a class with one example.
        TypeError: where probs are not floating-point or labels not integers.

    Special cases:
        equal predictions within each class give 1. Of two classes, norm is 1 less sqrt(2) times the mean absolute
        deviation of a class's probability, and squared 1 less twice its variance (n).

    Example:
        >>> probs = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        >>> float(stability(probs, torch.tensor([0, 0]), reading="squared"))        # 1 - 2 * .25^2
        0.875
    """
    if reading not in _WITHIN:
        raise unknown("reading", reading, _WITHIN)
    counts, means = counts_and_means(probs, labels)
    _check_counts(counts, 2 if reading == "listing" else 1)
    sums = torch.zeros_like(counts)
    for rows in chunks(probs, labels):
        deviation = rows.probs - means[rows.labels]
        own = deviation.gather(1, rows.labels[:, None])[:, 0]
        sums.index_add_(0, rows.labels, _WITHIN[reading](deviation, own))
    spread = (sums / (counts - 1)).sqrt() if reading == "listing" else sums / counts
    return 1 - spread[counts > 0].mean()


def inter_class_stability(
    probs: Tensor, labels: Tensor, *, reading: Literal["norm", "squared", "scalar"] = "norm"
) -> Tensor:
    """Measure how alike the mean predictions of the classes are.

    S = 1 - mean over classes c of distance_c        # Shen et al. 2021, App. G, Eq. 5

    norm:    distance_c = ||mean_c - mean||_2        # Eq. 5 as printed
    squared: distance_c = ||mean_c - mean||_2^2
    scalar:  distance_c = |q_c - q|, q_i = p_i[labels[i]]        # our reading of Table 10

    A mean without index is over all examples, one with index over those of class c. Table 10 prints 1 - S from .16 to
    .19. A vector's norm cannot be as small where most examples are right: of K classes alike in size, |mean_c[c] - 1/K|
    alone is near the accuracy. Means of the own class's probability, the number that App. C's code takes, have that
    size. Classes without examples are left out of the mean.

    Args:
        probs: (..., K) float, rows sum to 1.
        labels: (...) int64 in [0, K).
        reading: which of the three; a page says which it shows.

    Returns:
        () float64, at most 1.

    Raises:
        ValueError: where a row is no probability (the first is named), shapes differ, a label is out of range, there is
            no example, or the reading is unknown.
        TypeError: where probs are not floating-point or labels not integers.

    Special cases:
        equal predictions of all examples give 1 by norm and squared. One-hot predictions at the labels, with K classes
        alike in size, give 1 - sqrt(1 - 1/K) by norm, 1/K by squared and 1 by scalar.

    Example:
        >>> float(inter_class_stability(torch.eye(4), torch.arange(4), reading="squared"))
        0.25
    """
    if reading not in _BETWEEN:
        raise unknown("reading", reading, _BETWEEN)
    counts, means = counts_and_means(probs, labels)
    _check_counts(counts, 1)
    seen = counts > 0
    share, own = counts[seen] / counts.sum(), means.diagonal()[seen]
    return 1 - _BETWEEN[reading](means[seen] - share @ means[seen], own - share @ own).mean()


def _check_counts(counts: Tensor, least: int) -> None:
    if not counts.any():
        raise fail("labels", "at least one example", 0, "nothing can be told from no example")
    few = ((counts > 0) & (counts < least)).nonzero()[:, 0]
    if len(few):
        got = f"{int(counts[few[0]])} of class {int(few[0])}"
        raise fail("labels", f"at least {least} examples of a class", got, "drop that class, or take another reading")
