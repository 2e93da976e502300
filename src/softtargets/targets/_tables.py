"""Class tables: (K, K) tensors whose row y is the target of label y, for `from_table`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from softtargets._checks import check_count, check_entries, check_num_classes, check_square
from softtargets._errors import fail_type
from softtargets._numerics import at_least_float32
from softtargets.targets._text import class_tf_idf
from softtargets.targets.checks import check_sharing, check_tensor, fraction, not_negative, positive

__all__ = ["confusion_table", "hierarchical_table", "localized_table", "tfidf_table"]


def hierarchical_table(distance: Tensor, *, sharpness: float) -> Tensor:
    """Make the class table of a hierarchy: closer classes get more weight.

    table[y, k] proportional to exp(-sharpness * distance[y, k])        # Bertinetto et al. 2020, not checked

    Args:
        distance: (K, K) non-negative float, such as the height of the lowest common ancestor; usually 0 on the
            diagonal.
        sharpness: at least 0, finite.

    Returns:
        (K, K) float32 or wider, rows sum to 1.

    Raises:
        ValueError: if distances are not (K, K), finite and non-negative, or sharpness is negative.
        TypeError: if distances are not floating-point or sharpness is not a number.

    Special cases:
        sharpness=0 gives the uniform table; as it grows, the table tends to the identity if all classes are distinct.

    Notes:
        `sharpness` is the paper's beta. If all distances are 1, this is smoothing of (K - 1) / (exp(sharpness) + K - 1)
        in the convention "others".

    Complexity:
        O(K^2).

    When to use:
        Classes form a tree, and mistakes within a branch are less serious.

    Limitations:
        Fewer serious mistakes come with slightly more mistakes overall.

    Example:
        >>> distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> hierarchical_table(distance, sharpness=torch.log(torch.tensor(3.0)).item()).round(decimals=4).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    check_tensor("distance", distance, "a floating-point tensor")
    check_square("distance", distance)
    check_entries("distance", distance, lambda n: n >= 0, "entries of at least 0", "fix that entry")
    sharpness = not_negative("sharpness", sharpness, "0 gives the uniform table, large values hard labels")
    return (-sharpness * at_least_float32(distance)).softmax(-1)


def localized_table(num_classes: int, *, smoothing: float, width: int) -> Tensor:
    """Make the class table of ordered classes, where the neighbours share the smoothing.

    table[y, k] = 1 - smoothing at k = y, smoothing / neighbours at 0 < |k - y| <= width, else 0

    The first and last classes have fewer neighbours, and each of those gets more. This is our interpretation of
    localized smoothing.

    Args:
        num_classes: K.
        smoothing: weight that is moved from the label to its neighbours, in [0, 1].
        width: largest distance of a neighbour, at least 1.

    Returns:
        (K, K) float64, rows sum to 1.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if smoothing is not a number.

    Special cases:
        smoothing=0 gives the identity; width=K-1 gives ``smooth`` in the convention "others".

    Notes:
        The convention "others", restricted to the neighbours.

    Complexity:
        O(K^2).

    When to use:
        Classes are ordered: ages, grades, ratings, bins of a number.

    Limitations:
        A loss for ordinal outcomes expresses the same without a table.

    Example:
        >>> localized_table(3, smoothing=0.5, width=1).tolist()
        [[0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.0, 0.5, 0.5]]
    """
    check_num_classes(num_classes)
    smoothing = fraction("smoothing", smoothing)
    check_count("width", width, remedy="1 smooths over the classes next to the label")
    place = torch.arange(num_classes)
    distance = (place[:, None] - place).abs()
    return _blend(((distance > 0) & (distance <= width)).double(), smoothing)


def confusion_table(counts: Tensor, *, smoothing: float) -> Tensor:
    """Make the class table that smooths every class over the classes it is confused with.

    table[y] = (1 - smoothing) onehot(y) + smoothing * counts[y] / sum of counts[y],  the diagonal of counts left out

    A class that was never confused is smoothed evenly over the others.

    Args:
        counts: (K, K) non-negative, int or float: row y, column k counts examples of class y predicted as class k.
        smoothing: weight that is moved from the label to other classes, in [0, 1].

    Returns:
        (K, K) float64, rows sum to 1.

    Raises:
        ValueError: if counts are not (K, K), finite and non-negative, or smoothing is outside [0, 1].
        TypeError: if counts are not a tensor of real numbers, or smoothing is not a number.

    Special cases:
        smoothing=0 gives the identity; equal counts give ``smooth`` in the convention "others".

    Notes:
        The convention "others". Rows are true classes, as in scikit-learn's confusion matrix.

    Complexity:
        O(K^2).

    When to use:
        A model of the same task was evaluated on held-out data.

    Limitations:
        Counts from the training set include memorised examples, and with label noise they reflect the noise.

    Example:
        >>> confusion_table(torch.tensor([[9, 3, 1], [0, 5, 0], [2, 2, 7]]), smoothing=0.5).tolist()
        [[0.5, 0.375, 0.125], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    """
    check_tensor("counts", counts, "a tensor of numbers")
    if counts.is_complex() or counts.dtype == torch.bool:
        raise fail_type("counts", "a tensor of numbers", f"dtype {counts.dtype}", "use integer or float counts")
    counts = counts.double()
    check_square("counts", counts)
    check_entries("counts", counts, lambda n: n >= 0, "entries of at least 0", "fix that entry")
    smoothing = fraction("smoothing", smoothing)
    return _blend(counts, smoothing)


def tfidf_table(
    texts: Sequence[str],
    labels: Tensor | Sequence[int],
    *,
    num_classes: int,
    smoothing: float,
    temperature: float = 1.0,
    convention: str = "all",
) -> Tensor:
    """Make the class table that smooths every class over classes whose texts share its words (LS-TFIDF).

    table[y] = (1 - smoothing) onehot(y) + smoothing * softmax(cosine(w_y, w) / temperature)

    The softmax is over all classes, or in the convention "others" over the classes except y.

    w_k is the TF-IDF vector of all texts of class k as one document (see :class:`ClassKeywords` for the definition of
    words and weights). The text of Liu et al. 2022 was not available: this is our interpretation.

    Args:
        texts: one per example.
        labels: (N,) integers in [0, K), a tensor or a sequence.
        num_classes: K.
        smoothing: weight that is spread by similarity, in [0, 1].
        temperature: above 0; lower values give more weight to the most similar classes.
        convention: "all": the label's class also receives smoothing. "others": the other classes receive all of it.

    Returns:
        (K, K) float64, rows sum to 1.

    Raises:
        ValueError: if texts and labels differ in number, a label, smoothing or temperature is out of range, or the
            convention is unknown.
        TypeError: if texts are not strings or labels not integers.

    Special cases:
        smoothing=0 gives the identity; a high temperature gives ``smooth`` in the same convention.

    Notes:
        In the convention "all" the label's class, which is most similar to itself, receives most of the smoothing: at
        temperature 0.1 over 90 % of it on CLINC150 and Banking77. The convention "others" has no such effect.

    Complexity:
        O(words) and O(K^2 vocabulary).

    When to use:
        Texts are classified, and classes overlap in meaning.

    Limitations:
        Shared words do not imply confusion. Classes without texts are smoothed evenly.

    Example:
        >>> texts = ["a goal and a match", "a match of chess", "stars and planets"]
        >>> tfidf_table(texts, [0, 1, 2], num_classes=3, smoothing=0.5, temperature=0.1).round(decimals=2).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    smoothing = fraction("smoothing", smoothing)
    temperature = positive("temperature", temperature, "1 is the plain softmax of the cosines")
    _, weights = class_tf_idf(texts, labels, num_classes)
    check_sharing(convention)
    unit = torch.nn.functional.normalize(weights, dim=-1)
    cosines = unit @ unit.T / temperature
    if convention == "others":
        cosines.fill_diagonal_(-torch.inf)
    spread = cosines.softmax(-1)
    return (1 - smoothing) * torch.eye(num_classes, dtype=torch.float64) + smoothing * spread


def _blend(weights: Tensor, smoothing: float) -> Tensor:
    """Give the label 1 - smoothing, and the others the rest by their weights, or evenly if all weights are 0."""
    eye = torch.eye(len(weights), dtype=weights.dtype, device=weights.device)
    others = weights * (1 - eye)
    total = others.sum(-1, keepdim=True)
    spread = torch.where(total > 0, others / torch.where(total > 0, total, 1.0), (1 - eye) / (len(weights) - 1))
    return (1 - smoothing) * eye + smoothing * spread
