"""How the rows of a tensor lie in memory, in the terms of the kernels."""

from collections.abc import Callable
from typing import NamedTuple

import torch
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


def on_rows(z: Tensor, gradient: Tensor | None, run: Callable[[Tensor, Layout, Tensor | None], bool]) -> bool:
    """Run a kernel on logits whose rows are two nested groups: on a copy if they are not.

    Args:
        z: (..., K) logits.
        gradient: of the shape of the logits, or the logits themselves, to be written; None: no gradient.
        run: calls the kernel with logits, their layout and a gradient of the same layout, and returns whether every
            argument was in range.
    """
    layout = layout_of(z) if gradient is None or gradient.stride() == z.stride() else None
    if layout is not None:
        return run(z, layout, gradient)
    z = z.contiguous()
    layout = layout_of(z)
    assert layout is not None
    written = None if gradient is None else torch.empty_like(z)
    done = run(z, layout, written)
    if done and gradient is not None and written is not None:
        gradient.copy_(written)
    return done


def repeated(value: Tensor | float) -> float | None:
    """Return the number that a tensor on the CPU repeats, if it is one number that was expanded; else None."""
    if not isinstance(value, Tensor):
        return float(value)
    if any(value.stride()) or value.numel() == 0:
        return None
    return value[(0,) * value.ndim].item()
