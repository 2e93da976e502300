"""Neural collapse: how near the last layer is to one point per class, all equally far apart."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.analysis._features import check_last_layer, chunks, class_means

__all__ = ["NeuralCollapse", "neural_collapse"]


@dataclass(frozen=True, eq=False)
class NeuralCollapse:
    """What is left until collapse, each () float64 of at least 0, and 0 where it is complete.

    Args:
        nc1: variation within classes, in units of that between them.
        nc2_norms: how much the lengths of the centred class means differ: their standard deviation over their mean.
        nc2_angles: how far the cosines between centred class means are from -1/(K - 1), on average.
        nc3: squared distance of the last layer's weight and the centred class means, both scaled to norm 1; at most 4.
        nc4: share of examples that the network does not give the class of the nearest mean.
    """

    nc1: Tensor
    nc2_norms: Tensor
    nc2_angles: Tensor
    nc3: Tensor
    nc4: Tensor


def neural_collapse(features: Tensor, labels: Tensor, weight: Tensor, *, bias: Tensor | None = None) -> NeuralCollapse:
    """Measure the four signs of neural collapse (Papyan, Han & Donoho 2020).

    m_k: mean of class k;  m = mean_k m_k;  M: rows m_k - m

    NC1         tr(S_W S_B^+) / K,  S_W = mean_i (x_i - m_y)(x_i - m_y)^T,  S_B = mean_k (m_k - m)(m_k - m)^T
    NC2 norms   std_k |m_k - m| / mean_k |m_k - m|,  n - 1 in the standard deviation
    NC2 angles  mean_{k != l} |cos(m_k - m, m_l - m) + 1/(K - 1)|
    NC3         |W/|W|_F - M/|M|_F|_F^2
    NC4         mean_i [argmax_k (w_k x_i + b_k) != argmin_k |x_i - m_k|]

    The quantities are those of the authors' notebook (github.com/neuralcollapse/neuralcollapse), but for the 1/K of
    NC1, which it leaves out and the code of Zhu et al. 2021 has. S_B^+ is the pseudoinverse, of rank K - 1 at most. m
    weighs classes alike, S_W examples: where classes differ in size, the larger ones count more in NC1.

    Args:
        features: (N, D) float, what the last layer acts on, of training examples where the paper is followed.
        labels: (N,) int64 in [0, K), with at least one example of each class.
        weight: (K, D) float of the last layer.
        bias: (K,) float of the last layer; None: it has none.

    Returns:
        NeuralCollapse, of () float64; nc2_angles is NaN where a class mean is the mean of all means, nc3 where all
        weights are 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, a class has no example, all classes have the same
            mean, or of features, weight or bias a number is not finite or beyond 1e120, or all are below 1e-120.
        TypeError: where features, weight or bias are not floating-point or labels not integers.

    Special cases:
        features at the corners of a regular simplex, one for each class, with the corners as weight give 0 five times;
        multiplying the features, or the weight and bias, by a positive number or rotating both changes nothing.

    Example:
        >>> features = torch.tensor([[3.0], [1.0], [-1.0], [-3.0]])        # S_W = 1, S_B = 4
        >>> weight, bias = torch.tensor([[1.0], [-1.0]]), torch.tensor([2.5, 0.0])        # class 0 above -1.25
        >>> found = neural_collapse(features, torch.tensor([0, 0, 1, 1]), weight, bias=bias)
        >>> [round(float(value), 12) for value in (found.nc1, found.nc2_norms, found.nc2_angles, found.nc3, found.nc4)]
        [0.125, 0.0, 0.0, 0.0, 0.25]
    """
    check_last_layer(features, labels, weight, bias=bias)
    counts, means = class_means(chunks(features, labels), len(weight), features)
    absent = first_bad(counts == 0)
    if absent is not None:
        remedy = "leave its row of weight out, and number the other classes anew"
        raise fail("labels", f"an example of each of the {len(weight)} classes", f"none of class {absent[0]}", remedy)
    center = means.mean(0)
    centered, weight = means - center, weight.detach().to(means)
    bias = means.new_zeros(len(means)) if bias is None else bias.detach().to(means)
    whiten = _whitening(centered, means)
    within, mismatches = means.new_zeros(()), means.new_zeros(())
    for rows, own in chunks(features, labels):
        within += ((rows - means[own]) @ whiten).square().sum()
        # of equal distance are the points where |x - m_k|^2 / 2 less |x|^2 / 2 is the same
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

    tr(S_W S_B^+) / K is then mean_i |V^T (x_i - m_y)|^2, and no (D, D) matrix is formed.
    """
    _, values, vectors = torch.linalg.svd(centered, full_matrices=False)
    # centring leaves rounding in the direction in which means cannot differ, and in every one in which these do not
    kept = values > 1e-12 * means.norm()
    if not bool(kept.any()):
        raise fail("features", "class means that differ", "the same mean for all", "look at a layer that tells classes")
    return vectors[kept].T / values[kept]


def _angles(directions: Tensor) -> Tensor:
    """Return the mean distance of the cosines of two classes from those of a regular simplex."""
    num_classes = len(directions)
    away = (directions @ directions.T + 1 / (num_classes - 1)).abs()
    return away.fill_diagonal_(0.0).sum() / (num_classes * (num_classes - 1))
