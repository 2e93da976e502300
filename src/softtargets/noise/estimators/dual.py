"""Transition in two steps: anchor points of the predicted class, then counts of the observed labels."""

from typing import Any

import torch
from torch import Tensor

from softtargets._rows import read_rows
from softtargets.matrices import Transition
from softtargets.noise._transitions import from_confusion
from softtargets.noise.estimators.anchors import AnchorPointsStream, anchor_points
from softtargets.noise.estimators.registry import estimator
from softtargets.noise.estimators.streams import TransitionStream
from softtargets.noise.streaming.blocks import LabelledBlock

__all__ = ["dual_t"]


class DualStream(TransitionStream):
    """Dual-T of rows that are read block by block."""

    def __init__(self, *shared: Any, percentile: float | None = None) -> None:
        super().__init__(*shared)
        self._anchors = AnchorPointsStream(*shared, percentile=percentile)
        self._counts = torch.zeros(self.num_classes**2, dtype=torch.int64)

    def first(self, block: LabelledBlock) -> None:
        self._anchors.first(block)
        cells = block.predicted * self.num_classes + block.labels
        self._counts += cells.bincount(minlength=len(self._counts))

    def begin_second(self, class_counts: Tensor) -> None:
        self._anchors.begin_second(class_counts)

    def begin_third(self) -> None:
        self._anchors.begin_third()

    def third(self, block: LabelledBlock) -> None:
        self._anchors.third(block)

    def result(self) -> Transition:
        return _dual(self._anchors.result(), self._counts.view(self.num_classes, -1))


@estimator("dual_t", label="dual-T", stream=DualStream)
def dual_t(probs: Tensor, labels: Tensor, *, percentile: float | None = None) -> Transition:
    """Estimate the transition as the product of anchor points and counts of the labels by predicted class (dual-T).

    T = A C        # Yao et al. 2020: T-club and T-spade in the paper
    A = anchor_points(probs)
    C[l, o] = fraction with observed label o among the examples whose predicted class is l

    Call it as ``estimate_transition(probs, labels, method="dual_t")``.

    Args:
        probs: (N, K) float, probabilities of the observed label, preferably out of sample.
        labels: (N,) integer observed labels in [0, K).
        percentile: percentile of the anchors, in [0, 100]; see :func:`anchor_points`. None: the example with the
            largest probability, as in the paper.

    Returns:
        Transition.

    Raises:
        ValueError: as :func:`anchor_points`, and if shapes differ or a label is out of range.

    Special cases:
        labels that always equal the predicted class give anchor_points.

    Notes:
        The predicted class is the paper's intermediate class y'. A class that is never predicted keeps its label: its
        row of C is a row of the identity. By default the anchor is the example with the largest probability, as in the
        paper. The authors' code can leave out the top 3 % of each class as outliers; this is percentile=97.

    Complexity:
        O(N K): anchor_points, plus one pass for the predictions.

    When to use:
        Probabilities are sharper than the noise allows, as is usual for networks. A is then close to the identity, and
        C, which is counted, contains the noise.

    Limitations:
        With calibrated probabilities A alone is correct, and C applies the noise a second time. The model's own
        confusion of classes counts as noise.

    Example:
        >>> from softtargets.noise import estimate_transition
        >>> probs = torch.tensor([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0], [0.125, 0.875]])
        >>> estimate_transition(probs, torch.tensor([0, 1, 1, 1]), method="dual_t").to_dense().tolist()
        [[0.5, 0.5], [0.0, 1.0]]
    """
    rows, labels = read_rows(probs, labels).counted_probs
    size = rows.shape[1]
    first = anchor_points(rows, percentile=percentile)
    cells = rows.detach().argmax(1) * size + labels
    counts = torch.bincount(cells, minlength=size * size).view(size, size)
    return _dual(first, counts)


def _dual(anchors: Transition, counts: Tensor) -> Transition:
    first, second = anchors.to_dense(), from_confusion(counts, keep_empty=True).to_dense()
    return Transition(len(counts), matrix=first @ second.to(first.device))
