"""Launch the Triton kernels for tensors on CUDA."""

import contextlib
import functools
import importlib.util
import os
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from softtargets._native import wrong_label
from softtargets._native.library import VARIABLE
from softtargets._native.row_targets import RowTargets
from softtargets._native.row_views import view_of
from softtargets._numerics import accumulating

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
TILE = 1024  # entries of a tile that holds several rows
WIDEST = 8192  # classes of a tile that is read once; half as many in float64


def takes(z: Tensor) -> bool:
    """Return whether the kernels compute on (..., K) logits like these."""
    if not z.is_cuda or z.dtype not in DTYPES or os.environ.get(VARIABLE) == "0":
        return False
    if z.device not in _usable:
        if torch.cuda.is_current_stream_capturing():
            return False  # compiling would break the capture; a call before it decides
        _usable[z.device] = _try(z.device)
    return _usable[z.device]


def reports_labels(z: Tensor) -> bool:
    """Return whether the kernels compute on (..., K) logits like these and report labels that are out of range.

    The host does not wait for them. The row of such a label has loss NaN and a gradient of NaN, and
    :func:`check_reported` raises the error once the kernel has run.
    """
    if torch.compiler.is_compiling() or type(z) not in (Tensor, torch.nn.Parameter):
        return False
    return takes(z) and z.device in _reporting


def check_reported(z: Tensor) -> None:
    """Raise the error of a label that a kernel has found out of range, in this call or an earlier one."""
    wrong_label.check(z.device, z.shape[-1])


_usable: dict[torch.device, bool] = {}
_reporting: set[torch.device] = set()


def _try(device: torch.device) -> bool:
    """Return whether Triton can compile and launch a kernel on a device; otherwise warn with the reason.

    Triton is installed with torch, but it also needs a C compiler at runtime and a recent GPU.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        values = torch.ones(1, 2, device=device)
        scale_rows(values, torch.full((1,), 2.0, device=device))
        if values.tolist() != [[2.0, 2.0]]:
            return False
        cross_entropy_rows(
            values, LabelTargets(torch.full((1, 1), 7, device=device), None, None, -100), None, None
        ).tolist()
        if wrong_label.taken(device) == 7:
            _reporting.add(device)
        return True
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"Triton cannot be used on {device} ({reason}); torch operations are used", stacklevel=2)
        return False


class Tile(NamedTuple):
    """What one program works on: `rows` rows of `block` classes; unless `one`, the classes take several steps."""

    rows: int
    block: int
    one: bool
    warps: int


@dataclass(frozen=True, slots=True, eq=False)
class LabelTargets:
    """LabelTargets of (...) rows that are all smoothed alike: in place of RowTargets, with numbers instead of tensors.

    Args:
        index: (..., 1) int64, the labels.
        value: the weight of the label; None: 1.
        rest: the weight that is spread over the classes whose logit is not -inf; None: 0.
        ignore_index: label of a row with loss 0 and gradient 0.
    """

    index: Tensor
    value: float | None
    rest: float | None
    ignore_index: int

    prior: ClassVar[None] = None
    weights: ClassVar[None] = None
    row: ClassVar[None] = None
    valid: ClassVar[None] = None
    left_out: ClassVar[None] = None


Given = RowTargets | LabelTargets


@functools.lru_cache(maxsize=1024)
def tile(size: int, dtype: torch.dtype, class_stride: int = 1) -> Tile:
    """Return the tile for rows of `size` classes, with 8 to 16 entries per thread."""
    widest = WIDEST * 4 // accumulating(dtype).itemsize
    block = 1 << (size - 1).bit_length()
    if block > widest:
        return Tile(1, widest, False, 16)
    # where neighbours in memory are rows rather than classes, a tile has at least 32 rows if they fit
    rows = max(1, TILE // block, 1 if class_stride == 1 else min(32, widest // block))
    return Tile(rows, block, True, min(16, max(4, rows * block // 256)))


def cross_entropy_rows(
    z: Tensor, rows: Given, scale: Tensor | float | None, gradient: Tensor | None, out: Tensor | None = None
) -> Tensor:
    """Return the losses and write the gradient, as :func:`softtargets._native.cross_entropy.cross_entropy_rows`."""
    losses = z.new_empty(z.shape[:-1], dtype=accumulating(z.dtype)) if out is None else out
    return _run(z, rows, scale, gradient, out=losses)


def cross_entropy_total(
    z: Tensor, rows: Given, mean: bool, scale: Tensor | float | None, gradient: Tensor | None
) -> Tensor:
    """Return the sum or the mean, as :func:`softtargets._native.cross_entropy.cross_entropy_total`.

    Each program of the kernel writes the sum of its rows, already multiplied by their share of the mean, so that only
    the sum of these remains. The kernel has to know before how many rows are left out: the GPU counts them, if there
    may be any.
    """
    missing = None
    if mean and rows.left_out is not None:
        missing = rows.left_out.sum()
    elif mean and isinstance(rows, LabelTargets):
        missing = (rows.index == rows.ignore_index).sum()
    return _run(z, rows, scale, gradient, mean=mean, missing=missing).sum()


def _run(
    z: Tensor,
    rows: Given,
    scale: Tensor | float | None,
    gradient: Tensor | None,
    *,
    out: Tensor | None = None,
    mean: bool = False,
    missing: Tensor | None = None,
) -> Tensor:
    """Write the losses to `out` and return it, or without it return sums of losses; and write the gradient.

    With `mean`, sums and gradient are shares of a mean over the rows less those that are missing.
    """
    leading, wide = z.shape[:-1], accumulating(z.dtype)
    if z.numel() == 0:
        return z.new_empty(0, dtype=wide) if out is None else out
    dense = rows.weights if rows.row is None else None
    valid = None if rows.valid is None else rows.valid.expand(z.shape).view(torch.uint8)
    strides = tuple(None if tensor is None else tensor.stride() for tensor in (z, gradient, dense, valid))
    view = view_of(z.shape, strides, 2)
    if view is None:  # copies give rows at one stride
        result = None if gradient is None else z.new_empty(z.shape)
        losses = _run(z.contiguous(), rows, scale, result, out=out, mean=mean, missing=missing)
        if gradient is not None and result is not None:
            gradient.copy_(result)
        return losses
    read, written = view.matrix(0, z), view.matrix(1, gradient)
    weights, place = view.matrix(2, dense), (None, 0)
    if rows.weights is not None and rows.row is not None:
        weights = (rows.weights.contiguous(), 0, z.shape[-1] // view.unit, 1)
        place = (rows.row.reshape(-1).contiguous(), len(rows.weights))
    shape = tile(z.shape[-1], z.dtype, read[-1])
    programs = -(-view.rows // shape.rows)
    losses = z.new_empty(programs, dtype=wide) if out is None else out
    value_kind, *value = _per_entry(rows, wide, z.device)
    rest_kind, *rest = _per_row(rows.rest, wide, leading, z.device)
    scale_kind, *factor = _per_row(None if gradient is None else scale, wide, leading, z.device)
    with _current(z.device):
        _kernels().cross_entropy[(programs,)](
            *read,
            *written,
            losses,
            *_classes(rows.index),
            *value,
            0 if rows.index is None else rows.index.shape[-1],
            *rest,
            None if rows.prior is None else rows.prior.contiguous(),
            *weights,
            *place,
            *view.matrix(3, valid),
            None if rows.left_out is None else rows.left_out.reshape(-1).contiguous().view(torch.uint8),
            rows.ignore_index if isinstance(rows, LabelTargets) else None,
            *factor,
            missing,
            wrong_label.memory(z.device),
            view.rows,
            z.shape[-1] // view.unit,
            view.inner,
            VALUE=value_kind,
            REST=rest_kind,
            SCALE=scale_kind,
            MEAN=mean,
            EACH=out is not None,
            LOWEST=torch.finfo(wide).min,
            UNIT=view.unit,
            ROWS=shape.rows,
            BLOCK=shape.block,
            ONE=shape.one,
            num_warps=shape.warps,
            enable_fp_fusion=True,
        )
    return losses


def scale_rows(values: Tensor, grad: Tensor, expected: Tensor | float = 1.0) -> None:
    """Multiply (..., K) values in place by grad / expected, each (...) or one number; by 0 where 0 was expected.

    Rows in which the two are equal are neither read nor written, and the host does not wait to see which these are.
    """
    if values.numel() == 0:
        return
    view = view_of(values.shape, (values.stride(),), 1)
    if view is None:
        copied = values.contiguous()
        scale_rows(copied, grad, expected)
        values.copy_(copied)
        return
    matrix = view.matrix(0, values)
    shape = tile(values.shape[-1], values.dtype, matrix[-1])
    dtype, leading = accumulating(values.dtype), values.shape[:-1]
    _, *given = _per_row(grad.to(dtype), dtype, leading, values.device)
    kind, *before = _per_row(expected, dtype, leading, values.device)
    with _current(values.device):
        _kernels().scale_rows[(-(-view.rows // shape.rows),)](
            *matrix,
            *given,
            *before,
            view.rows,
            values.shape[-1] // view.unit,
            view.inner,
            EXPECTED=kind,
            UNIT=view.unit,
            ROWS=shape.rows,
            BLOCK=shape.block,
            num_warps=shape.warps,
            enable_fp_fusion=True,
        )


@functools.cache
def _kernels() -> Any:
    """Return the module of the kernels, which imports Triton."""
    from softtargets._native import triton_kernels

    return triton_kernels


def _current(device: torch.device) -> Any:
    """Return a context in which Triton launches on this device; its interpreter runs on the CPU."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _per_row(
    number: Tensor | float | None, dtype: torch.dtype, shape: torch.Size, device: torch.device
) -> tuple[int, Any, int]:
    """Return the kind of a number per row (0: None, 1: a float, 2: a tensor), the argument and its stride."""
    if number is None:
        return 0, None, 0
    if not isinstance(number, Tensor):
        if dtype != torch.float64:
            return 1, float(number), 0
        # Triton would round the number to float32
        number = torch.full((), number, dtype=dtype, device=device)
    if not any(number.stride()):
        return 2, number, 0
    flat = number.expand(shape).reshape(-1)
    return 2, flat, flat.stride(0)


def _classes(index: Tensor | None) -> tuple[Any, int, int]:
    """Return the classes of each row, and the strides from row to row and from class to class."""
    if index is None:
        return None, 0, 0
    flat = index.reshape(-1, index.shape[-1])
    return flat, flat.stride(0), flat.stride(1)


def _per_entry(rows: Given, dtype: torch.dtype, device: torch.device) -> tuple[int, Any, int, int]:
    """Return the kind of the weights of the classes, as :func:`_per_row`, the argument and its two strides."""
    value, index = rows.value, rows.index
    if value is None or index is None or not isinstance(value, Tensor):
        kind, number, _ = _per_row(value, dtype, torch.Size(), device)
        return kind, number, 0, 0
    if not any(value.stride()):
        return 2, value, 0, 0
    flat = value.expand(index.shape).reshape(-1, index.shape[-1])
    return 2, flat, flat.stride(0), flat.stride(1)
