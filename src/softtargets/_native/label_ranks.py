"""The rank of the label among the classes."""

import struct

import torch
from torch import Tensor

from softtargets._checks import eager
from softtargets._native.library import DTYPES, call, function

# the fields of `label_ranks_arguments` in kernels/label_ranks.h, in order
_PACKED = struct.Struct("=6q")
_TAKEN = (torch.float32, torch.float64)


def label_ranks(values: Tensor, labels: Tensor) -> Tensor:
    """Return the number of classes ranked before the label, (n,) int64; on ties the lower class is first.

    Args:
        values: (n, K) float without NaN.
        labels: (n,) int64 in [0, K).
    """
    kernel, both = function("label_ranks"), (values, labels)
    fit = all(tensor.device.type == "cpu" and tensor.is_contiguous() for tensor in both) and eager(*both)
    if kernel is None or values.dtype not in _TAKEN or not fit:
        of_label = values.gather(1, labels[:, None])
        lower = torch.arange(values.shape[1], device=labels.device) < labels[:, None]
        return ((values > of_label) | ((values == of_label) & lower)).sum(1)
    rank = torch.empty_like(labels)
    packed = (*values.shape, values.data_ptr(), DTYPES[values.dtype], labels.data_ptr(), rank.data_ptr())
    call(kernel, _PACKED.pack(*packed))
    return rank
