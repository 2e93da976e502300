"""Cross entropy and its gradient on one chunk of rows in torch operations, without another tensor of that size."""

import math

import torch
from torch import Tensor

from softtargets._native.chunks import deliver, number, shift, top, workspace
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import as_like, times


def twin(logits: Tensor, rows: RowTargets, scale: Tensor | None = None, gradient: Tensor | None = None) -> Tensor:
    """Return the cross entropy of a chunk of rows, and write the gradient of ``sum(scale * losses)``.

    Args:
        logits: (..., K) float.
        rows: the targets.
        scale: (...) of the accumulating dtype.
        gradient: (..., K) of the dtype of the logits; it may be the logits themselves. None: compute the losses only.

    Returns:
        (...) of the accumulating dtype, nats.
    """
    work = workspace(logits, gradient)
    if rows.valid is not None:
        work.copy_(logits).masked_fill_(~rows.valid, -torch.inf)
        work.sub_(top(work))
    else:
        shift(logits, work)
    left_out = _left_out_here(rows.left_out)
    if left_out is not None:
        work.masked_fill_(left_out[..., None], 0.0)
    part = (_Factored if rows.index is not None else _Weighted)(work, rows)
    total = work.exp_().sum(-1)
    losses = part.losses(total.log())
    if left_out is not None:
        losses.masked_fill_(left_out, 0.0)
    if gradient is not None and scale is not None:
        share = number(scale if left_out is None else scale.masked_fill(left_out, 0.0), total.dtype)
        work.mul_((part.mass * share / total)[..., None])
        part.subtract(work, share)
        deliver(work, gradient)
    return losses


def _left_out_here(left_out: Tensor | None) -> Tensor | None:
    """Return which rows of a chunk are left out, or None if none is; on an accelerator this is not checked."""
    if left_out is not None and left_out.device.type == "cpu" and not bool(left_out.any()):
        return None
    return left_out


def _all_finite(values: Tensor) -> bool:
    """Return whether all values are finite; False on an accelerator, where checking would make the host wait."""
    return values.device.type == "cpu" and math.isfinite(float(values.sum()))


class _Factored:
    """Factored targets, a few classes and a prior, on shifted logits."""

    def __init__(self, z: Tensor, rows: RowTargets) -> None:
        assert rows.index is not None
        self.index = rows.index
        self.value = 1.0 if rows.value is None else number(rows.value, z.dtype)
        self.picked = z.gather(-1, self.index)
        self.mass = self.value.sum(-1) if isinstance(self.value, Tensor) else self.value * self.index.shape[-1]
        self.rest = None
        if rows.rest is not None:
            self.rest = number(rows.rest, z.dtype)
            self.mass = self.mass + self.rest
            self.mean, self.prior = _spread(z, rows)

    def losses(self, log_total: Tensor) -> Tensor:
        # The logits are shifted, so that no term is negative if no weight is. A class of weight 0 adds nothing, even
        # if its logit is -inf.
        gaps = log_total[..., None] - self.picked
        losses = (gaps * self.value).sum(-1)
        if not _all_finite(losses):
            losses = times(as_like(self.value, gaps), gaps).sum(-1)
        return losses if self.rest is None else losses.add_(self.rest * (log_total - self.mean))

    def subtract(self, work: Tensor, scale: Tensor | float) -> None:
        if self.rest is not None:
            share = self.rest * scale
            work.sub_((share[..., None] if isinstance(share, Tensor) else share) * self.prior)
        taken = as_like(self.value, work) * (scale[..., None] if isinstance(scale, Tensor) else scale)
        work.scatter_add_(-1, self.index, taken.neg().expand(self.index.shape))


def _spread(z: Tensor, rows: RowTargets) -> tuple[Tensor, Tensor | float]:
    """Return the mean logit under the prior, and the prior restricted to the classes whose logit is not -inf."""
    size = z.shape[-1]
    prior = None if rows.prior is None else rows.prior.to(z) / rows.prior.to(z).sum()
    if rows.valid is None and z.device.type == "cpu":
        mean = z.sum(-1).div_(size) if prior is None else z.matmul(prior)
        if _all_finite(mean):
            return mean, 1 / size if prior is None else prior
    there = z != -torch.inf
    weights = there.to(z.dtype) if prior is None else prior * there
    weights = weights / weights.sum(-1, keepdim=True)
    return (weights * z.masked_fill(~there, 0.0)).sum(-1), weights


class _Weighted:
    """Targets with a weight for every class, from a table or dense, on shifted logits."""

    def __init__(self, z: Tensor, rows: RowTargets) -> None:
        self.weights = rows.gathered().to(z.dtype)
        self.mass = self.weights.sum(-1)
        self.weighted = (self.weights * z).sum(-1)
        if not _all_finite(self.weighted):
            self.weighted = times(self.weights, z).sum(-1)

    def losses(self, log_total: Tensor) -> Tensor:
        return self.mass * log_total - self.weighted

    def subtract(self, work: Tensor, scale: Tensor | float) -> None:
        work.sub_(self.weights * (scale[..., None] if isinstance(scale, Tensor) else scale))
