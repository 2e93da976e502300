"""Rows of probabilities with labels, in one pass: the compiled kernel, or its twin."""

import struct
from typing import NamedTuple

import torch
from torch import Tensor

from softtargets._checks import eager, values_visible
from softtargets._native.library import DTYPES, address, call, function
from softtargets._numerics import accumulating

# the fields of `label_rows_arguments` in kernels/label_rows.h, in order
_PACKED = struct.Struct("=8qd7q")
# Numbers that the twin works on at a time.
_CHUNK = 2**20


class LabelScan(NamedTuple):
    """What was asked for of each row; None for the rest.

    Args:
        own: (n,) of the accumulating dtype, the probability of the label.
        best: (n,) of the accumulating dtype, the largest probability of another class.
        other: (n,) int64, the first class that has it.
        clean: (n,) int64, the class that the row is confident of, or -1.
    """

    own: Tensor
    best: Tensor | None = None
    other: Tensor | None = None
    clean: Tensor | None = None


def label_rows(
    probs: Tensor,
    labels: Tensor,
    *,
    bounds: Tensor | None = None,
    best: bool = False,
    other: bool = False,
    tolerance: float | None = None,
) -> LabelScan | None:
    """Return what is asked for of every row, or None if a row does not hold probabilities.

    Args:
        probs: (n, K) float, on any device; no gradient is computed.
        labels: (n,) int64, in [0, K).
        bounds: (K,) of the accumulating dtype, smallest probabilities that reach the thresholds of the confident joint;
            None: `clean` is not computed.
        best: whether to return the largest probability of another class.
        other: whether to return that class.
        tolerance: how far the sum of a row may be from 1; None: rows are not checked.
    """
    probs, wide = probs.detach(), accumulating(probs.dtype)
    bounds = None if bounds is None else bounds.to(wide)
    if not _possible(probs, labels):
        return _twin(probs, labels, bounds, best, other, tolerance)

    def result(wanted: bool, dtype: torch.dtype) -> Tensor | None:
        return torch.empty(len(labels), dtype=dtype) if wanted else None

    own = torch.empty(len(labels), dtype=wide)
    found = LabelScan(own, result(best, wide), result(other, torch.int64), result(bounds is not None, torch.int64))
    return found if _run(probs, labels, found, bounds, tolerance=tolerance) else None


def confident_pairs(probs: Tensor, labels: Tensor, rows: Tensor, draws: Tensor, bounds: Tensor) -> Tensor:
    """Return the class that a row is confident of under one of several sets of bounds, (m,) int64, or -1.

    Args:
        probs: (n, K) float32 or float64, checked.
        labels: (n,) int64, in [0, K).
        rows: (m,) int64, rows of `probs`.
        draws: (m,) int64, in ascending order, the row of `bounds` for each of them.
        bounds: (D, K) of the dtype of `probs`.
    """
    if not _possible(probs, labels):
        return _pairs_twin(probs, labels, rows, draws, bounds)
    clean = torch.empty(len(rows), dtype=torch.int64)
    _run(probs, labels, LabelScan(clean[:0], clean=clean), bounds, index=rows, bounds_row=draws)
    return clean


def _possible(probs: Tensor, labels: Tensor) -> bool:
    """Return whether the compiled kernel can take these tensors."""
    if function("label_rows") is None or probs.dtype not in DTYPES or probs.numel() == 0 or not eager(probs, labels):
        return False
    return probs.device.type == labels.device.type == "cpu" and probs.stride(1) == 1 and labels.is_contiguous()


def _run(
    probs: Tensor,
    labels: Tensor,
    found: LabelScan,
    bounds: Tensor | None,
    *,
    tolerance: float | None = None,
    index: Tensor | None = None,
    bounds_row: Tensor | None = None,
) -> bool:
    """Run the kernel; return whether all rows hold probabilities."""
    bounds = None if bounds is None else bounds.contiguous()
    kernel = function("label_rows")
    assert kernel is not None
    count = len(labels) if index is None else len(index)
    packed = _PACKED.pack(
        count, probs.shape[1], probs.data_ptr(), DTYPES[probs.dtype], probs.stride(0), labels.data_ptr(),
        address(index), tolerance is not None, tolerance or 0.0, address(bounds), address(bounds_row),
        found.own.data_ptr() if index is None else 0, address(found.best), address(found.other), address(found.clean),
        torch.get_num_threads(),
    )  # fmt: skip
    return call(kernel, packed)


def _twin(
    probs: Tensor, labels: Tensor, bounds: Tensor | None, best: bool, other: bool, tolerance: float | None
) -> LabelScan | None:
    step, parts = max(1, _CHUNK // probs.shape[1]), []
    for chunk, given in zip(probs.split(step), labels.split(step), strict=True):
        wide = chunk.to(accumulating(chunk.dtype))
        if tolerance is not None and values_visible(wide) and not _are_probabilities(wide, tolerance):
            return None
        own = wide.gather(1, given[:, None])[:, 0]
        highest = place = None
        if other:
            highest, place = wide.scatter(1, given[:, None], -1.0).max(1)
        elif best:
            highest = wide.scatter(1, given[:, None], -1.0).amax(1)
        clean = None if bounds is None else _confident(wide, given, bounds)
        parts.append(LabelScan(own, highest if best else None, place, clean))
    return LabelScan(*(None if of[0] is None else torch.cat(of) for of in zip(*parts, strict=True)))  # pyright: ignore[reportArgumentType]


def _are_probabilities(probs: Tensor, tolerance: float) -> bool:
    if not len(probs):
        return True
    low, high = (probs.sum(1) - 1).aminmax()
    # comparisons with NaN are false
    return bool(-tolerance <= low and high <= tolerance and probs.amin() >= 0)


def _confident(probs: Tensor, labels: Tensor, bounds: Tensor) -> Tensor:
    """Return the class that each row is confident of; the bounds are (K,), or (n, K) of each row."""
    beyond = probs - bounds
    own = beyond.gather(1, labels[:, None])[:, 0]
    clean = torch.where(own >= 0, labels, -1)
    # finding the place of a maximum is the slowest of these passes: only rows that reach the threshold of another
    # class need it
    rest = (beyond.scatter_(1, labels[:, None], -torch.inf).amax(1) >= 0).nonzero().flatten()
    left = probs.index_select(0, rest)
    its = bounds.expand_as(probs).index_select(0, rest) if bounds.ndim == 2 else bounds.expand_as(left)
    highest, place = left.max(1)
    # if the largest probability is below its threshold, the row belongs to another class if it reaches exactly one
    short = (highest < its.gather(1, place[:, None])[:, 0]).nonzero().flatten()
    reached = left[short] >= its[short]
    place[short] = torch.where(reached.sum(1) == 1, reached.byte().argmax(1), place[short])
    clean[rest] = place
    return clean


def _pairs_twin(probs: Tensor, labels: Tensor, rows: Tensor, draws: Tensor, bounds: Tensor) -> Tensor:
    low, high, step = bounds.amin(0), bounds.amax(0), max(1, _CHUNK // probs.shape[1])
    of_row, unsure = [], []
    for chunk, given in zip(probs.split(step), labels.split(step), strict=True):
        # the draws agree on a row without a probability between the lowest and the highest bound of its class
        of_row.append(_confident(chunk, given, high))
        unsure.append(((chunk >= low) & (chunk < high)).any(1))
    clean = torch.cat(of_row)[rows]
    apart = torch.cat(unsure)[rows].nonzero().flatten()
    for some in apart.split(step):
        clean[some] = _confident(probs[rows[some]], labels[rows[some]], bounds[draws[some]])
    return clean
