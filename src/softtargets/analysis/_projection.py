"""Activations projected on the plane of three classes, and distances between their clusters."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_fraction, read_labels
from softtargets._errors import fail, fail_type
from softtargets._results import TensorResult, new_axes, plain
from softtargets.analysis._features import check_last_layer, read_features

__all__ = ["ClusterDistances", "Projection", "cluster_distances", "projection"]


@dataclass(frozen=True, eq=False, repr=False)
class Projection(TensorResult):
    """Examples of three classes and the templates of the classes, in the plane of the templates.

    Args:
        points: (M, 2) float64, the projected examples, in their order.
        labels: (M,) int64, each one of the three classes.
        templates: (3, 2) float64, the projected templates, in the order in which the classes were given.
        basis: (2, D) float64, orthonormal rows, or (2, D + 1) if a bias was given.
    """

    points: Tensor
    labels: Tensor
    templates: Tensor
    basis: Tensor

    def plot(self, ax: Any = None) -> Any:
        """Draw the points, one colour per class, and the templates as crosses.

        Args:
            ax: matplotlib axes; None: those of a new figure.

        Returns:
            The matplotlib axes.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        ax = new_axes(ax)
        points, labels = plain(self.points), plain(self.labels)
        for name in sorted(set(labels)):
            own = [point for point, label in zip(points, labels, strict=True) if label == name]
            ax.scatter(*zip(*own, strict=True), s=8, label=f"class {name}")
        ax.scatter(*zip(*plain(self.templates), strict=True), marker="x", color="black", label="templates")
        ax.set(xlabel="first axis of the plane", ylabel="second axis of the plane", aspect="equal")
        ax.legend()
        return ax


@array_function
def projection(
    features: ArrayLike,
    labels: ArrayLike,
    weight: ArrayLike,
    *,
    classes: Sequence[int],
    bias: ArrayLike | None = None,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Projection:
    """Project examples of three classes on the plane through the templates of the classes (Müller et al. 2019, Sec. 2).

    template of class k: w_k, its row of the last layer's weight
    basis[0] = (w_b - w_a) / |w_b - w_a|
    basis[1] = r / |r|,  r = w_c - w_a minus its component along basis[0]
    point    = basis x,  in the coordinates of the plane; not shifted, so 0 stays 0

    The paper uses any orthonormal basis, which leaves a rotation and the signs undetermined. Here b lies in the
    direction of the first axis from a, and c on the positive side of the second. The basis depends on the weight only,
    so it is the same for training and validation examples. Sec. 1.1 includes the bias in the weights and appends a 1 to
    the features; with `bias` this is done here: templates (w_k, b_k), examples (x, 1).

    Args:
        features: (N, D) float, the input of the last layer.
        labels: (N,) integers in [0, K).
        weight: (K, D) float, of the last layer.
        classes: (a, b, c), three different classes; for Fig. 1 of Shen et al. 2021 two similar ones and another.
        bias: (K,) float, of the last layer; None: templates without it.
        ignore_index: label of examples to leave out.
        mask: (N,) bool, False for examples to leave out; None: include all.

    Returns:
        Projection, of the M examples of these classes.

    Raises:
        ValueError: if shapes differ, a label or class is out of range, classes are not three different ones, a number
            is not finite or beyond 1e120, all are below 1e-120, or the three templates lie on a line.
        TypeError: if features, weight or bias are not floating-point, or labels or classes not integers.

    Special cases:
        a feature equal to a template is projected on that template; distances within the plane are kept. Rotating
        features and weight together changes nothing, nor does adding a vector orthogonal to the plane to the features.

    Example:
        >>> weight = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [1.0, -3.0, 1.0]])
        >>> found = projection(torch.tensor([[1.0, -1.0, 7.0]]), torch.tensor([2]), weight, classes=(0, 1, 2))
        >>> found.points.tolist(), found.templates.tolist()
        ([[1.0, 1.0]], [[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]])
    """
    check_last_layer(features, weight, bias)
    features, labels = read_features(features, labels, len(weight), ignore_index=ignore_index, mask=mask)
    chosen = _read_classes("classes", classes, 3, len(weight))
    kept = torch.isin(labels, torch.tensor(chosen, device=labels.device))
    points, templates = features.detach()[kept].double(), weight.detach()[chosen].double()
    if bias is not None:
        points = torch.cat([points, points.new_ones(len(points), 1)], 1)
        templates = torch.cat([templates, bias.detach()[chosen, None].double()], 1)
    templates = templates.to(points.device)
    basis = _basis(templates)
    return Projection(points @ basis.T, labels[kept], templates @ basis.T, basis)


def _basis(templates: Tensor) -> Tensor:
    """Return the (2, D) basis of three templates."""
    along, aside = templates[1] - templates[0], templates[2] - templates[0]
    longest = torch.maximum(along.norm(), aside.norm())
    first = along / along.norm()
    second = aside - (aside @ first) * first
    # in single precision, points of a line are not exactly on it; NaN if a and b are one point
    if not bool(torch.minimum(along.norm(), second.norm()) > 1e-6 * longest):
        raise fail("weight", "templates that span a plane", "three on a line", "choose other classes")
    second = second / second.norm()
    # orthogonalise once more, in case little was left to divide by
    second = second - (second @ first) * first
    return torch.stack([first, second / second.norm()])


@dataclass(frozen=True, eq=False, repr=False)
class ClusterDistances(TensorResult):
    """Distances between two similar classes and a different one, each () float64.

    Args:
        d1: from the nearest examples of the different class to the centre of the similar ones.
        d2: from the farthest examples.
        dc: between the centroids of the two similar classes.
        spread: root mean square distance of examples to the centroid of their own class.
    """

    d1: Tensor
    d2: Tensor
    dc: Tensor
    spread: Tensor

    @property
    def over_spread(self) -> "ClusterDistances":
        """The three distances divided by the spread; infinite or NaN if the spread is 0."""
        unit = self.spread
        return ClusterDistances(self.d1 / unit, self.d2 / unit, self.dc / unit, unit / unit)


@array_function
def cluster_distances(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    similar: Sequence[int],
    different: int,
    quantile: float = 0.05,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> ClusterDistances:
    """Measure the three distances drawn in Fig. 1 of Shen et al. 2021.

    centre = (m_a + m_b) / 2,  m_k: mean of class k
    D1, D2 = quantiles `quantile` and 1 - `quantile` of |x_i - centre| over the examples of the different class
    Dc     = |m_a - m_b|
    spread = sqrt(mean over the three classes of mean_i |x_i - m_k|^2)

    This is our interpretation: the paper draws arrows and gives no formula. Its D1 and D2 are "how much a tench is
    similar to poodle", and get "closer" under smoothing; Dc is the distance between the clusters of the two similar
    classes, and grows. Quantiles replace the nearest and the farthest example, each of which is a single example.

    Smoothing shrinks all activations, and the scale of a network is arbitrary: compare networks by ratios, d1 / d2 or
    `over_spread`, not by the distances.

    Args:
        features: (N, D) float, as the points of :func:`projection` (the figure) or the activations themselves.
        labels: (N,) integers of at least 0; examples of other classes than the three are left out.
        similar: (a, b), the two similar classes.
        different: the third class.
        quantile: in [0, 0.5], interpolated between examples; 0: the nearest and the farthest example.
        ignore_index: label of examples to leave out.
        mask: (N,) bool, False for examples to leave out; None: include all.

    Returns:
        ClusterDistances.

    Raises:
        ValueError: if shapes differ, the classes are not three different ones or one has no example, a feature is not
            finite or beyond 1e120, all are below 1e-120, or the quantile is out of range.
        TypeError: if features are not floating-point, or labels or classes not integers.

    Special cases:
        quantile=0.5 gives the median twice. Clusters that are points have spread 0 and d1 = d2. Rotating or shifting
        all features changes nothing, and scaling them changes nothing in over_spread.

    Example:
        >>> features = torch.tensor([[-1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 5.0]])
        >>> labels = torch.tensor([0, 0, 1, 2, 2])
        >>> found = cluster_distances(features, labels, similar=(0, 1), different=2, quantile=0)
        >>> [float(value) for value in (found.d1, found.d2, found.dc)], round(float(found.spread) ** 2, 6)
        ([3.0, 5.0, 2.0], 0.333333)
    """
    features, labels = read_features(features, labels, ignore_index=ignore_index, mask=mask)
    check_fraction("quantile", quantile, high=0.5)
    names = _read_classes("different", [*_read_classes("similar", similar, 2), different], 3)
    clusters = [features.detach()[labels == name].double() for name in names]
    for name, cluster in zip(names, clusters, strict=True):
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


def _read_classes(argument: str, classes: object, count: int, num_classes: int | None = None) -> list[int]:
    """Return that many different classes as a list."""
    given = plain(classes) if isinstance(classes, Tensor | tuple) else classes
    if not isinstance(given, list) or not all(isinstance(name, numbers.Integral) for name in given):
        got = repr(given) if isinstance(given, list) else type(classes).__name__
        raise fail_type(argument, f"{count} classes as integers", got, "name each class once")
    if len(given) != count or len(set(given)) != count:
        raise fail(argument, f"{count} different classes", tuple(given), "name each class once")
    read_labels(argument, torch.tensor(given), num_classes=num_classes)
    return [int(name) for name in given]
