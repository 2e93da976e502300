"""Drawing noisy labels, each from the row of a transition: the compiled kernels, or their twins."""

import struct
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._native.library import address, call, function

# the fields of `noisy_labels_arguments` in kernels/noisy_labels.h, in order
_PACKED = struct.Struct("=21q")
_MOST_CLASSES = 2**16  # of the kernel of :func:`deal_labels`, whose labels have 16 bits


@dataclass(frozen=True, eq=False)
class OtherClasses:
    """The classes that each class can become, and with which probability; on the CPU.

    Args:
        num_classes: K.
        shares: (K, W) float64, or the (K, K) transition matrix, from which the entries of the other classes are taken.
        others: (K, W) int64; None: class k can become (k + 1 + shift[j]) mod K.
        shift: (W,) int64, in [0, K - 1).
        from_matrix: whether `shares` is the matrix.
    """

    num_classes: int
    shares: Tensor
    others: Tensor | None = None
    shift: Tensor | None = None
    from_matrix: bool = False

    def sums(self) -> Tensor:
        """Return the sum of the shares of each class, (K,) float64, added in their order."""
        kernel = function("share_sums")
        if kernel is None:
            return _shares(self).cumsum(1)[:, -1]
        sums = torch.empty(self.num_classes, dtype=torch.float64)
        call(kernel, _packed(self, sums=sums))
        return sums


def deal_labels(
    labels: Tensor, classes: OtherClasses, counts: Tensor, flips: Tensor, offsets: Tensor, order: Tensor
) -> tuple[Tensor, Tensor]:
    """Return noisy labels, (N,) int64, and their number by clean and noisy label, (K, K) int64.

    Systematic sampling fixes how many rows of a class get which label: evenly spaced draws from one random offset per
    class meet every share to within one. They are dealt to the rows of the class in the given order.

    Args:
        labels: (N,) int64, clean labels in [0, K).
        classes: what each class can become.
        counts: (K,) int64, number of rows of each class.
        flips: (K,) int64, number of rows of each class that get another label, at most `counts`.
        offsets: (K,) float64, in [0, 1).
        order: (N,) int32, a permutation of the rows.
    """
    kernel, totals = function("deal_labels"), classes.sums()
    if kernel is None or classes.num_classes > _MOST_CLASSES:
        return _dealt(labels, classes, totals, (counts, flips, offsets), order)
    labels, noisy = labels.contiguous(), torch.empty(len(labels), dtype=torch.int64)
    cells = torch.zeros(classes.num_classes, classes.num_classes, dtype=torch.int64)
    given = {"counts": counts, "totals": totals, "flips": flips, "offsets": offsets, "order": order}
    if not call(kernel, _packed(classes, labels=labels, noisy=noisy, cells=cells, **given)):
        raise fail("counts", "the number of rows of each class", "another number", "count the labels")
    return noisy, cells


def draw_labels(labels: Tensor, classes: OtherClasses, stays: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Return independently drawn noisy labels, (N,) int64, and their number by clean and noisy label, (K, K) int64.

    Args:
        labels: (N,) int64, clean labels in [0, K).
        classes: what each class can become.
        stays: (K,) float64, probability that a class keeps its label.
        draws: (N,) float64, the clean label plus a random number in [0, 1).
    """
    kernel = function("draw_labels")
    if kernel is None:
        return _drawn(labels, classes, stays, draws)
    labels, stays, noisy = labels.contiguous(), stays.contiguous(), torch.empty(len(labels), dtype=torch.int64)
    cells = torch.zeros(classes.num_classes, classes.num_classes, dtype=torch.int64)
    call(kernel, _packed(classes, labels=labels, stays=stays, draws=draws, noisy=noisy, cells=cells))
    return noisy, cells


def _packed(classes: OtherClasses, **given: Tensor) -> bytes:
    width = classes.others.shape[1] if classes.others is not None else 0
    width = len(classes.shift) if classes.shift is not None else width
    names = ("counts", "totals", "flips", "offsets", "order", "stays", "draws", "sums", "noisy", "cells")
    labels = given.get("labels")
    return _PACKED.pack(
        0 if labels is None else len(labels), classes.num_classes, width, address(labels),
        address(classes.others), address(classes.shift), classes.shares.data_ptr(), *classes.shares.stride(),
        classes.from_matrix, *(address(given.get(name)) for name in names), torch.get_num_threads(),
    )  # fmt: skip


def _others(classes: OtherClasses) -> Tensor:
    if classes.others is not None:
        return classes.others
    assert classes.shift is not None
    # row k is k + 1, ..., k + K - 1 (mod K), all classes but k: a view, of which one copy is made
    size = classes.num_classes
    rows = (torch.arange(2 * size) % size).unfold(0, size - 1, 1)[1 : size + 1]
    return rows.index_select(1, classes.shift)


def _shares(classes: OtherClasses) -> Tensor:
    return classes.shares.gather(1, _others(classes)) if classes.from_matrix else classes.shares


def _dealt(
    labels: Tensor, classes: OtherClasses, totals: Tensor, numbers: tuple[Tensor, Tensor, Tensor], order: Tensor
) -> tuple[Tensor, Tensor]:
    counts, flips, offsets = numbers
    size, others, bounds = classes.num_classes, _others(classes), _shares(classes).cumsum(1)
    bounds /= totals[:, None].clamp(min=torch.finfo(torch.float64).tiny)
    bounds *= flips[:, None]
    bounds += offsets[:, None]
    cells = torch.diff(bounds.long(), prepend=torch.zeros(size, 1, dtype=torch.int64))
    named = torch.cat([torch.arange(size)[:, None], others], 1)
    cells = torch.cat([(counts - flips)[:, None], cells], 1)
    # radix sort: fewer bytes, fewer passes
    narrow = labels.to(torch.int16 if size <= 2**15 else torch.int32)
    grouped = narrow.index_select(0, order).argsort(stable=True)
    dealt = named.flatten().repeat_interleave(cells.flatten(), output_size=len(labels))
    noisy = torch.empty_like(labels).scatter_(0, order.index_select(0, grouped).long(), dealt)
    return noisy, torch.zeros(size, size, dtype=torch.int64).scatter_add_(1, named, cells)


def _drawn(labels: Tensor, classes: OtherClasses, stays: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Look up each draw in the cumulative shares of all classes, concatenated row by row."""
    size = classes.num_classes
    named = torch.cat([torch.arange(size)[:, None], _others(classes)], 1)
    bounds = torch.cat([stays[:, None], _shares(classes)], 1).cumsum(1)
    bounds = bounds / bounds[:, -1:] + torch.arange(size)[:, None]
    noisy = named.flatten()[torch.searchsorted(bounds.flatten(), draws, right=True)]
    return noisy, torch.bincount(labels * size + noisy, minlength=size * size).view(size, size)
