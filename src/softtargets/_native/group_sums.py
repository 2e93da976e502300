"""Sums by group and cell in integers, and the hash that assigns examples to groups."""

import struct

import torch
from torch import Tensor

from softtargets._checks import eager
from softtargets._native.bin_sums import amounts, count_at
from softtargets._native.library import address, call, function

# the fields of `group_sums_arguments` and `group_hash_arguments` in kernels/group_sums.h, in order
_PACKED, _HASH = struct.Struct("=8q"), struct.Struct("=5q")
# the numbers of group_sums.c
_KINDS = {torch.bool: 0, torch.float32: 1, torch.float64: 2}


def add_at(totals: Tensor, group: Tensor | None, cell: Tensor | None, cells: int, values: Tensor | None) -> None:
    """Add integers or real numbers to the totals of cells.

    Args:
        totals: (groups * cells,) int64, possibly every other number in memory; changed in place.
        group: (n,) int64; None: all are in group 0.
        cell: (n,) int64 in [0, cells); None: all are 0. Not None if `group` is None.
        cells: number of cells of a group.
        values: (n,) bool, int64, or float32 or float64 below 2^22, which are added in units of 2^-40; None: 1 for each.
    """
    places = cell if group is None else group
    assert places is not None
    if _run(totals, group, cell, cells, values, places):
        return
    if group is not None:
        places = group * cells if cell is None else group * cells + cell
    if values is None:
        count_at(totals, places)
    else:
        totals.index_add_(0, places, amounts(values) if values.is_floating_point() else values.long())


def hashed(ids: Tensor, offset: int, groups: int) -> Tensor:
    """Return a hash of ids (the finaliser of SplitMix64, Steele et al. 2014) modulo `groups`, (n,) int64.

    Args:
        ids: (n,) int64.
        offset: added to the ids, in [-2^63, 2^63).
        groups: at least 1.
    """
    kernel = function("group_hash")
    if kernel is None or not _on_cpu(ids):
        mixed = ids + offset
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ _shifted(mixed, shift)) * signed(factor)
        return _shifted(mixed ^ _shifted(mixed, 31), 1) % groups
    group = torch.empty_like(ids)
    call(kernel, _HASH.pack(len(ids), ids.data_ptr(), offset, groups, group.data_ptr()))
    return group


def signed(number: int) -> int:
    """Return a number modulo 2^64 as the signed integer that torch stores."""
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number


def _shifted(numbers: Tensor, by: int) -> Tensor:
    """Shift 64 bits to the right, filling with zeros."""
    return (numbers >> by) & (2 ** (64 - by) - 1)


def _run(
    totals: Tensor, group: Tensor | None, cell: Tensor | None, cells: int, values: Tensor | None, places: Tensor
) -> bool:
    """Run the kernel, and return whether it could take the tensors."""
    kernel = function("group_sums")
    tensors = [tensor for tensor in (group, cell, values) if tensor is not None]
    if kernel is None or totals.device.type != "cpu" or not _on_cpu(*tensors):
        return False
    if values is not None and values.dtype not in _KINDS:
        return False
    kind = 0 if values is None else _KINDS[values.dtype]
    packed = _PACKED.pack(
        len(places), address(group), address(cell), cells, address(values), kind, totals.data_ptr(), totals.stride(0)
    )
    return call(kernel, packed)


def _on_cpu(*tensors: Tensor) -> bool:
    return all(tensor.device.type == "cpu" and tensor.is_contiguous() for tensor in tensors) and eager(*tensors)
