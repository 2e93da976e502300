"""Launch the Triton kernels for tensors on CUDA."""

import contextlib
import importlib.util
import math
import os
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softtargets._native.layout import Layout, layout_of
from softtargets._native.library import VARIABLE
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import accumulating

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
TILE = 1024  # entries of a tile that holds several rows
WIDEST = 8192  # classes of a tile that is read once; half as many in float64
UNIT = 16  # entries, the most that a thread reads at a time


def takes(z: Tensor) -> bool:
    """Return whether the kernels compute on (..., K) logits like these."""
    if not z.is_cuda or z.dtype not in DTYPES or os.environ.get(VARIABLE) == "0":
        return False
    if z.device not in _usable:
        if torch.cuda.is_current_stream_capturing():
            return False  # compiling would break the capture; a call before it decides
        _usable[z.device] = _try(z.device)
    return _usable[z.device]


_usable: dict[torch.device, bool] = {}


def _try(device: torch.device) -> bool:
    """Return whether Triton can compile and launch a kernel on a device; otherwise warn with the reason.

    Triton is installed with torch, but it also needs a C compiler at runtime and a recent GPU.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        values = torch.ones(1, 2, device=device)
        scale_rows(values, torch.full((1,), 2.0, device=device))
        return values.tolist() == [[2.0, 2.0]]
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"Triton cannot be used on {device} ({reason}); torch operations are used", stacklevel=2)
        return False


class Matrix(NamedTuple):
    """A tensor seen as groups of rows, or None, and its strides; those of groups and rows are in units."""

    tensor: Any = None
    outer_stride: int = 0
    inner_stride: int = 0
    class_stride: int = 0

    def in_units(self, unit: int) -> "Matrix":
        """Return it with other units."""
        return self._replace(outer_stride=self.outer_stride // unit, inner_stride=self.inner_stride // unit)


class Tile(NamedTuple):
    """What one program works on: `rows` rows of `block` classes; unless `one`, the classes take several steps."""

    rows: int
    block: int
    one: bool
    warps: int


def tile(size: int, dtype: torch.dtype, class_stride: int = 1) -> Tile:
    """Return the tile for rows of `size` classes, with 8 to 16 entries per thread."""
    widest = WIDEST * 4 // accumulating(dtype).itemsize
    block = 1 << (size - 1).bit_length()
    if block > widest:
        return Tile(1, widest, False, 16)
    # where neighbours in memory are rows rather than classes, a tile has at least 32 rows if they fit
    rows = max(1, TILE // block, 1 if class_stride == 1 else min(32, widest // block))
    return Tile(rows, block, True, min(16, max(4, rows * block // 256)))


def cross_entropy_rows(z: Tensor, rows: RowTargets, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
    """Return the losses and write the gradient, as :func:`softtargets._native.cross_entropy.cross_entropy_rows`."""
    size = z.shape[-1]
    losses = z.new_empty(z.shape[:-1], dtype=accumulating(z.dtype))
    if z.numel() == 0:
        return losses
    layout = _layout(z, gradient)
    if layout is None:  # copies give rows at one stride
        result = None if gradient is None else z.new_empty(z.shape)
        losses = cross_entropy_rows(z.contiguous(), rows, scale, result)
        if gradient is not None and result is not None:
            gradient.copy_(result)
        return losses
    matrices = (_as(layout, z), _as(layout, gradient), _weights(rows, layout), _valid(rows.valid, z, layout))
    unit = _unit(size, *matrices)
    read, written, weights, valid = (one.in_units(unit) for one in matrices)
    shape = tile(size, z.dtype, read[-1])
    rest_kind, *rest = _per_row(rows.rest, losses)
    scale_kind, *factor = _per_row(None if gradient is None else scale, losses)
    with _current(z.device):
        _kernels().cross_entropy[(-(-layout.rows // shape.rows),)](
            *read,
            *written,
            losses,
            *_entries(rows, layout.rows),
            *rest,
            None if rows.prior is None else rows.prior.contiguous(),
            *weights,
            *((None, 0) if rows.row is None else (rows.row.reshape(-1).contiguous(), len(weights.tensor))),
            *valid,
            None if rows.left_out is None else rows.left_out.reshape(-1).contiguous().view(torch.uint8),
            *factor,
            layout.rows,
            size // unit,
            _inner(layout),
            REST=rest_kind,
            SCALE=scale_kind,
            LOWEST=torch.finfo(losses.dtype).min,
            UNIT=unit,
            ROWS=shape.rows,
            BLOCK=shape.block,
            ONE=shape.one,
            num_warps=shape.warps,
            enable_fp_fusion=True,
        )
    return losses


def scale_rows(values: Tensor, factor: Tensor) -> None:
    """Multiply (..., K) values by (...) factors in place.

    Rows whose factor is 1 are neither read nor written, and the host does not wait to see which these are.
    """
    layout = layout_of(values)
    if layout is None or values.numel() == 0:
        values.mul_(factor[..., None])
        return
    shape = tile(values.shape[-1], values.dtype, layout.class_stride)
    flat = factor.to(accumulating(values.dtype)).reshape(-1)
    matrix = _as(layout, values)
    unit = _unit(values.shape[-1], matrix)
    with _current(values.device):
        _kernels().scale_rows[(-(-layout.rows // shape.rows),)](
            *matrix.in_units(unit),
            flat,
            flat.stride(0),
            layout.rows,
            values.shape[-1] // unit,
            _inner(layout),
            UNIT=unit,
            ROWS=shape.rows,
            BLOCK=shape.block,
            num_warps=shape.warps,
            enable_fp_fusion=True,
        )


def _kernels() -> Any:
    """Return the module of the kernels, which imports Triton."""
    from softtargets._native import triton_kernels

    return triton_kernels


def _layout(z: Tensor, gradient: Tensor | None) -> Layout | None:
    """Return groups of rows in which both tensors can be seen without a copy, or None."""
    both = [z] if gradient is None else [z, gradient]
    for layout in (layout_of(tensor) for tensor in both):
        if layout is not None and all(_seen(layout, tensor) is not None for tensor in both):
            return layout
    return None


def _current(device: torch.device) -> Any:
    """Return a context in which Triton launches on this device; its interpreter runs on the CPU."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _inner(layout: Layout) -> int | None:
    """Return the number of rows in a group, or None if there is one group."""
    return None if layout.inner == layout.rows else layout.inner


def _per_row(number: Tensor | float | None, losses: Tensor) -> tuple[int, Any, int]:
    """Return the kind of a number per row (0: None, 1: a float, 2: a tensor), the argument and its stride."""
    if number is None:
        return 0, None, 0
    if not isinstance(number, Tensor):
        if losses.dtype == torch.float32:
            return 1, float(number), 0
        # Triton would round the number to float32
        number = torch.full((), number, dtype=losses.dtype, device=losses.device)
    flat = number.expand(losses.shape).reshape(-1)
    return 2, flat, flat.stride(0)


def _entries(rows: RowTargets, count: int) -> tuple[Any, ...]:
    """Return the classes and their weights, each with two strides, and their number per row."""
    if rows.index is None:
        return (None, 0, 0, None, 0, 0, 0)
    index = rows.index.reshape(count, rows.index.shape[-1])
    if rows.value is None:
        return (index, *index.stride(), None, 0, 0, index.shape[1])
    value = rows.value.expand(rows.index.shape).reshape(index.shape)
    return (index, *index.stride(), value, *value.stride(), index.shape[1])


def _weights(rows: RowTargets, layout: Layout) -> Matrix:
    """Return the weights of all classes, per row or as a table."""
    if rows.weights is None or rows.row is None:
        return _as(layout, rows.weights)
    return Matrix(rows.weights, 0, *rows.weights.stride())


def _valid(valid: Tensor | None, z: Tensor, layout: Layout) -> Matrix:
    """Return the mask of classes, with strides 0 from row to row if there is one mask for all."""
    if valid is None or valid.ndim > 1:
        return _as(layout, None if valid is None else valid.expand(z.shape).view(torch.uint8))
    return Matrix(valid.view(torch.uint8), 0, 0, valid.stride(0))


def _as(layout: Layout, tensor: Tensor | None) -> Matrix:
    """Return (..., K) seen as these groups of rows; a copy if its rows lie otherwise."""
    if tensor is None:
        return Matrix()
    seen = _seen(layout, tensor)
    if seen is None:
        seen = tensor.reshape(_groups(layout, tensor))
    return Matrix(seen, *seen.stride())


def _unit(size: int, *matrices: Matrix) -> int:
    """Return the largest unit of which the number of classes and the strides of rows are multiples."""
    return math.gcd(UNIT, size, *(stride for matrix in matrices for stride in matrix[1:3]))


def _seen(layout: Layout, tensor: Tensor) -> Tensor | None:
    """Return a view of (..., K) as groups of rows, or None if there is none."""
    try:
        return tensor.view(_groups(layout, tensor))
    except RuntimeError:
        return None


def _groups(layout: Layout, tensor: Tensor) -> tuple[int, int, int]:
    return layout.rows // layout.inner, layout.inner, tensor.shape[-1]
