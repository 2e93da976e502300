"""Sums of numbers in [0, 1] as integers, which are exact in any order."""

import torch
from torch import Tensor

_BITS = 40
_MASK = 2**_BITS - 1
# As many numbers of at most 1 can be added without a carry.
_MOST = 2**22


class FixedSums:
    """One sum for each cell, in units of 2^-40 as a whole part and a fraction, so that no sum overflows.

    Args:
        cells: number of sums.
    """

    def __init__(self, cells: int) -> None:
        self._whole = torch.zeros(cells, dtype=torch.int64)
        self._fraction = torch.zeros(cells, dtype=torch.int64)

    def add(self, cells: Tensor, values: Tensor) -> None:
        """Add (n,) values, of at most 1 apart from rounding, to the sums of (n,) cells."""
        for where, some in zip(cells.split(_MOST), values.split(_MOST), strict=True):
            units = (some.double() * 2.0**_BITS).round_().long()
            self._carry(self._fraction.index_add(0, where, units))

    def merge(self, other: "FixedSums") -> None:
        """Add the sums of another object with the same cells."""
        self._whole += other._whole
        self._carry(self._fraction + other._fraction)

    def totals(self) -> Tensor:
        """Return the sums, (cells,) float64."""
        return self._whole.double() + self._fraction.double() * 2.0**-_BITS

    def _carry(self, fraction: Tensor) -> None:
        self._whole += fraction >> _BITS
        self._fraction = fraction & _MASK
