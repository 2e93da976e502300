"""Confident learning: counting how clean and observed labels go together (Northcutt et al. 2021)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from softtargets.noise._inputs import check_shapes, row_chunks
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise.estimators import estimator

__all__ = ["confident_joint"]

# of a threshold, so that a constant column reaches its own mean whatever the rounding; and the least threshold
SLACK, FLOOR = 1e-6, 2e-6


@estimator("confident_joint", label="the confident joint")
def confident_joint(probs: Tensor, labels: Tensor) -> ConfidentJoint:
    """Count examples by observed label and by the class that held-out probabilities are confident of.

    counts[j, o] = #{i: labels[i] = o, clean_i = j}        # Northcutt et al. 2021, Sec. 3.1, transposed
    clean_i = j where probs[i, j] >= threshold_j, threshold_j = mean of probs[i, j] over the examples labelled j

    Where several classes reach their thresholds the largest probability of the row decides; an example for which none
    does is not counted.

    Args:
        probs: (N, K) float, probabilities of the observed label, of a model that has not seen these labels
            (cross-validated); may be memory-mapped.
        labels: (N,) int64 observed labels in [0, K).

    Returns:
        ConfidentJoint.

    Raises:
        ValueError: where a row is no probability (the first is named), shapes differ or a label is out of range.
        TypeError: where probs are not floating-point or labels not integers.

    Special cases:
        one-hot probs of the labels give a diagonal joint, and no noise.

    Notes:
        row = clean, column = observed: the transpose of cleanlab's array, and equal to it count for count (2.9). As
        there, thresholds are met to within 1e-6, are 2e-6 at least, no diagonal count is below 1, and where several
        classes are met the largest of all probabilities decides; the paper takes the largest of those met. The joint is
        not rounded; `calibrated_counts` are, as cleanlab's but for ties, which its sort breaks in any way. No
        multi-label joint.

    Complexity:
        one number a row for the thresholds, then one pass in chunks: no N x K tensor beside probs.

    When to use:
        probabilities are held out; their calibration may be off by a factor per class, which the thresholds take up.

    Limitations:
        confusions of the model between classes that are alike are counted as noise, so that T comes out too far from
        the identity; unsure examples are left out, as if they were noisy like the others. On CIFAR-10N's worse_label,
        with a small network's probabilities, rows were .05 off on average, and the rate .45 for .40.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9]])
        >>> found = confident_joint(probs, torch.tensor([0, 1, 1, 1]))        # thresholds .9 and (.3 + .8 + .9) / 3
        >>> found.counts.tolist(), round(found.noise_rate, 4)
        ([[1, 0], [0, 2]], 0.0)
    """
    check_shapes(probs, labels)
    size = probs.shape[1]
    labels = labels.long()
    class_counts = torch.bincount(labels, minlength=size)
    confidence = probs.detach().gather(1, labels[:, None])[:, 0].double()
    sums = torch.zeros(size, dtype=torch.float64).index_add_(0, labels, confidence)
    # a class that is no one's label has 0 / 0, and no example is confident of it
    thresholds = (sums / class_counts).clamp(min=FLOOR).nan_to_num(torch.inf)
    cells = torch.zeros(size * size, dtype=torch.int64)
    for rows, clean in confident_classes(probs, labels, thresholds):
        met = clean >= 0
        cells += torch.bincount(clean[met] * size + labels[rows][met], minlength=size * size)
    counts = cells.view(size, size)
    counts.diagonal().clamp_(min=1)
    return ConfidentJoint(counts, class_counts, thresholds)


def confident_classes(probs: Tensor, labels: Tensor, thresholds: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield, chunk by chunk, where the rows stand and the class each is confident of, int64, or -1."""
    for rows, chunk in row_chunks(probs):
        bounds, given = thresholds.to(chunk.dtype) - SLACK, labels[rows]
        beyond = chunk - bounds
        own = beyond.gather(1, given[:, None])[:, 0]
        clean = torch.where(own >= 0, given, -1)
        # the place of a maximum is the slowest of these passes: it is left to rows that reach another class's threshold
        rest = (beyond.scatter_(1, given[:, None], -torch.inf).amax(1) >= 0).nonzero().flatten()
        left = chunk.index_select(0, rest)
        highest, place = left.max(1)
        # one whose highest probability falls short of its threshold is of another class, if of that alone
        short = (highest < bounds[place]).nonzero().flatten()
        reached = left[short] >= bounds
        place[short] = torch.where(reached.sum(1) == 1, reached.byte().argmax(1), place[short])
        clean[rest] = place
        yield rows, clean
