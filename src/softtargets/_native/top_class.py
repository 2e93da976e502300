"""The largest probability or logit of every row and its class, in one pass that also checks the rows."""

import struct
from functools import cached_property

import torch
from torch import Tensor

from softtargets._checks import eager
from softtargets._native.library import DTYPES, address, call, function
from softtargets._native.top_class_twin import Twin, exponentials_of
from softtargets._numerics import accumulating

# the fields of `top_class_arguments` in kernels/top_class.h, in order
_PACKED = struct.Struct("=2q1q1q1q1q1d5q")


class Compiled:
    """The results of the kernel; the predicted classes are computed by another pass when they are first read.

    Args:
        values: (n, K) float, contiguous, on the CPU.
        labels: (n,) int64, contiguous.
        probs: whether the values are probabilities.
        tolerance: how far from 1 the sum of a row may be.

    Attributes:
        checked: whether every label was found in range, and every row fit. If not, they still have to be checked.
        largest: (n,) the largest value; float64 for logits, float32 or float64 and at most 1 for probabilities.
        sums: (n,) float64, sum of exp(logits - largest); empty for probabilities.
        correct: (n,) bool, whether the predicted class is the label.
    """

    def __init__(self, values: Tensor, labels: Tensor, probs: bool, tolerance: float) -> None:
        rows, wide = len(values), accumulating(values.dtype) if probs else torch.float64
        self._values, self._labels, self._probs, self._tolerance = values, labels, probs, tolerance
        self.largest = torch.empty(rows, dtype=wide)
        self.sums = torch.empty(0 if probs else rows, dtype=torch.float64)
        self.correct = torch.empty(rows, dtype=torch.bool)
        self.checked = self._run(None)

    @cached_property
    def predicted(self) -> Tensor:
        """The first class with the largest value, (n,) int64."""
        predicted = torch.empty(len(self._values), dtype=torch.int64)
        self._run(predicted)
        return predicted

    def _run(self, predicted: Tensor | None) -> bool:
        kernel = function("top_class")
        assert kernel is not None
        packed = _PACKED.pack(
            *self._values.shape, self._values.data_ptr(), DTYPES[self._values.dtype], not self._probs,
            self._labels.data_ptr(), self._tolerance, self.largest.data_ptr(), self.sums.data_ptr(), address(predicted),
            self.correct.data_ptr(), torch.get_num_threads(),
        )  # fmt: skip
        return call(kernel, packed)

    @property
    def exponentials(self) -> Tensor:
        """exp(logits - largest), (n, K) float64."""
        return exponentials_of(self._values, self.largest)


# both have the same attributes
TopClasses = Compiled | Twin


def top_classes(values: Tensor, labels: Tensor, *, probs: bool, tolerance: float) -> TopClasses:
    """Return the largest value of every row, its class, and whether the class is the label.

    Probabilities are fit if they are at least 0 and their sum is within `tolerance` of 1, logits if none is NaN or
    +inf and not all of a row are -inf. The result for a row depends on that row alone, to the last bit.

    Args:
        values: (n, K) float, contiguous, n >= 1, K >= 1: probabilities or logits.
        labels: (n,) int64, on the same device.
        probs: whether the values are probabilities.
        tolerance: how far from 1 the sum of a row may be.
    """
    on_cpu = values.device.type == labels.device.type == "cpu"
    if function("top_class") is None or not on_cpu or values.dtype not in DTYPES or not eager(values, labels):
        return Twin(values, labels, probs)
    return Compiled(values.contiguous(), labels.contiguous(), probs, tolerance)
