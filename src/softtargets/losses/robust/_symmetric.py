"""Symmetric cross entropy, and reverse cross entropy, which is a part of it."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import check_fraction, check_not_negative, check_per_example
from softtargets._numerics import as_like, times
from softtargets.losses._engine.log_odds import label_log_odds
from softtargets.losses.robust._generalized import mean_absolute_error

__all__ = ["reverse_cross_entropy", "symmetric_cross_entropy"]


def reverse_cross_entropy(
    logits: Tensor, labels: Tensor, *, log_floor: float | Tensor = 1e-4, class_dim: int = -1
) -> Tensor:
    """Reverse cross entropy: that of the one-hot label under the prediction, with log 0 raised to a floor.

    -sum_k p_k log(max(onehot(label)_k, log_floor)) = -log(log_floor) * (1 - p_label)        # Wang et al. 2019

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        log_floor: what a 0 of the one-hot label counts as, in [1e-30, 1].
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, from 0 to -log(log_floor).

    Raises:
        ValueError: where shapes differ, a label is out of range, or the floor is not in [1e-30, 1].
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        log_floor=1/e gives mean_absolute_error; log_floor=1 gives 0.

    Notes:
        their A is log(log_floor), -9.2103 at 1e-4. Code that also raises the prediction to a floor differs by that.

    Complexity:
        that of mean_absolute_error.

    When to use:
        as a part of :func:`symmetric_cross_entropy` and :func:`active_passive_loss`.

    Limitations:
        it is mean absolute error times a constant, 9.2103 by default, with its slow learning.

    Example:
        >>> round(float(reverse_cross_entropy(torch.zeros(1, 4), torch.tensor([2]))), 4)        # 3/4 of 9.2103
        6.9078
    """
    check_fraction("log_floor", log_floor, low=1e-30)
    wrong = mean_absolute_error(logits, labels, class_dim=class_dim)
    check_per_example("log_floor", log_floor, wrong.shape)
    return -as_like(log_floor, wrong).log() * wrong


def symmetric_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    cross_entropy_weight: float = 0.1,
    reverse_weight: float = 1.0,
    log_floor: float = 1e-4,
    class_dim: int = -1,
) -> Tensor:
    """Symmetric cross entropy: cross entropy plus reverse cross entropy.

    cross_entropy_weight * (-log p_label) + reverse_weight * (-log(log_floor) * (1 - p_label))        # Wang et al. 2019

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        cross_entropy_weight: at least 0.
        reverse_weight: at least 0.
        log_floor: what a 0 of the one-hot label counts as in the reverse one's logarithm, in [1e-30, 1].
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, a weight is negative or the floor not in [1e-30, 1].
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        reverse_weight=0 gives cross_entropy_weight * cross_entropy; cross_entropy_weight=0 gives reverse_weight *
        reverse_cross_entropy.

    Notes:
        their alpha and beta: 0.1 and 1 for CIFAR-10, 6 and 0.1 for CIFAR-100 (from memory).

    Complexity:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When to use:
        wrong labels of unknown rate, where GCE learns too slowly.

    Limitations:
        two weights that change with the data set, and a floor that is a factor of the second; cross entropy's part
        still learns wrong labels by heart.

    Example:
        >>> loss = symmetric_cross_entropy(torch.zeros(1, 4), torch.tensor([2]))        # .1 log 4 + 3/4 of 9.2103
        >>> round(float(loss), 4)
        7.0464
    """
    check_not_negative(cross_entropy_weight=cross_entropy_weight, reverse_weight=reverse_weight)
    check_fraction("log_floor", log_floor, low=1e-30)
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    reverse = -math.log(log_floor) * torch.sigmoid(-odds)
    return reverse_weight * reverse - times(as_like(cross_entropy_weight, odds), logsigmoid(odds))
