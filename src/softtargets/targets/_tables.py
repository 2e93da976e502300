"""Class tables: which classes are alike, as (K, K) tensors whose row y is the target of label y, for `from_table`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from softtargets._checks import (
    check_count,
    check_entries,
    check_fraction,
    check_num_classes,
    check_square,
)
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32
from softtargets.targets._text import class_tf_idf

__all__ = ["confusion_table", "hierarchical_table", "localized_table", "tfidf_table"]


def hierarchical_table(distance: Tensor, *, sharpness: float) -> Tensor:
    """Make the table of a class hierarchy: the nearer a class, the more of the target.

    table[y, k] proportional to exp(-sharpness * distance[y, k])        # Bertinetto et al. 2020, from memory

    Args:
        distance: (K, K) non-negative float, as the height of the lowest common ancestor; 0 on the diagonal as a rule.
        sharpness: at least 0.

    Returns:
        (K, K) float32 or wider, rows sum to 1.

    Raises:
        ValueError: where distances are not (K, K), finite and non-negative, or sharpness is negative.

    Special cases:
        sharpness=0 gives the uniform table; large ones give the identity where classes are apart.

    Notes:
        their beta is `sharpness`; with all distances 1, smoothing in "others" is (K - 1) / (exp(sharpness) + K - 1).

    Complexity:
        O(K^2), once.

    When to use:
        classes form a tree, and a mistake within a branch is the lesser one.

    Limitations:
        fewer grave mistakes are bought with a few more mistakes.

    Example:
        >>> distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> hierarchical_table(distance, sharpness=torch.log(torch.tensor(3.0)).item()).round(decimals=4).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    check_square("distance", distance)
    check_entries("distance", distance, lambda n: n >= 0, "entries of at least 0", "fix that entry")
    if not 0 <= sharpness < float("inf"):
        raise fail("sharpness", "at least 0, finite", sharpness, "0 is uniform, large ones are hard labels")
    return (-sharpness * at_least_float32(distance)).softmax(-1)


def localized_table(num_classes: int, *, smoothing: float, width: int) -> Tensor:
    """Make the table of ordered classes, of which the neighbours share the smoothing.

    table[y, k] = 1 - smoothing at k = y, smoothing / neighbours at 0 < |k - y| <= width, else 0

    The first and the last classes have fewer neighbours, and each of them the more. Our reading of localized smoothing.

    Args:
        num_classes: K.
        smoothing: weight that leaves the label, in [0, 1].
        width: how far a neighbour may be, at least 1.

    Returns:
        (K, K) float64, rows sum to 1.

    Raises:
        ValueError: where an argument is out of range.

    Special cases:
        smoothing=0 gives the identity; width=K-1 gives ``smooth`` in the convention "others".

    Notes:
        "others", among the neighbours.

    Complexity:
        O(K^2), once.

    When to use:
        classes are ordered: ages, grades, ratings, bins of a number.

    Limitations:
        a loss for ordered outcomes says the same without a table.

    Example:
        >>> localized_table(3, smoothing=0.5, width=1).tolist()
        [[0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.0, 0.5, 0.5]]
    """
    check_num_classes(num_classes)
    check_fraction("smoothing", smoothing)
    check_count("width", width, remedy="1 smooths over the classes next to the label")
    place = torch.arange(num_classes)
    distance = (place[:, None] - place).abs()
    return _blend(((distance > 0) & (distance <= width)).double(), smoothing)


def confusion_table(counts: Tensor, *, smoothing: float) -> Tensor:
    """Make the table that smooths every class over those it is confused with.

    table[y] = (1 - smoothing) onehot(y) + smoothing * counts[y] / sum of counts[y],  the diagonal of counts left out

    A class that was never confused is smoothed evenly over the others.

    Args:
        counts: (K, K) non-negative, int or float: row y, column k counts examples of class y taken for class k.
        smoothing: weight that leaves the label, in [0, 1].

    Returns:
        (K, K) float64, rows sum to 1.

    Raises:
        ValueError: where counts are not (K, K), finite and non-negative, or smoothing is outside [0, 1].
        TypeError: where counts are no tensor of real numbers.

    Special cases:
        smoothing=0 gives the identity; equal counts give ``smooth`` in the convention "others".

    Notes:
        "others"; rows are true classes, as in scikit-learn's confusion matrix.

    Complexity:
        O(K^2), once.

    When to use:
        a model of the same task was evaluated on held-out data.

    Limitations:
        counts from the training set are of memorised examples, and under label noise they are the noise's.

    Example:
        >>> confusion_table(torch.tensor([[9, 3, 1], [0, 5, 0], [2, 2, 7]]), smoothing=0.5).tolist()
        [[0.5, 0.375, 0.125], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    """
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.dtype == torch.bool:
        got = f"dtype {counts.dtype}" if isinstance(counts, Tensor) else type(counts).__name__
        raise fail_type("counts", "a tensor of numbers", got, "pass a torch.Tensor of ints or floats")
    counts = counts.double()
    check_square("counts", counts)
    check_entries("counts", counts, lambda n: n >= 0, "entries of at least 0", "fix that entry")
    check_fraction("smoothing", smoothing)
    return _blend(counts, smoothing)


def tfidf_table(
    texts: Sequence[str],
    labels: Tensor | Sequence[int],
    *,
    num_classes: int,
    smoothing: float,
    temperature: float = 1.0,
) -> Tensor:
    """Make the table that smooths every class over those whose texts have the same words (LS-TFIDF).

    table[y] = (1 - smoothing) onehot(y) + smoothing * softmax(cosine(w_y, w) / temperature)

    w_k is the TF-IDF vector of all texts of class k taken as one document (see :class:`ClassKeywords`, which says how
    words are told apart and weighed). A documented reading: the text of Liu et al. 2022 was not to be had.

    Args:
        texts: one per example.
        labels: (N,) int64 or a sequence of ints in [0, K).
        num_classes: K.
        smoothing: weight that goes by likeness, the label's own among it, in [0, 1].
        temperature: above 0; the smaller, the more of it goes to the likest classes.

    Returns:
        (K, K) float64, rows sum to 1.

    Raises:
        ValueError: where texts and labels do not pair, a label is out of range, or smoothing or temperature is.
        TypeError: where the labels are no ints.

    Special cases:
        smoothing=0 gives the identity; a high temperature gives ``smooth`` in the convention "all".

    Notes:
        "all": the label has a part in what is spread, the largest.

    Complexity:
        O(words) and O(K^2 vocabulary), once.

    When to use:
        texts are classified and the names of classes overlap in meaning.

    Limitations:
        words in common are not mistakes in common; classes without texts are smoothed evenly.

    Example:
        >>> texts = ["a goal and a match", "a match of chess", "stars and planets"]
        >>> tfidf_table(texts, [0, 1, 2], num_classes=3, smoothing=0.5, temperature=0.1).round(decimals=2).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    check_fraction("smoothing", smoothing)
    if not temperature > 0:
        raise fail("temperature", "above 0", temperature, "1 is the plain softmax of the cosines")
    _, weights = class_tf_idf(texts, labels, num_classes)
    unit = torch.nn.functional.normalize(weights, dim=-1)
    spread = (unit @ unit.T / temperature).softmax(-1)
    return (1 - smoothing) * torch.eye(num_classes, dtype=torch.float64) + smoothing * spread


def _blend(weights: Tensor, smoothing: float) -> Tensor:
    """Give the label 1 - smoothing and the others the rest in proportion to their weights; evenly where all are 0."""
    eye = torch.eye(len(weights), dtype=weights.dtype, device=weights.device)
    others = weights * (1 - eye)
    total = others.sum(-1, keepdim=True)
    spread = torch.where(total > 0, others / torch.where(total > 0, total, 1.0), (1 - eye) / (len(weights) - 1))
    return (1 - smoothing) * eye + smoothing * spread
