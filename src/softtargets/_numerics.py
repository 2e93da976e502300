"""Precision, log-space helpers and the one way to broadcast a number over examples."""

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return half-precision tensors as float32, others unchanged: sums over classes need the bits."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def sum_of_rows(values: Tensor) -> Tensor:
    """Return the row sums, (n,), of (n, K) values; a single row gives the same bits as it does among others."""
    # torch may split a single sum between threads, which changes the order of the additions.
    return values.sum(1) if len(values) > 1 else values.expand(2, -1).sum(1)[:1]


def shifted(logits: Tensor) -> Tensor:
    """Return logits minus their largest, so that no exponential overflows; a row of -inf is unchanged."""
    top = logits.detach().amax(-1, keepdim=True)
    return logits - torch.where(torch.isfinite(top), top, torch.zeros_like(top))


def times(weight: Tensor, value: Tensor) -> Tensor:
    """Multiply with 0 * inf = 0: a class of weight 0 adds nothing to a sum, even if its logit is infinite.

    Replacing the infinity, rather than the product, keeps it out of the backward pass too, and a weight of 0 with a
    finite value keeps its gradient.
    """
    return weight * value.masked_fill((weight == 0) & value.isinf(), 0.0)


def rows_of(matrix: Tensor, index: Tensor) -> Tensor:
    """Return ``matrix[index]``, (..., K), also where vmap leaves a single index per example."""
    return matrix.index_select(0, index.reshape(-1)).reshape((*index.shape, *matrix.shape[1:]))


def scaled(tensor: Tensor, factor: float | Tensor) -> Tensor:
    """Return their product; where one number is expanded to all of the tensor, it stays one number in memory."""
    if isinstance(factor, Tensor) or tensor.numel() == 0 or any(tensor.stride()):
        return factor * tensor
    return (factor * tensor[(0,) * tensor.ndim]).expand(tensor.shape)


def as_like(value: float | Tensor, like: Tensor) -> Tensor:
    """Return `value` as a tensor of the dtype and device of `like`, keeping its gradient."""
    if isinstance(value, Tensor):
        return value.to(dtype=like.dtype, device=like.device)
    return torch.full((), value, dtype=like.dtype, device=like.device)


def accumulating(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which sums over classes are computed: float32 for half precision, else the same."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
