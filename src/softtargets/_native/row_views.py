"""Tensors on CUDA seen as groups of rows, remembered by shape and strides because this is asked at every launch."""

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softtargets._native.layout import Layout, layout_of

UNIT = 16  # entries, the most that a thread reads at a time

Strides = tuple[int, ...]


class RowView(NamedTuple):
    """Tensors of the same shape (..., K) as groups of rows of K entries.

    Args:
        rows: number of rows.
        inner: number of rows of one group; None: there is one group.
        groups: (groups, rows of a group, K).
        unit: number of entries that K and the strides of groups and rows are multiples of.
        strides: of each tensor: from group to group and from row to row, in units, and from class to class in entries.
        copied: whether a tensor has to be copied to be seen in this way.
    """

    rows: int
    inner: int | None
    groups: tuple[int, int, int]
    unit: int
    strides: tuple[tuple[int, int, int], ...]
    copied: tuple[bool, ...]

    def matrix(self, i: int, tensor: Tensor | None) -> tuple[Any, int, int, int]:
        """Return the tensor that was given as number `i`, and its strides."""
        if tensor is None:
            return None, 0, 0, 0
        return tensor.reshape(self.groups) if self.copied[i] else tensor, *self.strides[i]


@functools.lru_cache(maxsize=4096)
def view_of(shape: Strides, given: tuple[Strides | None, ...], kept: int) -> RowView | None:
    """Return a view of tensors as rows; None if one of the first `kept`, which must not be copied, has none.

    Args:
        shape: (..., K), the shape of all tensors.
        given: the strides of each tensor; None: there is no such tensor.
        kept: the number of tensors at the beginning that are not copied.
    """
    tensors = [None if one is None else torch.empty_strided(shape, one, device="meta") for one in given]
    first = [tensor for tensor in tensors[:kept] if tensor is not None]
    for layout in map(layout_of, first):
        if layout is None:
            continue
        groups = _groups(layout, shape[-1])
        if all(_seen(tensor, groups) is not None for tensor in first):
            return _view(layout, groups, tensors)
    return None


def _view(layout: Layout, groups: tuple[int, int, int], tensors: list[Tensor | None]) -> RowView:
    found = [None if tensor is None else _seen(tensor, groups) for tensor in tensors]
    copied = tuple(tensor is not None and one is None for tensor, one in zip(tensors, found, strict=True))
    contiguous = (groups[1] * groups[2], groups[2], 1)
    strides = [contiguous if one is None else one for one in found]
    unit = math.gcd(UNIT, groups[2], *(stride for one in strides for stride in one[:2]))
    in_units = tuple((outer // unit, inner // unit, entry) for outer, inner, entry in strides)
    inner = None if layout.inner == layout.rows else layout.inner
    return RowView(layout.rows, inner, groups, unit, in_units, copied)


def _seen(tensor: Tensor, groups: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """Return the strides of a view as groups of rows, or None if there is none."""
    try:
        outer, inner, entry = tensor.view(groups).stride()
    except RuntimeError:
        return None
    return outer, inner, entry


def _groups(layout: Layout, classes: int) -> tuple[int, int, int]:
    return layout.rows // layout.inner, layout.inner, classes
