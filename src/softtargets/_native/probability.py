"""Losses of the probability that rows of logits give their label: the compiled kernel, or its twin."""

import struct

import torch
from torch import Tensor

from softtargets._native.chunks import by_chunks
from softtargets._native.labels import LabelProbability
from softtargets._native.layout import Layout, on_rows, repeated
from softtargets._native.library import DTYPES, address, call, function
from softtargets._native.probability_twin import twin
from softtargets._numerics import accumulating

# the fields of `label_probability_arguments` in kernels/label_probability.h, in order
_PACKED = struct.Struct("=13q4d4qd4q")

# the numbers of kernels/odds.h
_LOSSES = {
    "odds": 0, "focal": 1, "focal of two gammas": 2, "power": 3, "wrong": 4, "symmetric": 5, "relaxation": 6,
}  # fmt: skip
_FORWARD = 7


def probability_losses(
    z: Tensor, rows: LabelProbability, scale: Tensor | float | None, gradient: Tensor | None
) -> Tensor | None:
    """Return the loss of every row and, given a scale, write the gradient of ``sum(scale * losses)``.

    The kernel checks the labels. If one is out of range, None is returned and nothing is written.

    Args:
        z: (..., K) float logits, on any device. Autograd must not be recording.
        rows: the labels and the loss.
        scale: (...) of the accumulating dtype, or one number for all rows; None: no gradient.
        gradient: of the shape, dtype and strides of the logits; it may be the logits themselves. None: no gradient.

    Returns:
        (...) of the accumulating dtype.
    """
    if not _possible(z, rows):
        return by_chunks(lambda *chunk: twin(chunk[0], rows.at(chunk[1]), *chunk[2:]), z, scale, gradient)
    losses = torch.empty(z.shape[:-1], dtype=accumulating(z.dtype))
    return losses if _run(z, rows, scale, gradient, losses=losses) else None


def probability_total(
    z: Tensor, rows: LabelProbability, mean: bool, scale: Tensor | float | None, gradient: Tensor | None
) -> Tensor | None:
    """Return the sum of the losses of :func:`probability_losses`, or their mean, (); None if a label is out of range.

    Args:
        z: as in :func:`probability_losses`.
        rows: as in :func:`probability_losses`.
        mean: divide by the number of rows that are not ignored.
        scale: () or a number: the gradient of ``scale * result`` is written; None: no gradient.
        gradient: as in :func:`probability_losses`.
    """
    if not _possible(z, rows):
        divisor = torch.ones((), dtype=accumulating(z.dtype), device=z.device)
        if mean and rows.ignore_index is not None:
            divisor = (rows.labels != rows.ignore_index).sum().clamp(min=1).to(divisor.dtype)
        elif mean:
            divisor = divisor * max(1, z.shape[:-1].numel())
        losses = probability_losses(
            z, rows, None if scale is None else (scale / divisor).expand(z.shape[:-1]), gradient
        )
        return None if losses is None else losses.sum() / divisor
    total = torch.empty((), dtype=accumulating(z.dtype))
    done = _run(z, rows, scale if scale is None else float(scale), gradient, total=total, mean=mean)
    return total if done else None


def _possible(z: Tensor, rows: LabelProbability) -> bool:
    """Return whether the compiled kernel can take these tensors."""
    if function("label_probability") is None or not z.is_cpu or z.dtype not in DTYPES or z.numel() == 0:
        return False
    return rows.labels.is_cpu and (rows.columns is None or rows.columns.is_cpu)


def _run(
    z: Tensor,
    rows: LabelProbability,
    scale: Tensor | float | None,
    gradient: Tensor | None,
    *,
    losses: Tensor | None = None,
    total: Tensor | None = None,
    mean: bool = False,
) -> bool:
    """Run the kernel; return whether all labels are in range."""
    kernel = function("label_probability")
    assert kernel is not None

    def run(z: Tensor, layout: Layout, gradient: Tensor | None) -> bool:
        packed, _kept = _packed(z, layout, rows, scale, gradient, (mean, address(losses), address(total)))
        return call(kernel, packed)

    return on_rows(z, gradient, run)


def _packed(
    z: Tensor,
    layout: Layout,
    rows: LabelProbability,
    scale: Tensor | float | None,
    gradient: Tensor | None,
    results: tuple[bool, int, int],
) -> tuple[bytes, list[Tensor]]:
    """Return the arguments of the kernel, and the tensors that have to live as long as it runs."""
    kept = [rows.labels.contiguous()]
    numbers = (0.0,) * 4 if rows.loss is None else (*rows.loss.numbers(*rows.settings), 0.0, 0.0, 0.0, 0.0)[:4]
    columns, per_row = (None, False) if rows.columns is None else _columns(z, rows.columns, kept[0])
    if columns is not None:
        kept.append(columns)
    number, scales, stride = 1.0 if scale is None else repeated(scale), 0, 0
    if number is None:
        assert isinstance(scale, Tensor)
        kept.append(scale.reshape(-1).to(accumulating(z.dtype)))
        scales, stride = kept[-1].data_ptr(), kept[-1].stride(0)
    packed = _PACKED.pack(
        layout.rows, z.shape[-1], z.data_ptr(), address(gradient), DTYPES[z.dtype], *layout[1:],
        kept[0].data_ptr(), rows.ignore_index is not None, rows.ignore_index or 0,
        _FORWARD if rows.loss is None else _LOSSES[rows.loss.name], *numbers, address(columns), per_row,
        scales, stride, 0.0 if number is None else number,
        *results, torch.get_num_threads(),
    )  # fmt: skip
    return packed, kept


def _columns(z: Tensor, columns: Tensor, labels: Tensor) -> tuple[Tensor, bool]:
    """Return the weights as contiguous rows, one for each label, or one for each example if there are few examples."""
    wide, size = accumulating(z.dtype), z.shape[-1]
    if labels.numel() >= size:
        return columns.to(wide).contiguous(), False
    # the kernel refuses labels that are out of range
    return columns.index_select(0, labels.reshape(-1).clamp(0, size - 1)).to(wide), True
