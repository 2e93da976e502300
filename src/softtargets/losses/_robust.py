"""Losses that saturate where a label is improbable, or stop where it is probable enough: functions of p_label."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import check_fraction, check_per_example
from softtargets._numerics import as_like, times
from softtargets.losses._log_odds import label_log_odds


def generalized_cross_entropy(
    logits: Tensor, labels: Tensor, *, q: float | Tensor = 0.7, class_dim: int = -1
) -> Tensor:
    """Go from cross entropy to mean absolute error by one number (GCE).

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

    Limits:
        q=0 gives cross_entropy; q=1 gives mean_absolute_error.

    Conventions:
        their q, 0.7; also called L_q loss. Their truncated form, constant below a probability k, is not this one.

    Cost:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When:
        wrong labels of unknown rate: an example counts p_label^q times what it counts in cross entropy.

    Against:
        towards q=1 it is slow to learn and underfits many classes (Zhang & Sabuncu 2018); hard examples fade with the
        wrong ones.

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
    """Count the probability that the label does not get.

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

    Limits:
        uniform logits give 1 - 1/K; over all K labels it sums to K - 1, whatever the logits.

    Conventions:
        the factor 2 of the vector form is dropped, so that this is GCE with q=1.

    Cost:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When:
        as the passive part of :func:`active_passive`. That its sum over labels is constant makes it robust to symmetric
        noise (Ghosh et al. 2017).

    Against:
        on its own it hardly learns with many classes: an example with p_label near 0 has almost no gradient (Zhang &
        Sabuncu 2018).

    Example:
        >>> round(float(mean_absolute_error(torch.zeros(1, 4), torch.tensor([2]))), 4)
        0.75
    """
    return torch.sigmoid(-label_log_odds(logits, labels, class_dim=class_dim))


def reverse_cross_entropy(
    logits: Tensor, labels: Tensor, *, log_floor: float | Tensor = 1e-4, class_dim: int = -1
) -> Tensor:
    """Take the cross entropy of the one-hot label under the prediction, with the logarithm's 0 raised to a floor (RCE).

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

    Limits:
        log_floor=1/e gives mean_absolute_error; log_floor=1 gives 0.

    Conventions:
        their A is log(log_floor), -9.2103 at 1e-4. Code that also raises the prediction to a floor differs by that.

    Cost:
        that of mean_absolute_error.

    When:
        as a part of :func:`symmetric_cross_entropy` and :func:`active_passive`.

    Against:
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
    """Add cross entropy to its reverse (SCE).

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

    Limits:
        reverse_weight=0 gives cross_entropy_weight * cross_entropy; cross_entropy_weight=0 gives reverse_weight *
        reverse_cross_entropy.

    Conventions:
        their alpha and beta: 0.1 and 1 for CIFAR-10, 6 and 0.1 for CIFAR-100 (from memory).

    Cost:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When:
        wrong labels of unknown rate, where GCE learns too slowly.

    Against:
        two weights that change with the data set, and a floor that is a factor of the second; cross entropy's part
        still learns wrong labels by heart.

    Example:
        >>> loss = symmetric_cross_entropy(torch.zeros(1, 4), torch.tensor([2]))        # .1 log 4 + 3/4 of 9.2103
        >>> round(float(loss), 4)
        7.0464
    """
    check_fraction("cross_entropy_weight", cross_entropy_weight, high=math.inf, remedy="choose 0 or more")
    check_fraction("reverse_weight", reverse_weight, high=math.inf, remedy="choose 0 or more")
    check_fraction("log_floor", log_floor, low=1e-30)
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    reverse = -math.log(log_floor) * torch.sigmoid(-odds)
    return reverse_weight * reverse - times(as_like(cross_entropy_weight, odds), logsigmoid(odds))


def label_relaxation(logits: Tensor, labels: Tensor, *, smoothing: float | Tensor = 0.1, class_dim: int = -1) -> Tensor:
    """Ask for a probability of at least 1 - smoothing, shared out among the other classes as the model likes.

    (1 - a) log((1 - a) / p_label) + a log(a / (1 - p_label)), and 0 once p_label >= 1 - a; a is `smoothing`

    That is KL(t || p) for the target t, of all that give the label at least 1 - a, that is closest to the prediction
    (Lienen & Hüllermeier 2021).

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        smoothing: a, a number or a (...) float tensor, one per example, in [0, 1].
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0 but for rounding; exactly 0, with no gradient, once p_label >= 1 - a.

    Raises:
        ValueError: where shapes differ, a label is out of range, or smoothing is outside [0, 1].
        TypeError: where logits are not floating-point or labels not integers.

    Limits:
        smoothing=0 gives cross_entropy; smoothing=1 gives 0.

    Conventions:
        their alpha, 0.1: the mass that may leave the label, so smoothing in the "others" convention.

    Cost:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When:
        in label smoothing's place, where the wrong classes should not be pushed to equal shares.

    Against:
        examples that are probable enough teach nothing, so confidence above 1 - smoothing is left as it is.

    Example:
        >>> loss = label_relaxation(torch.zeros(2, 2), torch.tensor([0, 1]), smoothing=torch.tensor([0.0, 0.5]))
        >>> loss.exp().round(decimals=4).tolist()        # cross entropy is log 2
        [2.0, 1.0]
    """
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    check_fraction("smoothing", smoothing)
    check_per_example("smoothing", smoothing, odds.shape)
    a = as_like(smoothing, odds)
    entropy = torch.special.entr(1 - a) + torch.special.entr(a)
    loss = -(1 - a) * logsigmoid(odds) - a * logsigmoid(-odds) - entropy
    return torch.where(odds < -torch.logit(a), loss, 0.0)
