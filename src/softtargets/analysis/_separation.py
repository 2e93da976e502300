"""How far classes stand apart in the features of a layer, by the angles between examples."""

from collections.abc import Iterator

from torch import Tensor

from softtargets._checks import first_bad, values_visible, where
from softtargets._errors import fail
from softtargets.analysis._features import check_features, chunks, class_means

__all__ = ["class_separation", "within_class_distance"]


def class_separation(features: Tensor, labels: Tensor) -> Tensor:
    """Share of the cosine distance between examples that is one between classes (Kornblith et al. 2021).

    R^2 = 1 - d_within / d_total

    d_within = mean_k mean_{i, j in k} (1 - cos(x_i, x_j))
    d_total  = mean_k mean_l mean_{i in k, j in l} (1 - cos(x_i, x_j))

    All pairs count, those of an example with itself among them, and all classes alike: K N_k^2 and K^2 N_k N_l are
    their denominators. No pair is formed: with x of length 1 and m_k the mean of a class, d_within is
    mean_k mean_i |x_i - m_k|^2 and d_total - d_within = mean_k |m_k - mean_l m_l|^2.

    Args:
        features: (N, D) float, activations of the layer before the last as a rule; no row is all 0.
        labels: (N,) int64; classes without an example have no part.

    Returns:
        () float64 in [0, 1]; NaN where all rows point one way.

    Raises:
        ValueError: where shapes differ, a row holds NaN, an infinity or nothing but 0 (the first is named), a number is
            beyond 1e120 or all are below 1e-120, or all examples are of one class.
        TypeError: where features are not floating-point or labels not integers.

    Special cases:
        rows of one class that point one way, and no two classes the same way, give 1; classes of equal means give 0;
        multiplying a row by a positive number or rotating all rows changes nothing.

    Example:
        >>> features = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> float(class_separation(features, torch.tensor([0, 0, 1, 1])))        # d_within = 1/2, d_total = 1
        0.5
    """
    within, between = _distances(features, labels)
    return between / (within + between)


def within_class_distance(features: Tensor, labels: Tensor) -> Tensor:
    """Mean cosine distance of two examples of a class: d_within of :func:`class_separation`.

    Table 2 of MaxSup (Zhou et al. 2025) shows it beside R^2 under this name, and refers to Kornblith et al. 2021.

    Args:
        features: (N, D) float; no row is all 0.
        labels: (N,) int64; classes without an example have no part.

    Returns:
        () float64 in [0, 1].

    Raises:
        ValueError: as :func:`class_separation`.
        TypeError: as :func:`class_separation`.

    Special cases:
        rows of one class that point one way give 0; two opposite rows in each class give 1.

    Example:
        >>> features = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> float(within_class_distance(features, torch.tensor([0, 0, 1, 1])))        # half of the pairs: at 90 degrees
        0.5
    """
    return _distances(features, labels)[0]


def _distances(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return d_within and d_total - d_within; as sums of squares they keep their digits where classes collapse."""
    check_features(features, labels)
    if values_visible(features):
        index = first_bad(~features.any(1))
        if index is not None:
            raise fail("features", "rows that are not all 0", f"zeros at {where(index)}", "drop what has no direction")
    classes, own = labels.unique(return_inverse=True)
    if len(classes) < 2:
        raise fail(
            "labels", "examples of at least 2 classes", f"class {int(classes[0])} alone", "give examples of more"
        )
    counts, means = class_means(_directions(features, own), len(classes), features)
    squares = counts.new_zeros(len(classes))
    for rows, of in _directions(features, own):
        squares.index_add_(0, of, (rows - means[of]).square().sum(1))
    return (squares / counts).mean(), (means - means.mean(0)).square().sum(1).mean()


def _directions(features: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield chunks of rows divided by their lengths, and their labels."""
    for rows, own in chunks(features, labels):
        rows = rows / rows.abs().amax(1, keepdim=True)  # whose squares do not vanish
        yield rows / rows.norm(dim=1, keepdim=True), own
