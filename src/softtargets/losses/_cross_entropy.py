"""The kernel of the algebra: one cross entropy for every target."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._numerics import accumulating, at_least_float32, shifted, times
from softtargets.losses._fused import fused
from softtargets.losses._inputs import as_targets, check_fit, classes_last
from softtargets.losses._kernel import Index, possible, run
from softtargets.losses._reduce import reduce, upstream
from softtargets.losses._split import is_split, split_dtensor
from softtargets.targets import Targets


def cross_entropy(logits: Tensor, targets: Targets | Tensor, *, class_dim: int = -1, inplace: bool = False) -> Tensor:
    """Cross entropy of logits against any targets, one value per example.

    sum(t) * logsumexp(z) - <t, z>        gradient: sum(t) * softmax(z) - t

    Factored targets are never expanded over the classes. A class whose logit is -inf, or that is not valid, gets no
    smoothing, no gradient and no part in the sum.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; a DTensor may be sharded over examples or classes.
        targets: Targets, or (...) int64 labels, which are taken as ``targets.hard``.
        class_dim: where the classes are; 1 for (N, K, d1, ...).
        inplace: write the gradient over the logits, which must be the result of an operation and be used by nothing
            else: autograd raises where they are. Read without a gradient (for accuracy, say) they are the gradient.

    Returns:
        (...) float32 or wider, nats; ignored examples 0.

    Raises:
        ValueError: where shapes differ, K < 2, or a label is out of range or not valid (first bad index named).
        TypeError: where logits are not floating-point, or targets are a floating-point tensor: say ``targets.dense``.

    Limits:
        hard targets give minus the log-probability of the label; uniform logits give sum(t) * log K.

    Conventions:
        F.cross_entropy(reduction="none") in torch; natural logarithm; half precision is summed in float32.

    Cost:
        one pass over the logits in chunks that fit the cache, gradient included, where the losses go into a mean, which
        may be scaled by a power of two; else a second one in the backward pass. Extra memory is the gradient alone (in
        place: nothing). Where the gradient is differentiated again, a target learns, or the code is compiled or
        vmapped, the plain path is taken: more passes, the same numbers.

    When:
        always: every target of this package goes in here.

    Against:
        wrong labels are learned by heart and probabilities end too extreme (Guo et al. 2017; Lukasik et al. 2020).

    Example:
        >>> cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp().tolist()
        [4.0]
    """
    return _cross_entropy(logits, targets, class_dim=class_dim, inplace=inplace)


def _cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    inplace: bool = False,
    ahead: bool = True,
    expected: Tensor | None = None,
) -> Tensor:
    if is_split(logits) and not inplace:
        return split_dtensor(logits, targets, class_dim)
    targets = as_targets(targets)
    moved = classes_last(logits, class_dim)
    check_fit(targets, moved.shape[:-1], moved.shape[-1])
    rule = Kernel(targets)
    if possible(logits, *targets._tensors().values()):
        expected = _of_the_mean(targets, logits) if expected is None else expected
        return run(rule, logits, class_dim=class_dim, expected=expected, ahead=ahead, inplace=inplace)
    if inplace:
        remedy = "leave inplace=False where the code is compiled or transformed, or a target learns"
        raise fail("inplace", "eager code in which the logits alone learn", True, remedy)
    return rule.plain(moved)


def reduced_cross_entropy(
    logits: Tensor,
    targets: Targets,
    reduction: Literal["mean", "sum", "none"],
    *,
    weight: Tensor | None = None,
    normalizer: float | Tensor | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Return ``reduce(cross_entropy(...), ...)``, whose gradient the forward pass knows, weights and all."""
    like = logits.new_empty((), dtype=accumulating(logits.dtype)).expand(targets.shape)
    expected = upstream(like, reduction, weight=weight, normalizer=normalizer)
    losses = _cross_entropy(logits, targets, class_dim=class_dim, expected=expected)
    return reduce(losses, reduction, weight=weight, normalizer=normalizer)


def label_log_prob(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """Return the (...) log-probability of the label, for losses that are a function of it.

    Like minus :func:`cross_entropy`, but that its gradient waits for the backward pass: it is not the mean's.
    """
    return -_cross_entropy(logits, labels, class_dim=class_dim, ahead=False)


def _of_the_mean(targets: Targets, logits: Tensor) -> Tensor | None:
    """Return the gradient that a mean over the examples that are not ignored gives each loss."""
    if targets.ignored is None or not logits.requires_grad:
        return None
    counted = (~targets.ignored).to(accumulating(logits.dtype))
    return counted * (1 / counted.sum().clamp(min=1))


class Kernel:
    """The cross entropy of some targets, for both paths."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets

    def chunk(self, logits: Tensor, index: Index, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
        targets, wide = self.targets, accumulating(logits.dtype)
        if targets.table is not None and targets.table.dtype != wide:
            # once for all chunks, rather than row by row as they are taken
            self.targets = targets = replace(targets, table=targets.table.to(wide))
        return fused(logits, targets[index], scale, gradient)

    def tensors(self) -> Iterable[Tensor]:
        return self.targets._tensors().values()

    def plain(self, logits: Tensor) -> Tensor:
        targets = self.targets
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
            loss = times(targets.gathered().to(z.dtype), lse[..., None] - z).sum(-1)
        return loss if targets.ignored is None else loss.masked_fill(targets.ignored, 0.0)


def _mean_logit(z: Tensor, targets: Targets) -> Tensor:
    """Mean of the logits under the prior, over the classes that are not masked."""
    masked = z == -torch.inf
    if targets.prior is not None:
        prior = targets.prior.to(z).masked_fill(masked, 0.0)
        return times(prior, z).sum(-1) / prior.sum(-1)
    return z.masked_fill(masked, 0.0).sum(-1) / (~masked).sum(-1)
