"""Cross entropy of logits against labels, probabilities or any targets."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._numerics import accumulating, at_least_float32, shifted, times
from softtargets.losses._dtensor import dtensor_cross_entropy, is_dtensor
from softtargets.losses._engine import chunked
from softtargets.losses._engine.fused import fused, fused_labels, left_out_here
from softtargets.losses._engine.kernel import EVERYTHING, Index
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets

__all__ = ["cross_entropy"]


def cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
    inplace: bool = False,
) -> Tensor:
    """Cross entropy of logits against labels, probabilities or any targets.

    sum(t) * logsumexp(z) - <t, z>        gradient: sum(t) * softmax(z) - t

    Targets that are stored as a label and smoothing are never expanded to N x K. A class whose logit is -inf, or that
    `valid` of :func:`softtargets.targets.smooth` excludes, gets no smoothing and no gradient.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; a DTensor may be sharded over examples or classes.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets of (...).
        class_dim: the dimension of the classes; 1 for (N, K, d1, ...).
        ignore_index: label of an example to leave out. Soft targets mark such examples in ``Targets.ignored``.
        mask: (...) bool, True for an example to include; None: include every example that is not ignored.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.
        inplace: write the gradient over the logits, which must be the result of an operation. Any other use of them
            raises an error in the backward pass. Without a backward pass, for example when computing accuracy, they
            silently hold the gradient.

    Returns:
        (...) float32 or wider, nats, 0 for an example that is left out; () with "mean" or "sum". If every example is
        left out, the mean is 0.

    Raises:
        ValueError: if shapes differ, K < 2, or a label is out of range or not valid (first bad index named).
        TypeError: if logits are not a floating-point tensor, or targets are neither a tensor nor Targets.

    Special cases:
        labels give minus the log-probability of the label; uniform logits give sum(t) * log K.

    Notes:
        torch.nn.functional.cross_entropy with reduction="none". For its `label_smoothing` pass
        ``targets.smooth(labels, 0.1)``; for its `weight` use :class:`softtargets.nn.CrossEntropyLoss`. Half precision
        is accumulated in float32.

    Complexity:
        One pass over the logits in chunks that fit the cache, gradient included, if the incoming gradient is that of
        a mean or a power-of-two multiple of it (loss scaling). Otherwise the backward pass is a second pass. The only
        extra memory is the gradient; ``inplace=True`` needs none. For a second derivative, for targets that require a
        gradient, and under torch.compile and torch.func the same numbers are computed with plain torch operations.

    When to use:
        The default loss; it accepts every kind of target in this package.

    Limitations:
        A large network memorizes wrong labels and becomes overconfident (Guo et al. 2017; Lukasik et al. 2020).

    Aliases:
        softmax cross entropy; softmax_cross_entropy_with_integer_labels; categorical cross entropy;
        nll_loss; softmax_cross_entropy; NLLLoss

    Example:
        >>> cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp().tolist()
        [4.0]
        >>> cross_entropy(torch.zeros(2, 4), torch.tensor([2, -100]), reduction="mean").exp().tolist()
        4.0
    """
    check_reduction(reduction)
    settings = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask}
    if is_dtensor(logits) and not inplace:
        return dtensor_cross_entropy(logits, targets, **settings, reduction=reduction)
    batch = read_examples(logits, targets, **settings, zero_left_out=False)
    if can_accelerate(batch, logits):
        losses = accelerated(batch, logits, class_dim, reduction=reduction, inplace=inplace)
    elif inplace:
        remedy = "use inplace=False in compiled or transformed code, or if the targets require a gradient"
        raise fail("inplace", "eager code in which only the logits require a gradient", True, remedy)
    else:
        losses = plain_cross_entropy(batch)
    return batch.reduce(losses, reduction)


def plain_cross_entropy(batch: LossInputs) -> Tensor:
    """Return the cross entropy of each example, (...), 0 if it is left out, with differentiable torch operations."""
    z = at_least_float32(batch.logits)
    if batch.left_out is not None:
        z = z.masked_fill(batch.left_out[..., None], 0.0)
    if batch.labels is not None:
        z = shifted(z)
        losses = z.logsumexp(-1) - z.gather(-1, batch.labels[..., None])[..., 0]
    else:
        losses = _of_soft_targets(z, batch.targets)
    return losses if batch.left_out is None else losses.masked_fill(batch.left_out, 0.0)


def _of_soft_targets(z: Tensor, targets: Targets) -> Tensor:
    """Return sum_k t_k * -log p_k; as sum(t) * logsumexp(z) - <t, z> large numbers would cancel."""
    if targets.valid is not None:
        z = z.masked_fill(~targets.valid, -torch.inf)
    z = shifted(z)
    lse = z.logsumexp(-1)
    if targets.index is None:
        return times(targets.gathered().to(z.dtype), lse[..., None] - z).sum(-1)
    index, value = targets.factors()
    losses = times(value.to(z.dtype), lse[..., None] - z.gather(-1, index)).sum(-1)
    if targets.rest is None:
        return losses
    return losses + targets.rest.to(z.dtype) * (lse - _mean_logit(z, targets))


def _mean_logit(z: Tensor, targets: Targets) -> Tensor:
    """Return the mean of the logits under the prior, over the classes whose logit is not -inf."""
    masked = z == -torch.inf
    if targets.prior is not None:
        prior = targets.prior.to(z).masked_fill(masked, 0.0)
        return times(prior, z).sum(-1) / prior.sum(-1)
    return z.masked_fill(masked, 0.0).sum(-1) / (~masked).sum(-1)


# The accelerator: the same numbers, with the gradient computed in the forward pass.


def can_accelerate(batch: LossInputs, logits: Tensor) -> bool:
    """Return whether :func:`accelerated` can be used: eager code on plain tensors, only the logits need a gradient."""
    if batch.soft is None:
        return chunked.possible(logits, batch.labels, batch.left_out)
    return chunked.possible(logits, *batch.soft.tensors().values())


def accelerated(
    batch: LossInputs,
    logits: Tensor,
    class_dim: int,
    *,
    reduction: Reduction = "none",
    expected: Tensor | None = None,
    ahead: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Return :func:`plain_cross_entropy` of a batch, computed chunk by chunk.

    Args:
        batch: what was read of the logits and the targets.
        logits: the logits that `batch` was read from.
        class_dim: the dimension of the classes.
        reduction: how the losses will be reduced; "none" is treated as "mean".
        expected: (...) the gradient that autograd is expected to pass to each loss; None: that of the reduction.
        ahead: compute the gradient in the forward pass; False: only in the backward pass.
        inplace: write the gradient over the logits.
    """
    if expected is None and logits.requires_grad:
        expected = chunked.mean_gradient(logits, class_dim, 1 if reduction == "sum" else batch.counted)
        if batch.left_out is not None and reduction == "none":
            expected = expected.masked_fill(batch.left_out, 0.0)  # as a masked mean of the losses will pass it
    kernel = CrossEntropyKernel(batch)
    return chunked.run(kernel, logits, class_dim=class_dim, expected=expected, ahead=ahead, inplace=inplace)


class CrossEntropyKernel:
    """Cross entropy of a batch, for :mod:`softtargets.losses._engine.chunked`."""

    def __init__(self, batch: LossInputs) -> None:
        self.batch = batch
        self.soft = batch.soft

    def chunk(self, logits: Tensor, index: Index, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
        labels, left_out = self.batch.labels, self.batch.left_out
        if labels is not None:
            if index is not EVERYTHING:
                labels, left_out = labels[index], None if left_out is None else left_out_here(left_out[index])
            return fused_labels(logits, labels, left_out, scale, gradient)
        targets, wide = self.soft, accumulating(logits.dtype)
        assert targets is not None
        if targets.table is not None and targets.table.dtype != wide:
            # converted once for all chunks rather than row by row
            self.soft = targets = replace(targets, table=targets.table.to(wide))
        return fused(logits, targets if index is EVERYTHING else targets[index], scale, gradient)

    def plain(self, logits: Tensor) -> Tensor:
        return plain_cross_entropy(replace(self.batch, logits=logits))

    def tensors(self) -> Iterable[Tensor]:
        if self.batch.labels is not None:
            return (self.batch.labels,)
        return () if self.soft is None else self.soft.tensors().values()
