"""The kernel of the algebra: one cross entropy for every target."""

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_labels, first_bad, values_visible, where
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32, shifted, times
from softtargets.targets import Targets, hard


def cross_entropy(logits: Tensor, targets: Targets | Tensor, *, class_dim: int = -1) -> Tensor:
    """Cross entropy of logits against any targets, one value per example.

    sum(t) * logsumexp(z) - <t, z>        gradient: sum(t) * softmax(z) - t

    Factored targets are never expanded over the classes. A class whose logit is -inf, or that is not valid, gets no
    smoothing, no gradient and no part in the sum.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: Targets, or (...) int64 labels, which are taken as ``targets.hard``.
        class_dim: where the classes are; 1 for (N, K, d1, ...).

    Returns:
        (...) float32 or wider, nats; ignored examples 0.

    Raises:
        ValueError: where shapes differ, K < 2, or a label is out of range or not valid (first bad index named).
        TypeError: where logits are not floating-point, or targets are a floating-point tensor: say ``targets.dense``.

    Limits:
        hard targets give minus the log-probability of the label; uniform logits give sum(t) * log K.

    Example:
        >>> cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp().tolist()
        [4.0]
    """
    check_floating("logits", logits)
    logits = logits.movedim(class_dim, -1)
    size = logits.shape[-1]
    if size < 2:
        raise fail("logits", "at least 2 classes", f"{size} in dimension {class_dim}", "set class_dim")
    if isinstance(targets, Tensor):
        if targets.is_floating_point():
            remedy = "wrap distributions in targets.dense(...)"
            raise fail_type("targets", "Targets or int64 labels", f"dtype {targets.dtype}", remedy)
        targets = hard(targets)
    _check_fit(targets, logits)
    z = at_least_float32(logits)
    if targets.ignored is not None:
        z = z.masked_fill(targets.ignored[..., None], 0.0)
    if targets.valid is not None:
        z = z.masked_fill(~targets.valid, -torch.inf)
    z = shifted(z)
    lse = z.logsumexp(-1)
    # Sums of weight * -log p, rather than mass * lse - <t, z>: no large numbers cancel.
    if targets.value is not None and targets.index is not None:
        value = targets.value.to(z.dtype)
        loss = times(value, lse[..., None] - z.gather(-1, targets.index)).sum(-1)
        if targets.rest is not None:
            loss = loss + targets.rest.to(z.dtype) * (lse - _mean_logit(z, targets))
    else:
        weights = targets.gathered()
        loss = times(weights.to(z.dtype), lse[..., None] - z).sum(-1)
    return loss if targets.ignored is None else loss.masked_fill(targets.ignored, 0.0)


def _mean_logit(z: Tensor, targets: Targets) -> Tensor:
    """Mean of the logits under the prior, over the classes that are not masked."""
    masked = z == -torch.inf
    if targets.prior is not None:
        prior = targets.prior.to(z).masked_fill(masked, 0.0)
        return times(prior, z).sum(-1) / prior.sum(-1)
    return z.masked_fill(masked, 0.0).sum(-1) / (~masked).sum(-1)


def _check_fit(targets: Targets, logits: Tensor) -> None:
    size, shape = logits.shape[-1], tuple(logits.shape[:-1])
    if tuple(targets.shape) != shape:
        raise fail("targets", f"shape {shape}, as the logits without classes", tuple(targets.shape), "align them")
    known = targets.num_classes
    if known is not None and known != size:
        raise fail("targets", f"{size} classes, as the logits", known, "align them")
    if targets.index is None:
        return
    check_labels("labels", targets.index if targets.labels is None else targets.labels, size)
    if targets.labels is not None and targets.valid is not None and values_visible(targets.labels, targets.valid):
        there = targets.valid.expand(*shape, size).gather(-1, targets.labels[..., None])[..., 0]
        index = first_bad(~there if targets.ignored is None else ~there & ~targets.ignored)
        if index is not None:
            got = f"{int(targets.labels[index])} at {where(index)}"
            raise fail("labels", "classes that `valid` says exist", got, "mend the mask or mark it as ignored")
