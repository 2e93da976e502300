"""Activations seen in the plane of three classes, and distances between their clusters."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_labels
from softtargets._errors import fail
from softtargets.analysis._features import check_features, check_last_layer

__all__ = ["ClusterDistances", "Projection", "cluster_distances", "projection"]


@dataclass(frozen=True, eq=False)
class Projection:
    """Examples of three classes and the classes' templates, in the plane of the templates; all but labels float64.

    Args:
        points: (M, 2), the projected examples, in their order.
        labels: (M,) int64, each one of the three classes.
        templates: (3, 2), the projected templates, in the order in which the classes were given.
        basis: (2, D) orthonormal rows, or (2, D + 1) where a bias was given.
    """

    points: Tensor
    labels: Tensor
    templates: Tensor
    basis: Tensor


def projection(
    features: Tensor, labels: Tensor, weight: Tensor, *, classes: tuple[int, int, int], bias: Tensor | None = None
) -> Projection:
    """Project examples of three classes on the plane through the classes' templates (Müller et al. 2019, Sec. 2).

    template of class k: w_k, its row of the last layer's weight
    basis[0] = (w_b - w_a) / |w_b - w_a|
    basis[1] = r / |r|,  r = what is left of w_c - w_a once its part along basis[0] is taken off
    point    = basis x,  in the coordinates of the plane; not moved, so that 0 stays 0

    The paper asks for any orthonormal basis, which leaves a rotation and the signs open. Here b lies from a along the
    first axis, and c on the positive side of the second: one basis, the same in every run, and for training and
    validation examples alike, since it hangs on the weight alone. Sec. 1.1 counts the bias among the weights and puts a
    1 beside the features; with `bias` so is done here: templates (w_k, b_k), examples (x, 1).

    Args:
        features: (N, D) float, what the last layer acts on.
        labels: (N,) int64 in [0, K).
        weight: (K, D) float of the last layer.
        classes: (a, b, c), three different ones; for Fig. 1 of Shen et al. 2021 two similar ones and another.
        bias: (K,) float of the last layer, None: templates without it.

    Returns:
        Projection, of the M examples of these classes.

    Raises:
        ValueError: where shapes differ, a label or class is out of range, classes are not three different ones, a
            number is not finite or beyond 1e120, all are below 1e-120, or the three templates lie on a line.
        TypeError: where features, weight or bias are not floating-point or labels not integers.

    Special cases:
        a feature that is a template falls on that template; distances within the plane are kept; rotating features and
        weight together changes nothing, adding what is orthogonal to the plane to features neither.

    Example:
        >>> weight = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [1.0, -3.0, 1.0]])
        >>> found = projection(torch.tensor([[1.0, -1.0, 7.0]]), torch.tensor([2]), weight, classes=(0, 1, 2))
        >>> found.points.tolist(), found.templates.tolist()
        ([[1.0, 1.0]], [[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]])
    """
    check_last_layer(features, labels, weight, bias)
    _check_classes("classes", classes, 3, len(weight))
    chosen = torch.tensor(classes, device=labels.device)
    kept = torch.isin(labels, chosen)
    points, templates = features.detach()[kept.to(features.device)].double(), weight.detach()[list(classes)].double()
    if bias is not None:
        points = torch.cat([points, points.new_ones(len(points), 1)], 1)
        templates = torch.cat([templates, bias.detach()[list(classes), None].double()], 1)
    templates = templates.to(points.device)
    basis = _basis(templates)
    return Projection(points @ basis.T, labels[kept].long(), templates @ basis.T, basis)


def _basis(templates: Tensor) -> Tensor:
    """Return the (2, D) basis of three templates."""
    along, aside = templates[1] - templates[0], templates[2] - templates[0]
    longest = torch.maximum(along.norm(), aside.norm())
    first = along / along.norm()
    second = aside - (aside @ first) * first
    # in single precision, too, a line is not quite one; where a and b are one point, NaN
    if not bool(torch.minimum(along.norm(), second.norm()) > 1e-6 * longest):
        raise fail("weight", "templates that span a plane", "three on a line", "choose other classes")
    second = second / second.norm()
    # once more, where little was left to divide by
    second = second - (second @ first) * first
    return torch.stack([first, second / second.norm()])


@dataclass(frozen=True, eq=False)
class ClusterDistances:
    """Distances of two similar classes and a different one, each () float64.

    Args:
        d1: of the nearest examples of the different class to the centre of the similar ones.
        d2: of the farthest.
        dc: of the centroids of the two similar classes.
        spread: of examples to the centroid of their own class, root of the mean square.
    """

    d1: Tensor
    d2: Tensor
    dc: Tensor
    spread: Tensor

    @property
    def over_spread(self) -> "ClusterDistances":
        """The same in units of the spread; infinite or NaN where that is 0."""
        unit = self.spread
        return ClusterDistances(self.d1 / unit, self.d2 / unit, self.dc / unit, unit / unit)


def cluster_distances(
    features: Tensor, labels: Tensor, *, similar: tuple[int, int], different: int, quantile: float = 0.05
) -> ClusterDistances:
    """Measure the three distances that are drawn in Fig. 1 of Shen et al. 2021.

    centre = (m_a + m_b) / 2,  m_k: mean of class k
    D1, D2 = quantiles `quantile` and 1 - `quantile` of |x_i - centre| over the examples of the different class
    Dc     = |m_a - m_b|
    spread = sqrt(mean over the three classes of mean_i |x_i - m_k|^2)

    This is our reading: the paper draws arrows and gives no formula. Its D1 and D2 are "how much a tench is similar to
    poodle", and come "closer" under smoothing; Dc is the distance between the clusters of the two similar classes, and
    grows. Quantiles stand for the nearest and the farthest example, which hang on one example each.

    Smoothing shrinks all activations, and a network may have any scale: compare networks by ratios, d1 / d2 or
    `over_spread`, not by the distances.

    Args:
        features: (N, D) float, as the points of :func:`projection` (the figure) or the activations themselves.
        labels: (N,) int64; examples of classes other than the three have no part.
        similar: (a, b), the two similar classes.
        different: the third.
        quantile: in [0, 0.5], interpolated between examples; 0: the nearest and the farthest one.

    Returns:
        ClusterDistances.

    Raises:
        ValueError: where shapes differ, the classes are not three different ones or one has no example, a feature is
            not finite or beyond 1e120, all are below 1e-120, or the quantile is out of range.
        TypeError: where features are not floating-point or labels not integers.

    Special cases:
        quantile=0.5 gives the median twice; clusters that are points have spread 0 and d1 = d2; rotating or moving all
        features changes nothing, and scaling them nothing in over_spread.

    Example:
        >>> features = torch.tensor([[-1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 5.0]])
        >>> labels = torch.tensor([0, 0, 1, 2, 2])
        >>> found = cluster_distances(features, labels, similar=(0, 1), different=2, quantile=0)
        >>> [float(value) for value in (found.d1, found.d2, found.dc)], round(float(found.spread) ** 2, 6)
        ([3.0, 5.0, 2.0], 0.333333)
    """
    check_features(features, labels)
    check_fraction("quantile", quantile, high=0.5)
    _check_classes("similar", similar, 2)
    _check_classes("different", (*similar, different), 3)
    # as int64: a narrower type would take 256 for 0
    labels = labels.to(features.device, torch.int64)
    clusters = [features.detach()[labels == name].double() for name in (*similar, different)]
    for name, cluster in zip((*similar, different), clusters, strict=True):
        if len(cluster) == 0:
            raise fail("labels", f"an example of class {name}", "none", "choose classes that have examples")
    centroids = [cluster.mean(0) for cluster in clusters]
    away = (clusters[2] - (centroids[0] + centroids[1]) / 2).norm(dim=1)
    squares = [(cluster - mean).square().sum(1).mean() for cluster, mean in zip(clusters, centroids, strict=True)]
    return ClusterDistances(
        d1=away.quantile(quantile),
        d2=away.quantile(1 - quantile),
        dc=(centroids[0] - centroids[1]).norm(),
        spread=torch.stack(squares).mean().sqrt(),
    )


def _check_classes(argument: str, classes: tuple[int, ...], count: int, num_classes: int | None = None) -> None:
    """Require so many different classes."""
    if len(classes) != count or len(set(classes)) != count:
        raise fail(argument, f"{count} different classes", classes, "name each once")
    check_labels(argument, torch.tensor(classes), num_classes)
