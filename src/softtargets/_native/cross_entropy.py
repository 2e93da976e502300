"""Cross entropy of rows of logits and its gradient: the compiled kernel, that of Triton on CUDA, or their twin."""

import struct

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._native import on_cuda
from softtargets._native.chunks import by_chunks
from softtargets._native.cross_entropy_twin import twin
from softtargets._native.layout import Layout, layout_of, on_rows, repeated
from softtargets._native.library import DTYPES, address, call, function
from softtargets._native.on_cuda import LabelTargets
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import accumulating

# the fields of `cross_entropy_arguments` in kernels/cross_entropy.h, in order
_PACKED = struct.Struct("=9q5qd2qd14qd4q")


def cross_entropy_rows(
    z: Tensor,
    rows: RowTargets | LabelTargets,
    scale: Tensor | float | None,
    gradient: Tensor | None,
    out: Tensor | None = None,
) -> Tensor:
    """Return the cross entropy of every row and, given a scale, write the gradient of ``sum(scale * losses)``.

    Args:
        z: (..., K) float logits, on any device. Autograd must not be recording.
        rows: the targets, with classes in [0, K) except where they are left out; on CUDA also labels, for logits that
            :func:`softtargets._native.on_cuda.takes`.
        scale: (...) of the accumulating dtype, or one number for all rows; None: no gradient.
        gradient: of the shape, dtype and strides of the logits; it may be the logits themselves. None: no gradient.
        out: (...) of the accumulating dtype, contiguous: memory for the losses; None: new memory.

    Returns:
        (...) of the accumulating dtype, nats; 0 for a row that is left out.
    """
    if isinstance(rows, LabelTargets) or _on_cuda(z, rows):
        losses = on_cuda.cross_entropy_rows(z, rows, scale, gradient, out)
        on_cuda.check_reported(z)
        return losses
    if not _possible(z, rows):
        losses = by_chunks(lambda *chunk: twin(chunk[0], rows.at(chunk[1]), *chunk[2:]), z, scale, gradient)
        return losses if out is None else out.copy_(losses)
    losses = torch.empty(z.shape[:-1], dtype=accumulating(z.dtype)) if out is None else out
    _run(z, rows, scale, gradient, losses=losses)
    return losses


def cross_entropy_total(
    z: Tensor, rows: RowTargets | LabelTargets, mean: bool, scale: Tensor | float | None, gradient: Tensor | None
) -> Tensor:
    """Return the sum of the losses of :func:`cross_entropy_rows`, or their mean, (); 0 if every row is left out.

    Args:
        z: as in :func:`cross_entropy_rows`.
        rows: as in :func:`cross_entropy_rows`.
        mean: divide by the number of rows that are not left out.
        scale: () or a number: the gradient of ``scale * result`` is written; None: no gradient.
        gradient: as in :func:`cross_entropy_rows`.
    """
    if isinstance(rows, LabelTargets) or _on_cuda(z, rows):
        total = on_cuda.cross_entropy_total(z, rows, mean, scale, gradient)
        on_cuda.check_reported(z)
        return total
    if not _possible(z, rows):
        divisor = torch.ones((), dtype=accumulating(z.dtype), device=z.device)
        if mean and rows.left_out is not None:
            divisor = (~rows.left_out).sum().clamp(min=1).to(divisor.dtype)
        elif mean:
            divisor = divisor * max(1, z.shape[:-1].numel())
        each = None if scale is None else (scale / divisor).expand(z.shape[:-1])
        return cross_entropy_rows(z, rows, each, gradient).sum() / divisor
    total = torch.empty((), dtype=accumulating(z.dtype))
    _run(z, rows, scale if scale is None else float(scale), gradient, total=total, mean=mean)
    return total


def label_losses(
    z: Tensor, labels: Tensor, smoothing: float, scale: float | None, gradient: Tensor | None
) -> Tensor | None:
    """Return the smoothed cross entropies of labels, all of them counted; None if the kernel cannot compute them.

    The labels are checked in the same pass. If one is out of range, None is returned and nothing is written.

    Args:
        z: (..., K) float logits.
        labels: (...) int64.
        smoothing: weight that is spread uniformly over the classes.
        scale: the gradient of ``scale * sum(losses)`` is written.
        gradient: of the shape, dtype and strides of the logits; None: no gradient.
    """
    losses = torch.empty(labels.shape, dtype=accumulating(z.dtype))
    return losses if _labels(z, labels, smoothing, scale, gradient, losses.data_ptr(), 0, False, 0, 0) else None


def label_total(
    z: Tensor,
    labels: Tensor,
    smoothing: float,
    ignore_index: int,
    scale: Tensor | float | None,
    mean: bool,
    gradient: Tensor | None,
) -> Tensor | None:
    """Return the sum of the smoothed cross entropies of labels, or their mean; None if the kernel cannot compute it.

    The labels are checked in the same pass. If one is out of range, None is returned and nothing is written.

    Args:
        z: (..., K) float logits.
        labels: (...) int64.
        smoothing: weight that is spread uniformly over the classes.
        ignore_index: label of a row to leave out.
        scale: the gradient of ``scale * result`` is written.
        mean: divide by the number of rows that are not left out.
        gradient: of the shape, dtype and strides of the logits; None: no gradient.
    """
    total = torch.empty((), dtype=accumulating(z.dtype))
    done = _labels(z, labels, smoothing, scale, gradient, 0, total.data_ptr(), mean, 1, ignore_index)
    return total if done else None


def _labels(
    z: Tensor,
    labels: Tensor,
    smoothing: float,
    scale: Tensor | float | None,
    gradient: Tensor | None,
    losses: int,
    total: int,
    mean: bool,
    ignore: int,
    ignore_index: int,
) -> bool:
    kernel, classes = function("cross_entropy"), z.shape[-1]
    if kernel is None or not labels.is_contiguous():
        return False
    number = z.numel() // classes
    layout = (number, number, 0, classes, 1) if z.is_contiguous() else layout_of(z)
    if layout is None or (gradient is not None and gradient.stride() != z.stride()):
        return False
    packed = _PACKED.pack(
        number, classes, z.data_ptr(), address(gradient), DTYPES[z.dtype], *layout[1:],
        labels.data_ptr(), 1, 0, 0, 0, 1.0 - smoothing,
        0, 0, smoothing,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ignore, ignore_index, 0, 0, 1.0 if scale is None else float(scale),
        mean, losses, total, torch.get_num_threads(),
    )  # fmt: skip
    return call(kernel, packed)


def _on_cuda(z: Tensor, rows: RowTargets) -> bool:
    """Return whether the kernels on CUDA can take these tensors."""
    return on_cuda.takes(z) and all(tensor.device == z.device for tensor in rows.tensors())


def _possible(z: Tensor, rows: RowTargets) -> bool:
    """Return whether the compiled kernel can take these tensors."""
    if function("cross_entropy") is None or z.device.type != "cpu" or z.dtype not in DTYPES or z.numel() == 0:
        return False
    if rows.index is not None and rows.index.shape[-1] == 0:
        return False
    return all(tensor.device.type == "cpu" for tensor in rows.tensors())


def _run(
    z: Tensor,
    rows: RowTargets,
    scale: Tensor | float | None,
    gradient: Tensor | None,
    *,
    losses: Tensor | None = None,
    total: Tensor | None = None,
    mean: bool = False,
) -> None:
    """Run the kernel; raise an error if a class is out of range."""
    kernel = function("cross_entropy")
    assert kernel is not None

    def run(z: Tensor, layout: Layout, gradient: Tensor | None) -> bool:
        packed, _kept = _packed(z, layout, rows, scale, gradient, (mean, address(losses), address(total)))
        return call(kernel, packed)

    if not on_rows(z, gradient, run):
        required = f"classes below {z.shape[-1]}, and rows that exist in the table"
        raise fail("targets", required, "a class or row that is out of range", "check how the targets were made")


def _packed(
    z: Tensor,
    layout: Layout,
    rows: RowTargets,
    scale: Tensor | float | None,
    gradient: Tensor | None,
    results: tuple[bool, int, int],
) -> tuple[bytes, list[Tensor]]:
    """Return the arguments of the kernel, and the tensors that have to live as long as it runs."""
    wide = accumulating(z.dtype)
    kept: list[Tensor] = []

    def numbers(given: Tensor | float | None, missing: float) -> tuple[int, int, float]:
        number = missing if given is None else repeated(given)
        if number is not None:
            return 0, 0, number
        assert isinstance(given, Tensor)
        kept.append(given.reshape(-1).to(wide))
        return kept[-1].data_ptr(), kept[-1].stride(0), 0.0

    def whole(tensor: Tensor | None, dtype: torch.dtype) -> int:
        if tensor is None:
            return 0
        kept.append(tensor.to(dtype).contiguous())
        return kept[-1].data_ptr()

    count = 0 if rows.index is None else rows.index.shape[-1]
    value, value_strides = 0, (0, 0)
    value_number = 1.0 if rows.value is None else repeated(rows.value)
    if value_number is None:
        assert rows.value is not None
        kept.append(rows.value.to(wide).reshape(-1, count))
        value, value_strides = kept[-1].data_ptr(), kept[-1].stride()
    weights, valid = _weights(rows, wide), _valid(rows, z)
    kept += [tensor for tensor in (weights, valid) if tensor is not None]
    prior = None if rows.prior is None else rows.prior.to(wide) / rows.prior.to(wide).sum()
    of_weights = (0, 0, 0, 0) if weights is None else (DTYPES[weights.dtype], weights.shape[0], *weights.stride())
    packed = _PACKED.pack(
        layout.rows, z.shape[-1], z.data_ptr(), address(gradient), DTYPES[z.dtype], *layout[1:],
        whole(rows.index, torch.int64), count, value, *value_strides, 0.0 if value_number is None else value_number,
        *numbers(rows.rest, 0.0),
        whole(prior, wide), address(weights), *of_weights, whole(rows.row, torch.int64),
        address(valid), 0 if valid is None or valid.ndim == 1 else z.shape[-1], whole(rows.left_out, torch.bool),
        0, 0, *numbers(scale, 1.0),
        *results, torch.get_num_threads(),
    )  # fmt: skip
    return packed, kept


def _weights(rows: RowTargets, wide: torch.dtype) -> Tensor | None:
    """Return the weights as (R, K) in a dtype that the kernel reads; a table is converted once, as it is small."""
    if rows.weights is None:
        return None
    weights = rows.weights if rows.row is None else rows.weights.to(wide)
    weights = weights if weights.dtype in DTYPES else weights.to(wide)
    return weights.reshape(-1, weights.shape[-1])


def _valid(rows: RowTargets, z: Tensor) -> Tensor | None:
    """Return the mask of classes as (K,), or with one row for each row of the logits."""
    if rows.valid is None or rows.valid.ndim == 1:
        return None if rows.valid is None else rows.valid.contiguous()
    return rows.valid.expand(z.shape).reshape(-1, z.shape[-1]).contiguous()
