"""Columns of probabilities: histograms, and the entries between two bounds; the compiled kernels, or their twins."""

import struct
from collections.abc import Callable

import torch
from torch import Tensor

from softtargets._native.library import address, call, function

# the fields of `columns_arguments` in kernels/columns.h, in order
_PACKED = struct.Struct("=13q")
# Share of the entries for which the kernel has room at first.
_ROOM = 64


def count_cells(probs: Tensor, counts: Tensor) -> None:
    """Add the number of entries of each column and cell to (K, C) int64 counts.

    The cell of an entry is the upper half of its bits as float32: it grows with the entry.

    Args:
        probs: (n, K) float32 or float64, on the CPU.
        counts: contiguous; the last cell takes all larger entries.
    """
    kernel = _kernel("count_cells", probs)
    if kernel is None:
        size = counts.shape[1]
        places = cells_of(probs, size) + torch.arange(0, counts.numel(), size, dtype=torch.int32)
        counts += places.flatten().bincount(minlength=counts.numel()).view(counts.shape)
        return
    call(kernel, _packed(probs, cells=counts.shape[1], counts=counts))


def cells_of(probs: Tensor, cells: int) -> Tensor:
    """Return the cell of each entry, (n, K) int32."""
    return (probs.float().view(torch.int32) >> 16).clamp_(0, cells - 1)


def select_entries(probs: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns, (m,) int64 each, of the entries with low <= entry < high, in their order.

    Args:
        probs: (n, K) float32 or float64, on the CPU.
        low, high: (K,) of the same dtype.
    """
    kernel = _kernel("select_entries", probs)
    if kernel is None:
        rows, columns = ((probs >= low) & (probs < high)).nonzero(as_tuple=True)
        return rows, columns
    low, high, found = low.contiguous(), high.contiguous(), torch.zeros(1, dtype=torch.int64)
    room = probs.numel() // _ROOM + 1
    while True:
        rows, columns = torch.empty(room, dtype=torch.int64), torch.empty(room, dtype=torch.int64)
        call(kernel, _packed(probs, low=low, high=high, room=room, row=rows, column=columns, found=found))
        if int(found) <= room:
            # copies, so that the room is freed
            return rows[: int(found)].clone(), columns[: int(found)].clone()
        room = int(found)


def _kernel(name: str, probs: Tensor) -> Callable[..., int] | None:
    if probs.dtype != torch.float32 or probs.numel() == 0 or probs.stride(1) != 1:
        return None
    return function(name)


def _packed(
    probs: Tensor,
    *,
    cells: int = 0,
    counts: Tensor | None = None,
    low: Tensor | None = None,
    high: Tensor | None = None,
    room: int = 0,
    row: Tensor | None = None,
    column: Tensor | None = None,
    found: Tensor | None = None,
) -> bytes:
    return _PACKED.pack(
        *probs.shape, probs.data_ptr(), probs.stride(0), cells, address(counts), address(low), address(high), room,
        address(row), address(column), address(found), torch.get_num_threads(),
    )  # fmt: skip
