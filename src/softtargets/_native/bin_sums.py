"""Sums over bins of confidence, and over the nodes of the grid of smooth ECE, in integers.

Real numbers are counted in units of 2^-40, so that the sums are the same in any order, for any number of threads and
any cut of the rows.
"""

import struct

import torch
from torch import Tensor

from softtargets._checks import eager
from softtargets._native.library import DTYPES, address, call, function
from softtargets._numerics import at_least_float32

FRACTION_BITS = 40

# the fields of `bin_sums_arguments` in kernels/bin_sums.h, in order
_PACKED = struct.Struct("=10q")
# Up to this number of bins of equal width, the first one holds all numbers below 2^-16.
_FEW = 2**16


def add_to_bins(confidence: Tensor, correct: Tensor, group: Tensor | None, counts: Tensor, sums: Tensor) -> None:
    """Add confidences to bins of equal width, and count wrong and right predictions.

    Args:
        confidence: (n,) float32 or float64 in [0, 1].
        correct: (n,) bool.
        group: (n,) int64; None: all are in group 0.
        counts: (groups, bins, 2) int64, numbers of wrong and right predictions; changed in place.
        sums: (groups, bins, 2) int64, whole units and fractions; amounts are added to the fractions without a carry.
    """
    bins = counts.shape[1]
    if _run("bin_sums", confidence, correct, group, counts, sums):
        return
    cell = width_places(confidence, bins)
    cell = cell if group is None else cell + bins * group
    sums.view(-1, 2)[:, 1].index_add_(0, cell, amounts(at_least_float32(confidence)))
    count_at(counts.view(-1), cell.mul_(2).add_(correct))


def add_residuals(confidence: Tensor, correct: Tensor, group: Tensor | None, counts: Tensor, sums: Tensor) -> None:
    """Divide correct - confidence between the two nearest nodes, and count the examples at the nearest one.

    Args:
        confidence: (n,) float32 or float64 in [0, 1].
        correct: (n,) bool.
        group: (n,) int64; None: all are in group 0.
        counts: (groups, nodes) int64, numbers of examples, for nodes that are evenly spaced from 0 to 1 with a power of
            two of intervals; changed in place.
        sums: (groups, nodes, 2) int64, whole units and fractions; amounts are added to the fractions without a carry.
    """
    nodes = counts.shape[1]
    if _run("smooth_sums", confidence, correct, group, counts, sums):
        return
    confidence = confidence.double()
    place = confidence * (nodes - 1)
    below = place.floor().clamp(max=nodes - 2)
    residual = correct.double() - confidence
    upper = residual * (place - below)
    first = 0 if group is None else nodes * group
    node = below.long() + first
    fractions = sums.view(-1, 2)[:, 1]
    fractions.index_add_(0, node, amounts(residual - upper))
    fractions.index_add_(0, node + 1, amounts(upper))
    count_at(counts.view(-1), place.round().long() + first)


def count_at(cells: Tensor, places: Tensor) -> None:
    """Add the number of times that each cell is in (n,) int64 places."""
    if len(cells) <= len(places):
        cells += places.bincount(minlength=len(cells))
    else:
        cells.index_add_(0, places, places.new_ones(1).expand(places.shape))


def amounts(values: Tensor) -> Tensor:
    """Return (n,) float32 or float64 as int64 in units of 2^-40."""
    return (values * 2.0**FRACTION_BITS).round_().long()


def width_places(confidence: Tensor, n_bins: int) -> Tensor:
    """Return the bin of equal width of each confidence; an edge belongs to the bin below it, 0 to the first bin."""
    if confidence.dtype == torch.float64 or n_bins > _FEW:
        confidence = confidence.double()
        # the nearest edge, and the side of it
        nearest = (confidence * n_bins).round_()
        below = confidence <= nearest / n_bins
        return nearest.long().add_(below, alpha=-1).clamp_(min=0)
    # A float32 number outside the first bin is a whole multiple of 2^-40, which gives ceil(c B) - 1 exactly.
    return (confidence.float() * 2.0**40).long().mul_(n_bins).sub_(1).bitwise_right_shift_(40).clamp_(min=0)


def _run(name: str, confidence: Tensor, correct: Tensor, group: Tensor | None, counts: Tensor, sums: Tensor) -> bool:
    """Run a kernel, and return whether it could take the tensors."""
    kernel = function(name)
    tensors = [tensor for tensor in (confidence, correct, group, counts, sums) if tensor is not None]
    if kernel is None or not all(tensor.device.type == "cpu" and tensor.is_contiguous() for tensor in tensors):
        return False
    if not eager(*tensors):
        return False
    packed = _PACKED.pack(
        len(confidence), confidence.data_ptr(), DTYPES[confidence.dtype], correct.data_ptr(), address(group),
        counts.shape[0], counts.shape[1], counts.data_ptr(), sums.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    return call(kernel, packed)
