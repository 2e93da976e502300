"""Rows in chunks that fit the processor's cache, for computations in torch operations."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from softtargets._numerics import accumulating

Index = tuple[Any, ...]  # slices, ints or an ellipsis
EVERYTHING: Index = (...,)

# Bytes of a chunk in the accumulating dtype: 2 MB stay in the second-level cache; accelerators prefer few large chunks.
CHUNK_ON_CPU = 2**21
CHUNK_ELSEWHERE = 2**25

# (chunk of the logits, which rows these are, scale, gradient) -> losses
Chunk = Callable[[Tensor, Index, Tensor | None, Tensor | None], Tensor]


def by_chunks(chunk: Chunk, z: Tensor, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
    """Return the losses of all rows of (..., K) logits and, given a scale, write the gradient.

    Args:
        chunk: computes the losses of one chunk of rows, and the gradient of ``sum(scale * losses)`` if it gets one.
        z: (..., K) float logits.
        scale: (...) of the accumulating dtype, or one number for all rows; None: no gradient.
        gradient: of the shape and dtype of the logits; it may be the logits themselves. None: no gradient.
    """
    if scale is not None and not isinstance(scale, Tensor):
        scale = torch.full((), scale, dtype=accumulating(z.dtype), device=z.device).expand(z.shape[:-1])
    if z.numel() <= _elements_of_a_chunk(z):
        losses = chunk(z, EVERYTHING, scale, gradient)
        return losses.clone() if losses._is_view() else losses
    losses = z.new_empty(z.shape[:-1], dtype=accumulating(z.dtype))
    for i in chunks(z):
        losses[i] = chunk(z[i], i, None if scale is None else scale[i], None if gradient is None else gradient[i])
    return losses


def chunks(logits: Tensor) -> Iterator[Index]:
    """Yield indices over the leading dimensions of (..., K) logits that cut them into chunks."""
    return cut(tuple(logits.shape), _elements_of_a_chunk(logits))


def _elements_of_a_chunk(logits: Tensor) -> int:
    wide = accumulating(logits.dtype)
    if logits.device.type != "cpu":
        return CHUNK_ELSEWHERE // wide.itemsize
    # half precision is summed in separate memory, which shares the cache
    return CHUNK_ON_CPU // wide.itemsize // (1 if wide == logits.dtype else 2)


def cut(shape: tuple[int, ...], budget: int) -> Iterator[Index]:
    """Yield indices that cut tensors (..., K) of this shape into chunks of at most `budget` elements, or of one row."""
    if len(shape) < 2:
        yield EVERYTHING
        return
    inner = torch.Size(shape[1:]).numel()
    if inner > budget and len(shape) > 2:
        for i in range(shape[0]):
            yield from ((i, *rest) for rest in cut(shape[1:], budget))
        return
    rows = max(1, budget // max(1, inner))
    for start in range(0, shape[0], rows):
        yield (slice(start, start + rows),)


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
        torch.sub(logits, top(logits), out=work)
    else:
        work.copy_(logits)
        work.sub_(top(work))


def top(logits: Tensor) -> Tensor:
    """Return the largest logit of each row, (..., 1), finite so that a row of -inf is unchanged by subtracting it."""
    return logits.amax(-1, keepdim=True).clamp_(min=torch.finfo(logits.dtype).min)


def number(tensor: Tensor, dtype: torch.dtype) -> Tensor | float:
    """Return the number that a tensor repeats, if it is one number expanded on the CPU; else the tensor."""
    if tensor.device.type != "cpu" or any(tensor.stride()) or tensor.numel() == 0:
        return tensor.to(dtype)
    return float(tensor[(0,) * tensor.ndim])
