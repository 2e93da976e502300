"""Normalized losses, and the pairs of active and passive losses (Ma et al. 2020)."""

from collections.abc import Callable

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets._numerics import as_like, at_least_float32, times
from softtargets.losses._engine.expectation import expectation, valid_logits
from softtargets.losses.building_blocks import label_log_prob
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.penalties._probabilities import smoothing_regularizer
from softtargets.losses.reduction import Reduction
from softtargets.losses.robust._symmetric import reverse_cross_entropy
from softtargets.losses.settings import read_setting
from softtargets.targets import Targets

__all__ = ["active_passive_loss", "normalized_cross_entropy"]

PerExample = Callable[[Tensor, Targets | Tensor], Tensor]


def normalized_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Normalized cross entropy: the loss of the label divided by the sum of the losses of all labels.

    log p_label / sum_k log p_k        # Ma et al. 2020
    soft targets: sum_k t_k * (loss of label k), the expected loss

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes of logit -inf are left out of the sum.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, from 0 to 1; () unless reduction is "none". Examples that are left out have loss 0. A
        label of logit -inf has loss 1 and no gradient.

    Raises:
        ValueError: if shapes differ, or a label is out of range.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        uniform logits give 1/K; the sum over all K labels is 1, whatever the logits.

    Notes:
        The denominator is :func:`smoothing_regularizer`, Omega of Lukasik et al. 2020.

    Complexity:
        Labels: five passes over the logits, two of them for the gradient and one to count the classes. Soft targets:
        O(N K) with several tensors of the size of the logits.

    When to use:
        As the active part of :func:`active_passive_loss`. Normalized losses are robust to symmetric noise (Ma et al.
        2020).

    Limitations:
        Used alone it underfits (Ma et al. 2020): it also decreases as the losses of the other labels grow.

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
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    if examples.labels is None:
        return examples.finish(_expected_normalized(examples), reduction)
    wide = at_least_float32(examples.logits)  # so that the two gradients are added before they are rounded
    own = -label_log_prob(wide, examples.labels)
    return examples.finish(_normalized(own, smoothing_regularizer(wide)), reduction)


def active_passive_loss(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    active_weight: float | Tensor = 1.0,
    passive_weight: float | Tensor = 1.0,
    active: PerExample = normalized_cross_entropy,
    passive: PerExample = reverse_cross_entropy,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Active passive loss: a weighted sum of a loss that raises the label and a loss that lowers the other classes.

    active_weight * active + passive_weight * passive        # Ma et al. 2020

    Soft targets are passed to both parts. The default passive part, reverse cross entropy, follows Wang et al. 2019
    for distributions and is not linear in the target.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        active_weight: at least 0; a number or a (...) float tensor, one per example.
        passive_weight: at least 0, likewise.
        active: function of (logits with the classes last, int64 labels or Targets) that returns one loss per example.
        passive: likewise.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, at least 0; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, a weight is negative, or a part does not return one loss
            per example.
        TypeError: if logits are not floating-point, labels not integers, or a part is not a function.

    Special cases:
        passive_weight=0 gives active_weight * normalized_cross_entropy; active_weight=0 gives passive_weight *
        reverse_cross_entropy.

    Notes:
        The weights are the paper's alpha and beta: 1 and 1 for CIFAR-10, 10 and 0.1 for CIFAR-100. The defaults are the
        paper's NCE+RCE. NCE+MAE is passive=mean_absolute_error, without the factor 2 of the vector form.

    Complexity:
        The sum of both losses.

    When to use:
        Many wrong labels, at an unknown rate.

    Limitations:
        The weights depend on the data set, and it learns more slowly on clean labels than cross entropy.

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
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    shape = examples.logits.shape[:-1]
    weights = [
        read_setting("active_weight", active_weight, shape),
        read_setting("passive_weight", passive_weight, shape),
    ]
    given = examples.targets if examples.labels is None else examples.labels
    wide = at_least_float32(examples.logits)  # so that the two gradients are added before they are rounded
    parts = [_part("active", active, wide, given), _part("passive", passive, wide, given)]
    losses = [times(as_like(weight, part), part) for weight, part in zip(weights, parts, strict=True)]
    return examples.finish(losses[0] + losses[1], reduction)


def _part(argument: str, function: PerExample, logits: Tensor, targets: Targets | Tensor) -> Tensor:
    if not callable(function):
        remedy = "pass a loss of softtargets.losses, such as losses.mean_absolute_error"
        raise fail_type(argument, "a function of (logits, targets)", type(function).__name__, remedy)
    losses = function(logits, targets)
    if not isinstance(losses, Tensor) or losses.shape != logits.shape[:-1]:
        got = f"shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
        required = f"a function that returns one loss per example, shape {tuple(logits.shape[:-1])}"
        raise fail(argument, required, got, "return the losses without a reduction")
    return losses


def _expected_normalized(examples: LossInputs) -> Tensor:
    logits = valid_logits(examples)
    there = logits != -torch.inf
    each = -at_least_float32(logits).log_softmax(-1)
    total = each.masked_fill(~there, 0.0).sum(-1, keepdim=True)
    return expectation(examples.targets, _normalized(each, total), there)


def _normalized(own: Tensor, total: Tensor) -> Tensor:
    """Divide a loss by the sum over labels: 0 if the label is the only class, 1 and constant if it is masked."""
    masked = own == torch.inf
    share = own.masked_fill(masked, 0.0) / total.masked_fill(total == 0, 1.0)
    return share.masked_fill(masked, 1.0)
