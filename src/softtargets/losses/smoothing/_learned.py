"""A loss whose targets are learned by gradient beside the model (LS++)."""

import math

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_square
from softtargets._errors import fail
from softtargets._numerics import at_least_float32, rows_of, times
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.losses.inputs import paired
from softtargets.targets import from_table

__all__ = ["learned_smoothing_cross_entropy"]


def learned_smoothing_cross_entropy(
    logits: Tensor, labels: Tensor, table: Tensor, *, smoothing: float = 0.1, class_dim: int = -1
) -> Tensor:
    """Label smoothing++: smooths over the other classes by shares that are learned for each class.

    t = (1 - r) * onehot(label) + r * softmax(table[label] without its diagonal)
    (cross entropy of p against t, and of t against p) / 2, the target of each without gradient

    The model learns from the first term alone, with gradient (p - t) / 2, and the table from the second. Were the
    table to learn from the first, its least value would put all of r on the one class that is predicted most.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; none masked by -inf, since each has a share of t.
        labels: (...) int64 in [0, K).
        table: (K, K) float, one row of scores per class; the diagonal plays no part.
        smoothing: r, between 0 and 1, both excluded: at 0, and at 1, t rules classes out that p does not.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats.

    Raises:
        ValueError: where shapes differ, a label is out of range, or smoothing is not between 0 and 1.
        TypeError: where logits or table are not floating-point or labels not integers.

    Special cases:
        a table of zeros gives the model half the gradient of smoothing by r in the "others" convention.

    Notes:
        their alpha, 0.1, and C-matrix, which they store as K x (K - 1) from zeros; the half is in their code, and
        halves the learning rate of the model.

    Complexity:
        that of cross_entropy against a K x K table, and two tensors of the size of the logits for the second term.

    When to use:
        the wrong classes of a class are not alike, and no table of their likeness is at hand; see
        ``nn.LearnedSmoothing``.

    Limitations:
        K^2 parameters; the table follows the model's own confusions, right or wrong.

    Example:
        >>> logits, labels = torch.zeros(1, 2), torch.tensor([0])
        >>> learned_smoothing_cross_entropy(logits, labels, torch.zeros(2, 2), smoothing=0.5).exp().tolist()
        [2.0]
    """
    logits, labels = paired(logits, labels, class_dim)
    check_square("table", table)
    size = logits.shape[-1]
    if len(table) != size:
        raise fail("table", f"{size} rows, one per class", len(table), "give one row of scores per class")
    check_fraction("smoothing", smoothing, remedy="choose a value between them")
    if smoothing in (0, 1):
        raise fail("smoothing", "between 0 and 1, both excluded", smoothing, "use targets.hard or a class table")
    label = torch.eye(size, dtype=torch.bool, device=table.device)
    shares = at_least_float32(table).masked_fill(label, -torch.inf).log_softmax(-1)
    log_targets = torch.where(label, math.log(1 - smoothing), shares + math.log(smoothing))
    loss_of_model = deferred_cross_entropy(logits, from_table(labels, log_targets.detach().exp()))
    probs = at_least_float32(logits.detach()).softmax(-1)
    loss_of_table = -times(probs, rows_of(log_targets, labels)).sum(-1)
    return (loss_of_model + loss_of_table) / 2
