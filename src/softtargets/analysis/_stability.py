"""Variation of predictions within a class, and between classes: variants of the stability of Shen et al. 2021."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._errors import fail, unknown
from softtargets._rows import read_rows
from softtargets.analysis._class_means import counts_and_means, wide_chunks

__all__ = ["inter_class_stability", "stability"]

# Contribution of a row to the spread of its class, (n,), from its deviations from the class mean, (n, K), and the
# deviation of its own class's probability, (n,).
_WITHIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "eq2": lambda deviation, own: deviation.norm(dim=1),
    "eq2_squared": lambda deviation, own: deviation.square().sum(1),
    "appendix_c": lambda deviation, own: own.square(),
}
# Contribution of a class to the distance between classes, likewise.
_BETWEEN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "eq5": lambda deviation, own: deviation.norm(dim=1),
    "eq5_squared": lambda deviation, own: deviation.square().sum(1),
    "own_class": lambda deviation, own: own.abs(),
}


@array_function
def stability(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    variant: Literal["eq2", "eq2_squared", "appendix_c"] = "eq2",
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Tensor:
    """Measure how similar the predictions within a class are; label smoothing makes them more similar.

    S = 1 - mean over classes c of spread_c        # Shen et al. 2021, Eq. 2

    eq2:         spread_c = mean_i ||p_i - mean_c||_2        # Eq. 2 as printed
    eq2_squared: spread_c = mean_i ||p_i - mean_c||_2^2      # Eq. 2 as the variance that their text calls it
    appendix_c:  spread_c = standard deviation (n - 1) over i of p_i[c]        # their App. C, Algorithm 1

    i runs over the examples of class c. Their Table 1 prints 1 - S, from .29 to .34, and does not state which variant;
    App. C calls its listing their code. Classes without examples are left out of the mean.

    Args:
        probs: (..., K) float, rows sum to 1.
        labels: (...) integers in [0, K).
        variant: "eq2", "eq2_squared" or "appendix_c".
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        () float64, at most 1.

    Raises:
        ValueError: if a row does not hold probabilities (first one named), shapes differ, a label is out of range, no
            example is left, the variant is unknown, or a class has only one example for "appendix_c".
        TypeError: if probs are not floating-point or labels not integers.

    Special cases:
        equal predictions within each class give 1. With two classes, eq2 is 1 minus sqrt(2) times the mean absolute
        deviation of the probability of a class, and eq2_squared 1 minus twice its variance (n).

    Example:
        >>> probs = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        >>> float(stability(probs, torch.tensor([0, 0]), variant="eq2_squared"))        # 1 - 2 * .25^2
        0.875
    """
    if variant not in _WITHIN:
        raise unknown("variant", str(variant), _WITHIN)
    rows, given = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask).counted_probs
    counts, means = counts_and_means(rows, given)
    if variant == "appendix_c":
        _check_pairs(counts)
    sums = torch.zeros_like(counts)
    for part, chunk in wide_chunks(rows):
        deviation = chunk - means[given[part]]
        own = deviation.gather(1, given[part][:, None])[:, 0]
        sums.index_add_(0, given[part], _WITHIN[variant](deviation, own))
    spread = (sums / (counts - 1)).sqrt() if variant == "appendix_c" else sums / counts
    return 1 - spread[counts > 0].mean()


@array_function
def inter_class_stability(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    variant: Literal["eq5", "eq5_squared", "own_class"] = "eq5",
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Tensor:
    """Measure how similar the mean predictions of the classes are.

    S = 1 - mean over classes c of distance_c        # Shen et al. 2021, App. G, Eq. 5

    eq5:         distance_c = ||mean_c - mean||_2        # Eq. 5 as printed
    eq5_squared: distance_c = ||mean_c - mean||_2^2
    own_class:   distance_c = |q_c - q|, q_i = p_i[labels[i]]        # our interpretation of Table 10

    A mean without an index is over all examples, one with an index over those of class c. Table 10 prints 1 - S from
    .16 to .19. The norms in Eq. 5 cannot be that small for an accurate model: with K classes of equal size,
    |mean_c[c] - 1/K| alone is about the accuracy. Differences of the mean true-class probability, which App. C's code
    uses, are of that size. Classes without examples are left out of the mean.

    Args:
        probs: (..., K) float, rows sum to 1.
        labels: (...) integers in [0, K).
        variant: "eq5", "eq5_squared" or "own_class".
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        () float64, at most 1.

    Raises:
        ValueError: if a row does not hold probabilities (first one named), shapes differ, a label is out of range, no
            example is left, or the variant is unknown.
        TypeError: if probs are not floating-point or labels not integers.

    Special cases:
        equal predictions for all examples give 1 for eq5 and eq5_squared. One-hot predictions of the labels, with K
        classes of equal size, give 1 - sqrt(1 - 1/K) for eq5, 1/K for eq5_squared and 1 for own_class.

    Example:
        >>> float(inter_class_stability(torch.eye(4), torch.arange(4), variant="eq5_squared"))
        0.25
    """
    if variant not in _BETWEEN:
        raise unknown("variant", str(variant), _BETWEEN)
    counts, means = counts_and_means(
        *read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask).counted_probs
    )
    seen = counts > 0
    share, own = counts[seen] / counts.sum(), means.diagonal()[seen]
    return 1 - _BETWEEN[variant](means[seen] - share @ means[seen], own - share @ own).mean()


def _check_pairs(counts: Tensor) -> None:
    """Require at least two examples of every class that has one: a single number has no standard deviation."""
    few = (counts == 1).nonzero()[:, 0]
    if len(few):
        remedy = "leave that class out by mask=, or use variant='eq2'"
        raise fail("labels", "at least 2 examples of a class", f"1 of class {int(few[0])}", remedy)
