"""Losses of the probability of the label on one chunk of rows, in torch operations."""

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._native.chunks import deliver, shift, workspace
from softtargets._native.labels import ODDS, LabelProbability
from softtargets._numerics import as_like, rows_of


def twin(logits: Tensor, rows: LabelProbability, scale: Tensor | None = None, gradient: Tensor | None = None) -> Tensor:
    """Return the loss of every row of a chunk, and write the gradient of ``sum(scale * losses)``.

    Args:
        logits: (..., K) float.
        rows: the labels and the loss.
        scale: (...) of the accumulating dtype.
        gradient: (..., K) of the dtype of the logits; it may be the logits themselves. None: compute the losses only.

    Returns:
        (...) of the accumulating dtype.
    """
    left_out, labels = None, rows.labels
    if rows.ignore_index is not None:
        left_out = labels == rows.ignore_index
        labels, logits = labels.masked_fill(left_out, 0), logits.masked_fill(left_out[..., None], 0.0)
        scale = None if scale is None else scale.masked_fill(left_out, 0.0)
    if rows.columns is None:
        losses = _of_odds(logits, labels, rows, scale, gradient)
    else:
        losses = _forward_corrected(logits, labels, rows.columns, scale, gradient)
    return losses if left_out is None else losses.masked_fill(left_out, 0.0)


def _of_odds(
    logits: Tensor, labels: Tensor, rows: LabelProbability, scale: Tensor | None, gradient: Tensor | None
) -> Tensor:
    labels, work = labels[..., None], workspace(logits, gradient)
    label = work.copy_(logits).gather(-1, labels)
    work.scatter_(-1, labels, -torch.inf)
    top = work.amax(-1, keepdim=True)
    top.masked_fill_(~top.isfinite(), 0.0)
    total = work.sub_(top).exp_().sum(-1, keepdim=True)
    odds = (label - top - total.log()).clamp_(max=torch.finfo(work.dtype).max)[..., 0]
    losses, slope = _value_and_slope(odds, rows, gradient is not None)
    if gradient is not None and scale is not None:
        scale = (scale if slope is None else scale * slope)[..., None] * (total > 0)
        work.mul_(-scale / total.clamp(min=1.0)).scatter_(-1, labels, scale)  # the largest of the others adds 1
        deliver(work, gradient)
    return losses


def _value_and_slope(odds: Tensor, rows: LabelProbability, sloped: bool) -> tuple[Tensor, Tensor | None]:
    """Return the function of the log-odds and its derivative, computed in float64; no derivative for the log-odds."""
    if rows.loss is None or rows.loss is ODDS:
        return odds, None
    # devices without float64 compute it in float32
    exact = odds if odds.device.type == "mps" else odds.double()
    settings = [as_like(setting, exact) for setting in rows.settings]
    if not sloped:
        return rows.loss.formula(exact, *settings).to(odds.dtype), None
    with torch.enable_grad():
        exact = exact.detach().requires_grad_()
        values = rows.loss.formula(exact, *settings)
        (slope,) = torch.autograd.grad(values.sum(), exact)
    return values.detach().to(odds.dtype), slope.to(odds.dtype)


def _forward_corrected(
    logits: Tensor, labels: Tensor, columns: Tensor, scale: Tensor | None, gradient: Tensor | None
) -> Tensor:
    work = workspace(logits, gradient)
    weights = rows_of(columns.to(work.dtype), labels)
    kept = logits.clone() if gradient is not None and gradient.data_ptr() == logits.data_ptr() else logits
    shift(logits, work)
    total = work.exp_().sum(-1)
    joint = weights.mul_(work)
    observed = joint.sum(-1)
    losses = total.log() - observed.log()
    # Where the classes that explain the label have almost vanished, their exponentials have lost precision.
    faint = observed < 1e-20
    if faint.device.type != "cpu" or bool(faint.any()):
        weights = rows_of(columns.to(work.dtype), labels)
        log_joint = kept.to(work.dtype).log_softmax(-1) + weights.log()
        losses = torch.where(faint, -log_joint.logsumexp(-1), losses)
        none = (log_joint == -torch.inf).all(-1, keepdim=True)
        shares = functional.normalize(weights, p=1.0, dim=-1)
        joint = torch.where(faint[..., None], torch.where(none, shares, log_joint.softmax(-1)), joint)
        observed = observed.masked_fill(faint, 1.0)
    if gradient is not None and scale is not None:
        work.mul_((scale / total)[..., None]).sub_(joint.mul_((scale / observed)[..., None]))
        deliver(work, gradient)
    return losses
