"""Neural collapse: how close the last layer's features are to one point per class, all equally far apart."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets._results import TensorResult
from softtargets.analysis._features import check_last_layer, chunks, class_means, read_features

__all__ = ["NeuralCollapse", "neural_collapse"]


@dataclass(frozen=True, eq=False, repr=False)
class NeuralCollapse(TensorResult):
    """Distances from neural collapse, each () float64 and at least 0; 0 is complete collapse.

    Args:
        nc1: variation within classes, relative to that between them.
        nc2_norms: coefficient of variation of the norms of the centred class means.
        nc2_angles: mean distance of the cosines between centred class means from -1/(K - 1).
        nc3: squared distance between the last layer's weight and the centred class means, both scaled to norm 1; at
            most 4.
        nc4: fraction of examples for which the network does not predict the class of the nearest mean.
    """

    nc1: Tensor
    nc2_norms: Tensor
    nc2_angles: Tensor
    nc3: Tensor
    nc4: Tensor


@array_function
def neural_collapse(
    features: ArrayLike,
    labels: ArrayLike,
    weight: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> NeuralCollapse:
    """Measure the four properties of neural collapse (Papyan, Han & Donoho 2020).

    m_k: mean of class k;  m = mean_k m_k;  M: rows m_k - m

    NC1         tr(S_W S_B^+) / K,  S_W = mean_i (x_i - m_y)(x_i - m_y)^T,  S_B = mean_k (m_k - m)(m_k - m)^T
    NC2 norms   std_k |m_k - m| / mean_k |m_k - m|,  n - 1 in the standard deviation
    NC2 angles  mean_{k != l} |cos(m_k - m, m_l - m) + 1/(K - 1)|
    NC3         |W/|W|_F - M/|M|_F|_F^2
    NC4         mean_i [argmax_k (w_k x_i + b_k) != argmin_k |x_i - m_k|]

    The quantities are those of the authors' notebook (github.com/neuralcollapse/neuralcollapse), except for the 1/K of
    NC1, which the notebook omits and the code of Zhu et al. 2021 has. S_B^+ is the pseudoinverse, of rank at most
    K - 1. Classes have equal weight in m, and examples in S_W: larger classes count more in NC1.

    Args:
        features: (N, D) float, the input of the last layer, for training examples in the paper.
        labels: (N,) integers in [0, K), with at least one example of each class.
        weight: (K, D) float, of the last layer.
        bias: (K,) float, of the last layer; None: it has none.
        ignore_index: label of examples to leave out.
        mask: (N,) bool, False for examples to leave out; None: include all.

    Returns:
        NeuralCollapse, of () float64; nc2_angles is NaN if a class mean equals the mean of all means, nc3 if all
        weights are 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, a class has no example, all classes have the same mean,
            or features, weight or bias hold a number that is not finite or beyond 1e120, or only numbers below 1e-120.
        TypeError: if features, weight or bias are not floating-point or labels not integers.

    Special cases:
        features at the corners of a regular simplex, one for each class, with the corners as weight, give 0 five times.
        Multiplying the features, or the weight and bias, by a positive number changes nothing, nor does rotating both.

    Example:
        >>> features = torch.tensor([[3.0], [1.0], [-1.0], [-3.0]])        # S_W = 1, S_B = 4
        >>> weight, bias = torch.tensor([[1.0], [-1.0]]), torch.tensor([2.5, 0.0])        # class 0 above -1.25
        >>> found = neural_collapse(features, torch.tensor([0, 0, 1, 1]), weight, bias=bias)
        >>> [round(float(value), 12) for value in (found.nc1, found.nc2_norms, found.nc2_angles, found.nc3, found.nc4)]
        [0.125, 0.0, 0.0, 0.0, 0.25]
    """
    check_last_layer(features, weight, bias)
    features, labels = read_features(features, labels, len(weight), ignore_index=ignore_index, mask=mask)
    counts, means = class_means(chunks(features, labels), len(weight), features)
    absent = first_bad(counts == 0)
    if absent is not None:
        remedy = "leave out its row of weight, and renumber the other classes"
        raise fail("labels", f"an example of each of the {len(weight)} classes", f"none of class {absent[0]}", remedy)
    center = means.mean(0)
    centered, weight = means - center, weight.detach().to(means)
    bias = means.new_zeros(len(means)) if bias is None else bias.detach().to(means)
    whiten = _whitening(centered, means)
    within, mismatches = means.new_zeros(()), means.new_zeros(())
    for rows, own in chunks(features, labels):
        within += ((rows - means[own]) @ whiten).square().sum()
        # the nearest mean has the smallest |x - m_k|^2 / 2; |x|^2 / 2 is the same for all means
        nearest = ((rows - center) @ centered.T - centered.square().sum(1) / 2).argmax(1)
        mismatches += ((rows @ weight.T + bias).argmax(1) != nearest).sum()
    norms = centered.norm(dim=1)
    return NeuralCollapse(
        nc1=within / len(features),
        nc2_norms=norms.std() / norms.mean(),
        nc2_angles=_angles(centered / norms[:, None]),
        nc3=(weight / weight.norm() - centered / centered.norm()).square().sum(),
        nc4=mismatches / len(features),
    )


def _whitening(centered: Tensor, means: Tensor) -> Tensor:
    """Return V, (D, r), with V V^T = S_B^+ / K: the singular vectors of M over the singular values.

    tr(S_W S_B^+) / K is then mean_i |V^T (x_i - m_y)|^2, without a (D, D) matrix.
    """
    _, values, vectors = torch.linalg.svd(centered, full_matrices=False)
    # centring leaves rounding error in the directions in which the means do not differ
    kept = values > 1e-12 * means.norm()
    if not bool(kept.any()):
        raise fail("features", "class means that differ", "the same mean for all", "use a layer that separates classes")
    return vectors[kept].T / values[kept]


def _angles(directions: Tensor) -> Tensor:
    """Return the mean distance of the cosines between two classes from those of a regular simplex."""
    num_classes = len(directions)
    away = (directions @ directions.T + 1 / (num_classes - 1)).abs()
    return away.fill_diagonal_(0.0).sum() / (num_classes * (num_classes - 1))
