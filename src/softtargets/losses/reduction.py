"""Reduction of one loss per example to a mean or a sum."""

import numbers
from typing import Literal, get_args

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_floating, check_mask, values_visible
from softtargets._errors import fail, fail_type, unknown

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS = get_args(Reduction)

__all__ = ["reduce"]


def reduce(
    losses: Tensor,
    reduction: Reduction = "mean",
    *,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    normalizer: float | Tensor | None = None,
) -> Tensor:
    """Reduce one loss per example to a mean or a sum.

    mean = sum_i weight_i * loss_i / normalizer, where normalizer is sum_i weight_i unless it is given

    A tensor of losses does not record which examples were ignored: an ignored example has loss 0, like an example that
    is predicted with certainty. Use the ``reduction=`` of the loss itself, which does not count ignored examples, or
    pass `mask`.

    Args:
        losses: (...) float.
        reduction: "mean", "sum" or "none".
        mask: (...) bool, True for an example to include, for instance ``labels != -100``; None: include all.
        weight: (...) float, >= 0, one weight per example; None: every example has weight 1. An example of weight 0 is
            left out, even if its loss is not finite.
        normalizer: number or () tensor that "mean" divides by, >= 0; 0 gives a mean of 0. With the number of examples
            or tokens of the whole batch, the means over micro-batches add up to the mean over the batch.

    Returns:
        () float for "mean" and "sum", else (...) float. If no example counts, the mean is 0 with zero gradient.

    Raises:
        ValueError: if the reduction is unknown, `mask` or `weight` is not of the shape of the losses, a weight is
            negative, or the normalizer is NaN, a negative number, or given without "mean". (A normalizer that is a
            tensor may be negative: it may be the sum of negative class weights, which torch allows.)
        TypeError: if losses are not a floating-point tensor or mask is not bool.

    Example:
        >>> losses = torch.tensor([1.0, 0.0, 3.0])
        >>> float(reduce(losses, mask=torch.tensor([True, False, True])))
        2.0
    """
    check_reduction(reduction)
    check_floating("losses", losses)
    if normalizer is not None and reduction != "mean":
        raise fail("normalizer", "None unless reduction='mean'", normalizer, "divide the result yourself")
    _check_normalizer(normalizer)
    if mask is not None:
        check_mask(mask, tuple(losses.shape))
    weight = _counted_weight(losses, mask, weight)
    if weight is not None:
        losses = torch.where(weight == 0, torch.zeros_like(losses), losses) * weight
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    if normalizer is None:
        normalizer = losses.numel() if weight is None else weight.sum()
    if isinstance(normalizer, Tensor):
        return torch.where(normalizer == 0, total * 0, total / torch.where(normalizer == 0, 1, normalizer))
    return total / normalizer if normalizer else total * 0


def check_reduction(reduction: str) -> None:
    """Require the name of a reduction."""
    if reduction not in REDUCTIONS:
        raise unknown("reduction", str(reduction), REDUCTIONS)


def upstream(
    like: Tensor, reduction: str, *, weight: Tensor | None = None, normalizer: float | Tensor | None = None
) -> Tensor | None:
    """Return the gradient that :func:`reduce` passes to each loss, bit for bit; None if it is not known in advance.

    Args:
        like: of the shape, dtype and device of the losses.
        reduction: as in :func:`reduce`.
        weight: as in :func:`reduce`.
        normalizer: as in :func:`reduce`.
    """
    if reduction == "none":
        return None
    one = torch.ones((), dtype=like.dtype, device=like.device)
    weight = None if weight is None else weight.to(like.dtype)
    if reduction == "mean" and normalizer is None:
        normalizer = max(1, like.numel()) if weight is None else weight.sum()
    if normalizer is not None:
        one = (
            one / torch.where(normalizer == 0, 1, normalizer)
            if isinstance(normalizer, Tensor)
            else one / (normalizer or 1)
        )
    return one.expand(like.shape) if weight is None else one * weight


def _counted_weight(losses: Tensor, mask: Tensor | None, weight: Tensor | None) -> Tensor | None:
    """Return the weight of each example in the dtype of the losses, 0 outside the mask; None if all have weight 1."""
    if weight is None:
        return None if mask is None else mask.to(losses.dtype)
    if not isinstance(weight, Tensor):
        raise fail_type("weight", "a tensor with one weight per example", type(weight).__name__, "use torch.tensor")
    if weight.shape != losses.shape:
        raise fail("weight", f"shape {tuple(losses.shape)}", tuple(weight.shape), "give one weight per example")
    check_entries("weight", weight, lambda w: w >= 0, "at least 0", "put negative weights in the targets")
    weight = weight.to(losses.dtype)
    return weight if mask is None else weight.masked_fill(~mask, 0.0)


def _check_normalizer(normalizer: float | Tensor | None) -> None:
    if normalizer is None:
        return
    if not isinstance(normalizer, Tensor | numbers.Real) or isinstance(normalizer, bool):
        raise fail_type("normalizer", "a number", type(normalizer).__name__, "pass the number of examples")
    if isinstance(normalizer, Tensor) and normalizer.ndim > 0:
        required, got = "a number or a tensor without dimensions", f"shape {tuple(normalizer.shape)}"
        raise fail("normalizer", required, got, "pass normalizer.sum(), or weight= for one weight per example")
    if isinstance(normalizer, Tensor) and not values_visible(normalizer):
        return
    # A sum of class weights may be negative, because torch allows negative class weights. A count may not.
    if normalizer != normalizer or (not isinstance(normalizer, Tensor) and normalizer < 0):
        got = f"{float(normalizer):g}"
        raise fail("normalizer", "positive, or 0 if nothing is counted", got, "pass the number of examples")
