"""Transition in two steps: anchor points of the predicted class, then counts of the observed labels."""

import torch
from torch import Tensor

from softtargets.matrices import Transition
from softtargets.noise._anchors import anchor_points
from softtargets.noise._inputs import check_shapes
from softtargets.noise._transitions import from_confusion
from softtargets.noise.estimators import estimator

__all__ = ["dual_t"]


@estimator("dual_t", label="dual-T")
def dual_t(probs: Tensor, labels: Tensor, *, percentile: float | None = None) -> Transition:
    """Multiply what anchor points say of the predicted class by how often labels depart from it (dual-T).

    T = A C        # Yao et al. 2020: their T-club and T-spade
    A = anchor_points(probs)
    C[l, o] = share of the observed label o among examples whose largest probability is that of l

    Args:
        probs: (N, K) float, probabilities of the observed label, best of a model that has not seen these labels.
        labels: (N,) int64 observed labels in [0, K).
        percentile: of the anchors, see :func:`anchor_points`.

    Returns:
        Transition.

    Raises:
        ValueError: as :func:`anchor_points`, and where shapes differ or a label is out of range.

    Special cases:
        labels that are always the predicted class give anchor_points.

    Notes:
        the predicted class is their intermediate class y'. One that is never predicted keeps its label: row l of C is
        that of the identity.

    Complexity:
        that of anchor_points, and a pass for the predictions.

    When to use:
        probabilities are sharper than the noise allows, as those of networks are: A is then near the identity, and C,
        which is counted, carries the noise.

    Limitations:
        with calibrated probabilities A alone is right, and C blurs it by the noise once more; the model's own
        confusions of classes are counted as noise.

    Example:
        >>> probs = torch.tensor([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0], [0.125, 0.875]])
        >>> dual_t(probs, torch.tensor([0, 1, 1, 1])).to_dense().tolist()
        [[0.5, 0.5], [0.0, 1.0]]
    """
    check_shapes(probs, labels)
    size = probs.shape[1]
    first = anchor_points(probs, percentile=percentile).to_dense()
    cells = probs.detach().argmax(1) * size + labels.long()
    counts = torch.bincount(cells, minlength=size * size).view(size, size)
    second = from_confusion(counts, keep_empty=True).to_dense()
    return Transition(size, matrix=first @ second)
