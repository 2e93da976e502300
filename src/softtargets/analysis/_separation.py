"""Separation of classes in the features of a layer, by cosine distances between examples."""

from collections.abc import Iterator

from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import first_bad, values_visible, where
from softtargets._errors import fail
from softtargets.analysis._features import chunks, class_means, read_features

__all__ = ["class_separation", "within_class_distance"]


@array_function
def class_separation(
    features: ArrayLike, labels: ArrayLike, *, ignore_index: int = -100, mask: ArrayLike | None = None
) -> Tensor:
    """Fraction of the cosine distance between examples that lies between classes (Kornblith et al. 2021).

    R^2 = 1 - d_within / d_total

    d_within = mean_k mean_{i, j in k} (1 - cos(x_i, x_j))
    d_total  = mean_k mean_l mean_{i in k, j in l} (1 - cos(x_i, x_j))

    All pairs count, including those of an example with itself, and all classes have equal weight: the denominators are
    K N_k^2 and K^2 N_k N_l. No pairs are formed: with x of length 1 and m_k the mean of a class, d_within is
    mean_k mean_i |x_i - m_k|^2 and d_total - d_within = mean_k |m_k - mean_l m_l|^2.

    Args:
        features: (N, D) float, usually the activations of the penultimate layer; no row is all 0.
        labels: (N,) integers of at least 0; classes without an example are left out.
        ignore_index: label of examples to leave out.
        mask: (N,) bool, False for examples to leave out; None: include all.

    Returns:
        () float64 in [0, 1]; NaN if all rows have the same direction.

    Raises:
        ValueError: if shapes differ, a row holds NaN, an infinity or only 0 (first one named), a number is beyond 1e120
            or all are below 1e-120, or all examples are of one class.
        TypeError: if features are not floating-point or labels not integers.

    Special cases:
        one direction per class, different for any two classes, gives 1; classes with equal means give 0. Multiplying a
        row by a positive number or rotating all rows changes nothing.

    Example:
        >>> features = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> float(class_separation(features, torch.tensor([0, 0, 1, 1])))        # d_within = 1/2, d_total = 1
        0.5
    """
    within, between = _distances(features, labels, ignore_index, mask)
    return between / (within + between)


@array_function
def within_class_distance(
    features: ArrayLike, labels: ArrayLike, *, ignore_index: int = -100, mask: ArrayLike | None = None
) -> Tensor:
    """Mean cosine distance between two examples of a class: d_within of :func:`class_separation`.

    The mean is over all ordered pairs, including each example with itself.

    Table 2 of MaxSup (Zhou et al. 2025) reports it next to R^2 under this name, and cites Kornblith et al. 2021.

    Args:
        features: (N, D) float; no row is all 0.
        labels: (N,) integers of at least 0; classes without an example are left out.
        ignore_index: label of examples to leave out.
        mask: (N,) bool, False for examples to leave out; None: include all.

    Returns:
        () float64 in [0, 1].

    Raises:
        ValueError: as :func:`class_separation`.
        TypeError: as :func:`class_separation`.

    Special cases:
        one direction per class gives 0; two opposite rows in each class give 1.

    Example:
        >>> features = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> float(within_class_distance(features, torch.tensor([0, 0, 1, 1])))        # half of the pairs: at 90 degrees
        0.5
    """
    return _distances(features, labels, ignore_index, mask)[0]


def _distances(features: Tensor, labels: Tensor, ignore_index: int, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return d_within and d_total - d_within; computed as sums of squares they stay accurate if classes collapse."""
    given = features
    features, labels = read_features(features, labels, ignore_index=ignore_index, mask=mask)
    if values_visible(features):
        index = first_bad(~features.any(1))
        if index is not None:
            place = where(index) + ("" if len(features) == len(given) else " of the examples that are not left out")
            raise fail("features", "rows that are not all 0", f"zeros at {place}", "drop that example")
    classes, own = labels.unique(return_inverse=True)
    if len(classes) < 2:
        raise fail(
            "labels", "examples of at least 2 classes", f"only class {int(classes[0])}", "pass examples of more classes"
        )
    counts, means = class_means(_directions(features, own), len(classes), features)
    squares = counts.new_zeros(len(classes))
    for rows, of in _directions(features, own):
        squares.index_add_(0, of, (rows - means[of]).square().sum(1))
    return (squares / counts).mean(), (means - means.mean(0)).square().sum(1).mean()


def _directions(features: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield chunks of rows divided by their norms, and their labels."""
    for rows, own in chunks(features, labels):
        rows = rows / rows.abs().amax(1, keepdim=True)  # so that squares do not vanish
        yield rows / rows.norm(dim=1, keepdim=True), own
