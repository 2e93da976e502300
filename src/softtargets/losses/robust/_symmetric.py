"""Symmetric cross entropy, and its reverse part."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import check_entries
from softtargets._native.labels import OddsLoss
from softtargets._numerics import as_like, at_least_float32, times
from softtargets.losses._engine.expectation import dense_weights, valid_logits
from softtargets.losses._engine.log_odds import Settings, label_loss, quick_label_loss
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import over_classes, read_setting
from softtargets.targets import Targets

__all__ = ["reverse_cross_entropy", "symmetric_cross_entropy"]


def reverse_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    log_floor: float | Tensor = 1e-4,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Reverse cross entropy: cross entropy of the target under the prediction, with the target clamped from below.

    -sum_k p_k log(max(t_k, log_floor))        # Wang et al. 2019
    labels: -log(log_floor) * (1 - p_label)

    Soft targets follow the same definition, which the authors give for distributions. It is not linear in the target:
    the loss of a mixture is not the mixture of the losses.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        log_floor: smallest value of t_k inside the logarithm, in [1e-30, 1]; a number or a (...) float tensor, one per
            example.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, from 0 to -log(log_floor); () unless reduction is "none". Examples that are left
        out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, a soft target is negative, or the floor is outside
            [1e-30, 1].
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        for labels, log_floor=1/e gives mean_absolute_error and log_floor=1 gives 0; one-hot soft targets give the loss
        of the label.

    Notes:
        A in the paper is log(log_floor), -9.2103 at 1e-4. Their code also clamps the prediction, to [1e-7, 1]; this one
        does not.

    Complexity:
        Labels: the same as mean_absolute_error. Soft targets: O(N K) with several tensors of the size of the logits.

    When to use:
        As a part of :func:`symmetric_cross_entropy` and :func:`active_passive_loss`.

    Limitations:
        For labels it is mean absolute error times a constant, 9.2103 by default, and learns as slowly.

    Example:
        >>> round(float(reverse_cross_entropy(torch.zeros(1, 4), torch.tensor([2]))), 4)        # 3/4 of 9.2103
        6.9078
    """

    def settings(shape: torch.Size) -> Settings:
        return (read_setting("log_floor", log_floor, shape, low=1e-30, high=1.0),)

    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask}
    result = quick_label_loss(_REVERSE, logits, targets, settings, **keywords, reduction=reduction)
    if result is not None:
        return result
    examples = read_examples(logits, targets, **keywords)
    (floor,) = settings(examples.logits.shape[:-1])
    if examples.labels is None:
        return examples.finish(_reverse(examples, floor), reduction)
    return examples.finish(label_loss(examples, _REVERSE, floor), reduction)


def symmetric_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    cross_entropy_weight: float | Tensor = 0.1,
    reverse_weight: float | Tensor = 1.0,
    log_floor: float | Tensor = 1e-4,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Symmetric cross entropy: a weighted sum of cross entropy and reverse cross entropy.

    a * (-sum_k t_k log p_k) + b * (-sum_k p_k log(max(t_k, log_floor)))        # Wang et al. 2019

    with a the `cross_entropy_weight` and b the `reverse_weight`. Labels are one-hot targets. Soft targets follow the
    same definition, which the authors give for distributions; the reverse part is not linear in the target.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        cross_entropy_weight: at least 0; a number or a (...) float tensor, one per example.
        reverse_weight: at least 0, likewise.
        log_floor: smallest value of t_k inside the logarithm of the reverse part, in [1e-30, 1], likewise.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, at least 0; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, a soft target or a weight is negative, or the floor is
            outside [1e-30, 1].
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        reverse_weight=0 gives cross_entropy_weight * cross_entropy; cross_entropy_weight=0 gives reverse_weight *
        reverse_cross_entropy.

    Notes:
        The weights are the paper's alpha and beta: 0.1 and 1 for CIFAR-10, 6 and 0.1 for CIFAR-100 (not checked against
        the paper).

    Complexity:
        Labels: two passes over the logits, one of them for the gradient, and no other N x K tensor. Soft targets:
        O(N K) with several tensors of the size of the logits.

    When to use:
        Wrong labels at an unknown rate, if generalized cross entropy learns too slowly.

    Limitations:
        The two weights depend on the data set, and the floor only scales the second one. The cross entropy part still
        memorises wrong labels.

    Example:
        >>> loss = symmetric_cross_entropy(torch.zeros(1, 4), torch.tensor([2]))        # .1 log 4 + 3/4 of 9.2103
        >>> round(float(loss), 4)
        7.0464
    """

    def settings(shape: torch.Size) -> Settings:
        on_forward = read_setting("cross_entropy_weight", cross_entropy_weight, shape)
        on_reverse = read_setting("reverse_weight", reverse_weight, shape)
        return on_forward, on_reverse, read_setting("log_floor", log_floor, shape, low=1e-30, high=1.0)

    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask}
    result = quick_label_loss(_SYMMETRIC, logits, targets, settings, **keywords, reduction=reduction)
    if result is not None:
        return result
    examples = read_examples(logits, targets, **keywords)
    given = settings(examples.logits.shape[:-1])
    if examples.labels is not None:
        return examples.finish(label_loss(examples, _SYMMETRIC, *given), reduction)
    on_forward, on_reverse, floor = given
    forward, reverse = deferred_cross_entropy(examples.logits, examples.targets), _reverse(examples, floor)
    losses = times(as_like(on_forward, forward), forward) + as_like(on_reverse, reverse) * reverse
    return examples.finish(losses, reduction)


def _reverse_of_label(odds: Tensor, floor: Tensor) -> Tensor:
    return -floor.log() * torch.sigmoid(-odds)


def _symmetric_of_label(odds: Tensor, on_forward: Tensor, on_reverse: Tensor, floor: Tensor) -> Tensor:
    return times(on_forward, -logsigmoid(odds)) + on_reverse * _reverse_of_label(odds, floor)


_REVERSE = OddsLoss("wrong", _reverse_of_label, lambda floor: (0.0, -math.log(floor)))
_SYMMETRIC = OddsLoss(
    "wrong",
    _symmetric_of_label,
    lambda on_forward, on_reverse, floor: (on_forward, on_reverse * -math.log(floor)),
)


def _reverse(examples: LossInputs, floor: float | Tensor) -> Tensor:
    """Reverse cross entropy of soft targets."""
    logits = valid_logits(examples)
    probs = at_least_float32(logits).softmax(-1)
    weights = dense_weights(examples, logits)
    check_entries("targets", weights, lambda t: t >= 0, "weights of at least 0", "pass probabilities", axis="example")
    return -(probs * weights.maximum(as_like(over_classes(floor), weights)).log()).sum(-1)
