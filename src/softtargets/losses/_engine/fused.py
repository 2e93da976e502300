"""Cross entropy and its gradient on one chunk of rows, computed in place without another tensor of that size."""

import math

import torch
from torch import Tensor

from softtargets._numerics import accumulating, as_like, times
from softtargets.targets import Targets


def fused_labels(
    logits: Tensor,
    labels: Tensor,
    left_out: Tensor | None = None,
    scale: Tensor | None = None,
    gradient: Tensor | None = None,
) -> Tensor:
    """Return the cross entropy of labels for a chunk of rows, and write the gradient of ``sum(scale * losses)``.

    A compiled kernel can replace this function: its arguments are plain tensors and its only effect is on `gradient`.

    Args:
        logits: (..., K) float.
        labels: (...) int64 in [0, K).
        left_out: (...) bool, rows with loss 0 and gradient 0; None: no row.
        scale: (...) of the accumulating dtype.
        gradient: (..., K) of the dtype of the logits; it may be the logits themselves. None: compute the losses only.

    Returns:
        (...) of the accumulating dtype, nats.
    """
    work, index = workspace(logits, gradient), labels[..., None]
    shift(logits, work)
    if left_out is not None:
        work.masked_fill_(left_out[..., None], 0.0)
    label_logits = work.gather(-1, index)[..., 0]
    total = work.exp_().sum(-1)
    losses = total.log() - label_logits
    if left_out is not None:
        losses.masked_fill_(left_out, 0.0)
    if gradient is not None and scale is not None:
        share = _number(scale if left_out is None else scale.masked_fill(left_out, 0.0), work.dtype)
        if isinstance(share, Tensor):
            work.mul_((share / total)[..., None])
            work.scatter_add_(-1, index, share.neg()[..., None])
        else:
            work.mul_(total.reciprocal_().mul_(share)[..., None])
            work.scatter_add_(-1, index, work.new_full((), -share).expand(index.shape))
        deliver(work, gradient)
    return losses


def fused(logits: Tensor, targets: Targets, scale: Tensor | None = None, gradient: Tensor | None = None) -> Tensor:
    """Return the cross entropy of targets for a chunk of rows, and write the gradient of ``sum(scale * losses)``.

    Args:
        logits: (..., K) float.
        targets: targets of those rows.
        scale: (...) of the accumulating dtype.
        gradient: (..., K) of the dtype of the logits; it may be the logits themselves. None: compute the losses only.

    Returns:
        (...) of the accumulating dtype, nats.
    """
    work = workspace(logits, gradient)
    if targets.valid is not None:
        work.copy_(logits).masked_fill_(~targets.valid, -torch.inf)
        work.sub_(_top(work))
    else:
        shift(logits, work)
    ignored = left_out_here(targets.ignored)
    if ignored is not None:
        work.masked_fill_(ignored[..., None], 0.0)
    part = (_Factored if targets.index is not None else _Weighted)(work, targets)
    total = work.exp_().sum(-1)
    losses = part.losses(total.log())
    if ignored is not None:
        losses.masked_fill_(ignored, 0.0)
    if gradient is not None and scale is not None:
        share = _number(scale if ignored is None else scale.masked_fill(ignored, 0.0), total.dtype)
        work.mul_((part.mass * share / total)[..., None])
        part.subtract(work, share)
        deliver(work, gradient)
    return losses


def left_out_here(left_out: Tensor | None) -> Tensor | None:
    """Return which rows of a chunk are left out, or None if none is; on an accelerator this is not checked."""
    if left_out is not None and left_out.device.type == "cpu" and not bool(left_out.any()):
        return None
    return left_out


def workspace(logits: Tensor, gradient: Tensor | None) -> Tensor:
    """Return the memory to work in: that of the gradient if it is wide enough, else new memory."""
    wide = accumulating(logits.dtype)
    if gradient is not None and gradient.dtype == wide:
        return gradient
    return torch.empty_like(logits, dtype=wide)


def deliver(work: Tensor, gradient: Tensor) -> None:
    """Copy the result into the gradient, rounded to its dtype, unless it was computed there."""
    if work is not gradient:
        gradient.copy_(work)


def shift(logits: Tensor, work: Tensor) -> None:
    """Write logits minus the largest logit of their row, so that no exponential overflows."""
    if logits.dtype == work.dtype:
        torch.sub(logits, _top(logits), out=work)
    else:
        work.copy_(logits).sub_(_top(work))


def _top(logits: Tensor) -> Tensor:
    # the clamp leaves a row of -inf unchanged
    return logits.amax(-1, keepdim=True).clamp_(min=torch.finfo(logits.dtype).min)


def _all_finite(values: Tensor) -> bool:
    """Return whether all values are finite; False on an accelerator, where checking would make the host wait."""
    return values.device.type == "cpu" and math.isfinite(float(values.sum()))


def _number(tensor: Tensor, dtype: torch.dtype) -> Tensor | float:
    """Return the number that a tensor repeats, if it is one number expanded on the CPU; else the tensor."""
    if tensor.device.type != "cpu" or any(tensor.stride()) or tensor.numel() == 0:
        return tensor.to(dtype)
    return float(tensor[(0,) * tensor.ndim])


class _Factored:
    """Factored targets, a few classes and a prior, on shifted logits."""

    def __init__(self, z: Tensor, targets: Targets) -> None:
        self.index, value = targets.factors()
        self.value = _number(value, z.dtype)
        self.picked = z.gather(-1, self.index)
        self.mass = self.value.sum(-1) if isinstance(self.value, Tensor) else self.value * self.index.shape[-1]
        self.rest = None
        if targets.rest is not None:
            self.rest = _number(targets.rest, z.dtype)
            self.mass = self.mass + self.rest
            self.mean, self.prior = _spread(z, targets)

    def losses(self, log_total: Tensor) -> Tensor:
        # The logits are shifted, so that no term is negative if no weight is.
        losses = log_total * self.mass - (self.picked * self.value).sum(-1)
        if self.rest is not None:
            losses.sub_(self.mean * self.rest)
        if _all_finite(losses):
            return losses
        # a class of weight 0 adds nothing even if its logit is -inf
        losses = times(as_like(self.value, self.picked), log_total[..., None] - self.picked).sum(-1)
        return losses if self.rest is None else losses + self.rest * (log_total - self.mean)

    def subtract(self, work: Tensor, scale: Tensor | float) -> None:
        if self.rest is not None:
            share = self.rest * scale
            work.sub_((share[..., None] if isinstance(share, Tensor) else share) * self.prior)
        taken = as_like(self.value, work) * (scale[..., None] if isinstance(scale, Tensor) else scale)
        work.scatter_add_(-1, self.index, taken.neg().expand(self.index.shape))


def _spread(z: Tensor, targets: Targets) -> tuple[Tensor, Tensor | float]:
    """Return the mean logit under the prior, and the prior restricted to the classes whose logit is not -inf."""
    size = z.shape[-1]
    prior = None if targets.prior is None else targets.prior.to(z) / targets.prior.to(z).sum()
    if targets.valid is None and z.device.type == "cpu":
        mean = z.sum(-1).div_(size) if prior is None else z.matmul(prior)
        if _all_finite(mean):
            return mean, 1 / size if prior is None else prior
    there = z != -torch.inf
    weights = there.to(z.dtype) if prior is None else prior * there
    weights = weights / weights.sum(-1, keepdim=True)
    return (weights * z.masked_fill(~there, 0.0)).sum(-1), weights


class _Weighted:
    """Targets with a weight for every class, from a table or dense, on shifted logits."""

    def __init__(self, z: Tensor, targets: Targets) -> None:
        self.weights = targets.gathered().to(z.dtype)
        self.mass = self.weights.sum(-1)
        self.weighted = (self.weights * z).sum(-1)
        if not _all_finite(self.weighted):
            self.weighted = times(self.weights, z).sum(-1)

    def losses(self, log_total: Tensor) -> Tensor:
        return self.mass * log_total - self.weighted

    def subtract(self, work: Tensor, scale: Tensor | float) -> None:
        work.sub_(self.weights * (scale[..., None] if isinstance(scale, Tensor) else scale))
