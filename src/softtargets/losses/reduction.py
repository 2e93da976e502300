"""Reduction of one loss per example to a mean or a sum."""

from typing import Literal, get_args

import torch
from torch import Tensor

from softtargets._checks import check_entries, values_visible
from softtargets._errors import fail, unknown

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS = get_args(Reduction)

__all__ = ["reduce"]


def reduce(
    losses: Tensor,
    reduction: Reduction = "mean",
    *,
    weight: Tensor | None = None,
    normalizer: float | Tensor | None = None,
) -> Tensor:
    """Reduce one loss per example.

    mean = sum_i weight_i * loss_i / normalizer, where normalizer is sum_i weight_i unless it is given

    Args:
        losses: (...) float.
        reduction: "mean", "sum" or "none".
        weight: (...) non-negative float, one per example; 0 leaves an example out, whatever its loss; None: 1 each.
        normalizer: positive, or 0 where nothing is counted, which gives 0; given for gradient accumulation and token
            counts, so that the mean over micro-batches is the mean over the batch. Only with "mean".

    Returns:
        () for "mean" and "sum", else (...). Where all weights are 0 the mean is 0, never nan, with zero gradient.

    Raises:
        ValueError: for another reduction, a weight that is negative or of another shape, a normalizer that is nan, a
            negative number or without "mean"; a tensor may be the negative sum of weights as torch has them.
    """
    if reduction not in REDUCTIONS:
        raise unknown("reduction", reduction, REDUCTIONS)
    if normalizer is not None and reduction != "mean":
        raise fail("normalizer", "None unless reduction='mean'", normalizer, "divide the result yourself")
    _check_normalizer(normalizer)
    if weight is not None:
        if weight.shape != losses.shape:
            raise fail("weight", f"shape {tuple(losses.shape)}", tuple(weight.shape), "give one weight per example")
        check_entries("weight", weight, lambda w: w >= 0, "at least 0", "put the sign into the target")
        weight = weight.to(losses.dtype)
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


def upstream(
    like: Tensor, reduction: str, *, weight: Tensor | None = None, normalizer: float | Tensor | None = None
) -> Tensor | None:
    """Return the gradient that :func:`reduce` hands to each loss, to the bit, before there is one; None: not known.

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


def _check_normalizer(normalizer: float | Tensor | None) -> None:
    if normalizer is None or (isinstance(normalizer, Tensor) and not values_visible(normalizer)):
        return
    # A sum of class weights may be negative, since torch takes negative ones; a count that is given as a number is not.
    if normalizer != normalizer or (not isinstance(normalizer, Tensor) and normalizer < 0):
        got = f"{float(normalizer):g}"
        raise fail("normalizer", "positive, or 0 where nothing is counted", got, "pass the number of examples")
