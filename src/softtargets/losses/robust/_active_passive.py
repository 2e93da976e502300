"""Losses divided by their sum over labels, and the pairs that they go into (Ma et al. 2020)."""

from collections.abc import Callable

import torch
from torch import Tensor

from softtargets._checks import check_not_negative
from softtargets._numerics import as_like, at_least_float32, times
from softtargets.losses.building_blocks import label_log_prob
from softtargets.losses.inputs import paired
from softtargets.losses.penalties._probabilities import smoothing_regularizer
from softtargets.losses.robust._symmetric import reverse_cross_entropy

__all__ = ["active_passive_loss", "normalized_cross_entropy"]

PerExample = Callable[[Tensor, Tensor], Tensor]


def normalized_cross_entropy(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """Normalized cross entropy: the loss of the label divided by the sum of the losses of all labels.

    log p_label / sum_k log p_k        # Ma et al. 2020

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes masked by -inf are left out of the sum.
        labels: (...) int64 in [0, K).
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, from 0 to 1: 1, without a gradient, where the label is masked.

    Raises:
        ValueError: where shapes differ or a label is out of range.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        uniform logits give 1/K; over all K labels it sums to 1, whatever the logits.

    Notes:
        the sum is smoothing_regularizer, Lukasik et al.'s Omega.

    Complexity:
        five passes over the logits, two of them for the gradient and one to count the classes.

    When to use:
        as the active part of :func:`active_passive_loss`: robust to symmetric noise, as any normalised loss is (Ma et
        al. 2020).

    Limitations:
        on its own it underfits (Ma et al. 2020): it also falls where the other labels' losses grow.

    Aliases:
        NCE

    Topics:
        unknown label noise

    References:
        Ma et al. 2020, *Normalized Loss Functions for Deep Learning with Noisy Labels*, ICML

    Example:
        >>> import torch
        >>> normalized_cross_entropy(torch.zeros(1, 4), torch.tensor([2])).tolist()
        [0.25]
    """
    moved, labels = paired(logits, labels, class_dim)
    moved = at_least_float32(moved)  # so that the two gradients are added before they are rounded
    total = smoothing_regularizer(moved)
    own = -label_log_prob(moved, labels)
    masked = own == torch.inf
    share = own.masked_fill(masked, 0.0) / total.masked_fill(total == 0, 1.0)  # 0 where the label is the only class
    return share.masked_fill(masked, 1.0)


def active_passive_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    active_weight: float = 1.0,
    passive_weight: float = 1.0,
    active: PerExample = normalized_cross_entropy,
    passive: PerExample = reverse_cross_entropy,
    class_dim: int = -1,
) -> Tensor:
    """Active passive loss: a loss that raises the label plus one that lowers the other classes.

    active_weight * active + passive_weight * passive        # Ma et al. 2020

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        active_weight: at least 0.
        passive_weight: at least 0.
        active: (logits with the classes last, labels) -> one loss per example.
        passive: likewise.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, or a weight is negative.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        passive_weight=0 gives active_weight * normalized_cross_entropy; active_weight=0 gives passive_weight *
        reverse_cross_entropy.

    Notes:
        their alpha and beta: 1 and 1 for CIFAR-10, 10 and 0.1 for CIFAR-100. The defaults are their NCE+RCE; NCE+MAE is
        passive=mean_absolute_error, where a factor 2 is dropped.

    Complexity:
        that of both losses.

    When to use:
        wrong labels of unknown rate, many of them.

    Limitations:
        weights that change with the data set; slower on clean labels than cross entropy.

    Aliases:
        APL; NCE+RCE; NCE+MAE

    Topics:
        unknown label noise

    References:
        Ma et al. 2020, *Normalized Loss Functions for Deep Learning with Noisy Labels*, ICML

    Example:
        >>> import torch
        >>> loss = active_passive_loss(torch.zeros(1, 4), torch.tensor([2]))        # 1/4 + 3/4 of 9.2103
        >>> round(float(loss), 4)
        7.1578
    """
    check_not_negative(active_weight=active_weight, passive_weight=passive_weight)
    moved, labels = paired(logits, labels, class_dim)
    moved = at_least_float32(moved)  # so that the two gradients are added before they are rounded
    raising, lowering = active(moved, labels), passive(moved, labels)
    return times(as_like(active_weight, raising), raising) + times(as_like(passive_weight, lowering), lowering)
