"""Cross entropy of a batch: in differentiable torch operations, and with the gradient computed ahead."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._native.cross_entropy import cross_entropy_rows, cross_entropy_total
from softtargets._native.operators import cross_entropy_operator
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import at_least_float32, shifted, times
from softtargets.losses._engine import ahead
from softtargets.losses.inputs import LossInputs
from softtargets.losses.reduction import Reduction
from softtargets.targets import Targets


def total_or_each(
    batch: LossInputs, logits: Tensor, class_dim: int, reduction: Reduction, *, inplace: bool = False
) -> Tensor:
    """Return the cross entropy of a batch, reduced in the same pass.

    Args:
        batch: what was read of the logits and the targets.
        logits: the logits that `batch` was read from.
        class_dim: the dimension of the classes.
        reduction: "none", "mean" or "sum".
        inplace: write the gradient over the logits, for which :func:`can_accelerate` is True.
    """
    if not can_accelerate(batch, logits):
        return batch.reduce(traced_cross_entropy(batch), reduction)
    if reduction == "none" or (inplace and logits.dtype == torch.float16):
        return batch.reduce(accelerated(batch, logits, class_dim, reduction=reduction, inplace=inplace), reduction)
    return ahead.run_total(CrossEntropyRows(batch), logits, reduction, class_dim=class_dim, inplace=inplace)


def traced_cross_entropy(batch: LossInputs) -> Tensor:
    """Return :func:`plain_cross_entropy`, as one operator where a compiler or a dispatch mode traces it.

    The operator's gradient cannot be differentiated again, and targets get none.
    """
    loss = CrossEntropyRows(batch)
    rows = loss.rows()
    if not ahead.traced(batch.logits, *rows.tensors()):
        return plain_cross_entropy(batch)
    return cross_entropy_operator(batch.logits, rows)


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
