"""Sums over bins of the probability of every class, in integers: the same in any order."""

import struct

import torch
from torch import Tensor

from softtargets._checks import eager
from softtargets._native.bin_sums import amounts, count_at, width_places
from softtargets._native.library import address, call, function

# the fields of `class_bins_arguments` in kernels/class_bins.h, in order
_PACKED = struct.Struct("=10q")


def add_to_class_bins(
    probs: Tensor,
    labels: Tensor,
    group: Tensor | None,
    counts: Tensor,
    sums: Tensor,
    occurred: Tensor | None = None,
    crossed: Tensor | None = None,
) -> None:
    """Add the probability of every class to bins of equal width, and count in which of them the class is the label.

    Args:
        probs: (n, K) float64 in [0, 1].
        labels: (n,) int64.
        group: (n,) int64; None: all are in group 0.
        counts: (groups, K, bins) int64, numbers of probabilities; without `occurred` (groups, K, bins, 2), those of
            other classes and those of the label. All arrays are changed in place.
        sums: (groups, K, bins, 2) int64, whole units and fractions; amounts are added to the fractions without a carry.
        occurred: (groups, K, bins) int64, numbers of probabilities of the label.
        crossed: as `sums`, sums of p^2 - 2 p [k = label].
    """
    if _run(probs, labels, group, counts, sums, occurred, crossed):
        return
    num_classes, bins = sums.shape[1:3]
    classes = torch.arange(num_classes, device=probs.device)
    is_label = labels[:, None] == classes
    row = classes if group is None else classes + num_classes * group[:, None]
    cell = (width_places(probs, bins) + bins * row).flatten()
    sums.view(-1, 2)[:, 1].index_add_(0, cell, amounts(probs).flatten())
    if crossed is not None:
        values = probs.square() - 2 * probs * is_label
        crossed.view(-1, 2)[:, 1].index_add_(0, cell, amounts(values).flatten())
    if occurred is None:
        count_at(counts.view(-1), cell.mul_(2).add_(is_label.flatten()))
    else:
        count_at(counts.view(-1), cell)
        occurred.view(-1).index_add_(0, cell, is_label.flatten().long())


def _run(probs: Tensor, labels: Tensor, *others: Tensor | None) -> bool:
    """Run the kernel, and return whether it could take the tensors."""
    kernel = function("class_bins")
    tensors = [tensor for tensor in (probs, labels, *others) if tensor is not None]
    if kernel is None or not all(tensor.device.type == "cpu" and tensor.is_contiguous() for tensor in tensors):
        return False
    if not eager(*tensors):
        return False
    group, counts, sums, occurred, crossed = others
    assert sums is not None
    packed = _PACKED.pack(
        *probs.shape, probs.data_ptr(), labels.data_ptr(), address(group), sums.shape[2], address(counts),
        address(occurred), sums.data_ptr(), address(crossed),
    )  # fmt: skip
    return call(kernel, packed)
