"""Matrix products of half-precision factors that are summed in float32 on CUDA."""

import functools

import torch
from torch import Tensor

# With few rows per chunk, reading and writing the float32 sum takes longer than the product.
FEWEST = 64


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left @ right`` to a total on CUDA.

    Args:
        total: (M, N) of the accumulating dtype of the factors.
        left: (M, H).
        right: (H, N) of the dtype of `left`.
    """
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    elif _in_float32(left.device, left.dtype):
        torch.ops.aten.addmm.dtype_out(total, left, right, total.dtype, out=total)
    else:
        total.add_(left @ right)


def write_product(result: Tensor, left: Tensor, right: Tensor) -> None:
    """Write ``left @ right`` to memory on CUDA; shapes and dtypes as in :func:`add_product`."""
    if result.dtype == left.dtype:
        torch.mm(left, right, out=result)
    elif _in_float32(left.device, left.dtype):
        torch.ops.aten.mm.dtype_out(left, right, result.dtype, out=result)
    else:
        result.copy_(left @ right)


def rows_of_a_chunk(rows: int, width: int, half: bool) -> int:
    """Return how many rows of a linear layer's input make a chunk of logits on CUDA.

    For each chunk the gradient of the weight, K x width in float32, is read and written. The chunk takes at most half
    of the memory of that gradient, a quarter in float32, or 1/16 of the logits, 1/32 in float32. The numbers depend on
    the shapes alone and not on the free memory, so that the same call gives the same bits.

    Args:
        rows: the number of rows.
        width: the width of the input.
        half: whether the factors are half precision.
    """
    return max(FEWEST, -(-rows // (16 if half else 32)), width if half else width // 4)


@functools.cache
def _in_float32(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether this version of torch writes and adds half-precision products in float32, by trying it."""
    total, factor = torch.ones(8, 8, device=device), torch.ones(8, 8, dtype=dtype, device=device)
    try:
        torch.ops.aten.addmm.dtype_out(total, factor, factor, total.dtype, out=total)
        torch.ops.aten.mm.dtype_out(factor, factor, total.dtype, out=total)
    except (
        AttributeError,
        RuntimeError,
    ):  # before torch 2.8 there is no such overload; later it refuses a float32 total
        return False
    return True
