"""Generalized cross entropy, and mean absolute error, which is its end at q=1."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import check_fraction, check_per_example
from softtargets._numerics import as_like, times
from softtargets.losses._engine.log_odds import label_log_odds

__all__ = ["generalized_cross_entropy", "mean_absolute_error"]


def generalized_cross_entropy(
    logits: Tensor, labels: Tensor, *, q: float | Tensor = 0.7, class_dim: int = -1
) -> Tensor:
    """Generalized cross entropy: from cross entropy (q=0) to mean absolute error (q=1).

    (1 - p_label^q) / q        # Zhang & Sabuncu 2018

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        q: a number or a (...) float tensor, one per example, in [0, 1]. A tensor that learns gets no gradient at 0.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, from 0 to 1 / q.

    Raises:
        ValueError: where shapes differ, a label is out of range, or q is outside [0, 1].
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        q=0 gives cross_entropy; q=1 gives mean_absolute_error.

    Notes:
        their q, 0.7; also called L_q loss. Their truncated form, constant below a probability k, is not this one.

    Complexity:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When to use:
        wrong labels of unknown rate: an example counts p_label^q times what it counts in cross entropy.

    Limitations:
        towards q=1 it is slow to learn and underfits many classes (Zhang & Sabuncu 2018); hard examples fade with the
        wrong ones.

    Aliases:
        GCE; L_q loss

    Topics:
        unknown label noise

    References:
        Zhang & Sabuncu 2018, *Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels*,
        NeurIPS

    Example:
        >>> generalized_cross_entropy(torch.zeros(1, 4), torch.tensor([2]), q=0.5).tolist()        # (1 - 1/2) / .5
        [1.0]
    """
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    check_fraction("q", q)
    check_per_example("q", q, odds.shape)
    log_prob, q = logsigmoid(odds), as_like(q, odds)
    return torch.where(q == 0, -log_prob, -torch.expm1(times(q, log_prob)) / q.masked_fill(q == 0, 1.0))


def mean_absolute_error(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """Mean absolute error: the probability that the label does not get.

    1 - p_label        # Ghosh et al. 2017: half of their sum_k |onehot(label)_k - p_k|

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, from 0 to 1; a small one keeps its digits.

    Raises:
        ValueError: where shapes differ or a label is out of range.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        uniform logits give 1 - 1/K; over all K labels it sums to K - 1, whatever the logits.

    Notes:
        the factor 2 of the vector form is dropped, so that this is GCE with q=1.

    Complexity:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When to use:
        as the passive part of :func:`active_passive_loss`. That its sum over labels is constant makes it robust to
        symmetric noise (Ghosh et al. 2017).

    Limitations:
        on its own it hardly learns with many classes: an example with p_label near 0 has almost no gradient (Zhang &
        Sabuncu 2018).

    Aliases:
        MAE

    Topics:
        unknown label noise

    References:
        Ghosh et al. 2017, *Robust Loss Functions under Label Noise for Deep Neural Networks*, AAAI

    Example:
        >>> round(float(mean_absolute_error(torch.zeros(1, 4), torch.tensor([2]))), 4)
        0.75
    """
    return torch.sigmoid(-label_log_odds(logits, labels, class_dim=class_dim))
