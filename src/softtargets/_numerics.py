"""Precision, log-space helpers and the one way to broadcast a number over examples."""

import math

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return half-precision tensors as float32, others unchanged: sums over classes need the bits."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def shifted(logits: Tensor) -> Tensor:
    """Return logits less their largest, so that no exponential overflows; a row of -inf is left as it is."""
    top = logits.detach().amax(-1, keepdim=True)
    return logits - torch.where(torch.isfinite(top), top, torch.zeros_like(top))


def times(weight: Tensor, value: Tensor) -> Tensor:
    """Multiply with 0 * inf = 0: a class without weight has no part in a sum, whatever its logit.

    The inner where keeps the infinity out of the backward pass too.
    """
    nothing = weight == 0
    return torch.where(nothing, torch.zeros_like(value), weight * torch.where(nothing, torch.zeros_like(value), value))


def log_of(value: float | Tensor) -> float | Tensor:
    """Return the natural logarithm of a number or a tensor, -inf at 0."""
    if isinstance(value, Tensor):
        return value.log()
    return math.log(value) if value > 0 else -math.inf


def as_like(value: float | Tensor, like: Tensor) -> Tensor:
    """Return `value` as a tensor of the dtype and device of `like`, keeping its gradient."""
    if isinstance(value, Tensor):
        return value.to(dtype=like.dtype, device=like.device)
    return torch.full((), value, dtype=like.dtype, device=like.device)
