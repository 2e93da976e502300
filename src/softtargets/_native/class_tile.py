"""Tiles of half-precision logits, some rows and some classes: the compiled kernel, or its twin."""

import struct

import torch
from torch import Tensor

from softtargets._native.library import DTYPES, address, call, function

# the fields of `class_tile_arguments` in kernels/class_tile.c, in order
_PACKED = struct.Struct("=10q")


def tile_sums(z: Tensor, dtype: torch.dtype, top: Tensor, total: Tensor) -> Tensor:
    """Round a tile of logits to half precision, and add it to the largest logits and the sums of exponentials.

    Args:
        z: (n, classes) float32 logits, contiguous; rounded in place.
        dtype: the dtype to round to.
        top: (n,) float32, the largest logit of the earlier tiles, or the lowest number; updated.
        total: (n,) float32, the sum of ``exp(z - top)`` over the earlier tiles, or 0; updated.

    Returns:
        (n,) float64, the sums of the logits of this tile.
    """
    linear = torch.empty(len(z), dtype=torch.float64, device=z.device)
    kernel = function("tile_sums")
    if kernel is not None and _possible(z, dtype, top, total):
        call(kernel, _packed(z, dtype, top, total=total, linear=linear))
        return linear
    z.copy_(z.to(dtype))
    higher = torch.maximum(top, z.amax(-1))
    total.mul_((top - higher).exp_()).add_((z - higher[:, None]).exp_().sum(-1))
    top.copy_(higher)
    return linear.copy_(z.sum(-1))


def tile_gradient(z: Tensor, dtype: torch.dtype, top: Tensor, factor: Tensor, rest: Tensor) -> None:
    """Round a tile of logits to half precision, and replace it by ``exp(z - top) * factor - rest``.

    Args:
        z: (n, classes) float32 logits, contiguous.
        dtype: the dtype to round to.
        top: (n,) float32.
        factor: (n,) float32.
        rest: (n,) float32.
    """
    kernel = function("tile_gradient")
    if kernel is not None and _possible(z, dtype, top, factor, rest):
        call(kernel, _packed(z, dtype, top, factor=factor, rest=rest))
        return
    z.copy_(z.to(dtype))
    z.sub_(top[:, None]).exp_().mul_(factor[:, None]).sub_(rest[:, None])


def _possible(z: Tensor, dtype: torch.dtype, *rows: Tensor) -> bool:
    """Return whether the compiled kernel can take these tensors."""
    if dtype not in (torch.bfloat16, torch.float16) or z.numel() == 0:
        return False
    return all(one.is_cpu and one.dtype == torch.float32 and one.is_contiguous() for one in (z, *rows))


def _packed(
    z: Tensor,
    dtype: torch.dtype,
    top: Tensor,
    *,
    total: Tensor | None = None,
    linear: Tensor | None = None,
    factor: Tensor | None = None,
    rest: Tensor | None = None,
) -> bytes:
    most = 1 if z.numel() < 32768 else torch.get_num_threads()
    rows = (address(top), address(total), address(linear), address(factor), address(rest))
    return _PACKED.pack(*z.shape, z.data_ptr(), DTYPES[dtype], *rows, most)
