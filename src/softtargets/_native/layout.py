"""How the rows of a tensor lie in memory, in the terms of the kernels."""

from typing import NamedTuple

from torch import Tensor


class Layout(NamedTuple):
    """Row r of (..., K) starts at entry ``(r // inner) * outer_stride + (r % inner) * inner_stride``.

    Args:
        rows: number of rows.
        inner: number of rows of one group.
        outer_stride: entries from one group to the next.
        inner_stride: entries from one row to the next within a group.
        class_stride: entries from one class to the next.
    """

    rows: int
    inner: int
    outer_stride: int
    inner_stride: int
    class_stride: int


def layout_of(tensor: Tensor) -> Layout | None:
    """Return the layout of (..., K), or None if its rows are not two nested groups, so that it has to be copied."""
    classes = tensor.shape[-1]
    if tensor.is_contiguous():
        rows = tensor.numel() // classes
        return Layout(rows, rows, 0, classes, 1)
    groups: list[tuple[int, int]] = []  # (size, stride), the outermost first
    for size, stride in zip(tensor.shape[:-1], tensor.stride()[:-1], strict=True):
        if size == 1:
            continue
        if groups and groups[-1][1] == size * stride:
            groups[-1] = (groups[-1][0] * size, stride)
        else:
            groups.append((size, stride))
    if len(groups) > 2:
        return None
    (outer, outer_stride), (inner, inner_stride) = [(1, 0), (1, 0), *groups][-2:]
    return Layout(outer * inner, inner, outer_stride, inner_stride, tensor.stride(-1))


def repeated(value: Tensor | float) -> float | None:
    """Return the number that a tensor on the CPU repeats, if it is one number that was expanded; else None."""
    if not isinstance(value, Tensor):
        return float(value)
    if any(value.stride()) or value.numel() == 0:
        return None
    return value[(0,) * value.ndim].item()
