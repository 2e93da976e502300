"""Cross entropy of logits against labels, probabilities or any targets."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._native.cross_entropy import cross_entropy_rows, cross_entropy_total, label_losses, label_total
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import at_least_float32, shifted, times
from softtargets.losses._dtensor import dtensor_cross_entropy, is_dtensor
from softtargets.losses._engine import ahead
from softtargets.losses._engine.simple import simple
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets, smooth

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
    if mask is None and not inplace:
        result = of_labels(logits, targets, class_dim=class_dim, ignore_index=ignore_index, reduction=reduction)
        if result is not None:
            return result
    settings = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask}
    if is_dtensor(logits) and not inplace:
        return dtensor_cross_entropy(logits, targets, **settings, reduction=reduction)
    batch = read_examples(logits, targets, **settings, zero_left_out=False)
    if inplace:
        if not can_accelerate(batch, logits):
            remedy = "use inplace=False in compiled or transformed code, or if the targets require a gradient"
            raise fail("inplace", "eager code in which only the logits require a gradient", True, remedy)
        return batch.reduce(accelerated(batch, logits, class_dim, reduction=reduction, inplace=True), reduction)
    return total_or_each(batch, logits, class_dim, reduction)


def total_or_each(batch: LossInputs, logits: Tensor, class_dim: int, reduction: Reduction) -> Tensor:
    """Return the cross entropy of a batch, reduced in the same pass.

    Args:
        batch: what was read of the logits and the targets.
        logits: the logits that `batch` was read from.
        class_dim: the dimension of the classes.
        reduction: "none", "mean" or "sum".
    """
    if not can_accelerate(batch, logits):
        return batch.reduce(plain_cross_entropy(batch), reduction)
    if reduction == "none":
        return accelerated(batch, logits, class_dim)
    return ahead.run_total(CrossEntropyRows(batch), logits, reduction, class_dim=class_dim)


def of_labels(
    logits: Tensor,
    labels: object,
    *,
    class_dim: int,
    ignore_index: int,
    reduction: Reduction,
    smoothing: float = 0.0,
) -> Tensor | None:
    """Return the smoothed cross entropy of labels if the kernel can compute it without other steps, else None.

    The kernel checks the labels. If it finds one that is out of range, None is returned as well, so that the caller
    goes the long way, which raises the error.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        reduction: "none", "mean" or "sum".
        smoothing: weight that is spread uniformly over the classes.
    """
    if torch.compiler.is_compiling() or not isinstance(labels, Tensor):
        return None
    if not simple(logits, labels, class_dim, ignore_index):
        return None
    if reduction == "none" and ignore_index >= 0:  # one that is negative is out of range, and declined
        return None
    loss = LabelRows(labels, smoothing, ignore_index)
    try:
        if reduction == "none":
            return ahead.run(loss, logits, class_dim=class_dim)
        return ahead.run_total(loss, logits, reduction, class_dim=class_dim)
    except Declined:
        return None


def rows_of_targets(targets: Targets) -> RowTargets:
    """Return targets as the kernel takes them."""
    return RowTargets(
        index=targets.index,
        value=targets.value,
        rest=targets.rest,
        prior=targets.prior,
        weights=targets.table if targets.table is not None else targets.values,
        row=targets.row,
        valid=targets.valid,
        left_out=targets.ignored,
    )


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


# The same numbers, with the gradient computed in the forward pass.


def can_accelerate(batch: LossInputs, logits: Tensor) -> bool:
    """Return whether :func:`accelerated` can be used: eager code on plain tensors, only the logits need a gradient."""
    if batch.soft is None:
        return ahead.possible(logits, batch.labels, batch.left_out)
    return ahead.possible(logits, *batch.soft.tensors().values())


def accelerated(
    batch: LossInputs,
    logits: Tensor,
    class_dim: int,
    *,
    reduction: Reduction = "none",
    expected: Tensor | None = None,
    in_forward: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Return :func:`plain_cross_entropy` of a batch, computed in one pass over the rows.

    Args:
        batch: what was read of the logits and the targets.
        logits: the logits that `batch` was read from.
        class_dim: the dimension of the classes.
        reduction: how the losses will be reduced; "none" is treated as "mean".
        expected: (...) the gradient that autograd is expected to pass to each loss; None: that of the reduction.
        in_forward: compute the gradient in the forward pass; False: only in the backward pass.
        inplace: write the gradient over the logits.
    """
    share: Tensor | float | None = expected
    if share is None and reduction == "sum":
        share = 1.0
    elif share is None and batch.left_out is not None and logits.requires_grad:
        # as a masked mean of the losses will pass it
        share = ahead.mean_gradient(logits, class_dim, batch.counted).masked_fill(batch.left_out, 0.0)
    loss = CrossEntropyRows(batch)
    return ahead.run(loss, logits, class_dim=class_dim, expected=share, ahead=in_forward, inplace=inplace)


class CrossEntropyRows:
    """Cross entropy of a batch, for :mod:`softtargets.losses._engine.ahead`."""

    def __init__(self, batch: LossInputs) -> None:
        self.batch = batch

    def rows(self) -> RowTargets:
        """Return the targets as the kernel takes them."""
        labels, soft = self.batch.labels, self.batch.soft
        if labels is not None:
            return RowTargets(index=labels[..., None], left_out=self.batch.left_out)
        assert soft is not None
        return rows_of_targets(soft)

    def run(self, z: Tensor, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        return cross_entropy_rows(z, self.rows(), scale, gradient)

    def total(self, z: Tensor, reduction: str, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        return cross_entropy_total(z, self.rows(), reduction == "mean", scale, gradient)

    def plain(self, logits: Tensor) -> Tensor:
        return plain_cross_entropy(replace(self.batch, logits=logits))

    def reduce(self, losses: Tensor, reduction: Reduction) -> Tensor:
        return self.batch.reduce(losses, reduction)

    def tensors(self) -> Iterable[Tensor]:
        if self.batch.labels is not None:
            return (self.batch.labels,)
        return () if self.batch.soft is None else self.batch.soft.tensors().values()


class Declined(Exception):
    """The kernel found a label that is out of range, or cannot take the tensors."""


class LabelRows:
    """Smoothed cross entropy of labels that the kernel checks, for :mod:`softtargets.losses._engine.ahead`."""

    def __init__(self, labels: Tensor, smoothing: float, ignore_index: int) -> None:
        self.labels, self.smoothing, self.ignore_index = labels, smoothing, ignore_index

    def run(self, z: Tensor, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        if isinstance(scale, Tensor):
            return self._general(z).run(z, scale, gradient)
        losses = label_losses(z, self.labels, self.smoothing, scale, gradient)
        if losses is None:
            raise Declined
        return losses

    def total(self, z: Tensor, reduction: str, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        mean = reduction == "mean"
        result = label_total(z, self.labels, self.smoothing, self.ignore_index, scale, mean, gradient)
        if result is None:
            raise Declined
        return result

    def plain(self, logits: Tensor) -> Tensor:
        return self._general(logits).plain(logits)

    def reduce(self, losses: Tensor, reduction: Reduction) -> Tensor:
        return self._general(losses[..., None].expand(*losses.shape, 2)).reduce(losses, reduction)

    def tensors(self) -> Iterable[Tensor]:
        return (self.labels,)

    def _general(self, z: Tensor) -> CrossEntropyRows:
        batch = read_examples(z, self.labels, ignore_index=self.ignore_index, zero_left_out=False)
        if self.smoothing:
            batch = replace(batch, labels=None, soft=smooth(batch.targets, self.smoothing))
        return CrossEntropyRows(batch)
