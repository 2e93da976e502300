"""Fixed cells of confidence, narrow near 0 and 1, in which sketches of a ranking count examples."""

import torch
from torch import Tensor

# The cell depends on the distance to the nearer of 0 and 1. Cells have width 2^-10; below 2^-5 their width is 1/32 of
# the distance, down to 2^-40, since overconfident models have most of their predictions there.
_WIDTHS, _WIDE_FROM, _MANTISSA, _NEAREST = 2**10, 2.0**-5, 5, -40

_SHIFT = 52 - _MANTISSA
_FIRST = (1023 + _NEAREST) << _MANTISSA
_WIDE = ((1023 - 5) << _MANTISSA) - _FIRST
# cells of one side: one for the end itself and those between it and 1/2; the upper side also has the cell of 1/2
_SIDE = 1 + _WIDE + _WIDTHS // 2 - int(_WIDTHS * _WIDE_FROM)
NUM_CELLS = 2 * _SIDE + 1


def cell_of(confidence: Tensor) -> Tensor:
    """Return the cell of each confidence. Cells are in order, and exactly 0 and exactly 1 have separate cells.

    The cell is computed from the bits of the number, without rounding, so that it is the same on every machine.

    Args:
        confidence: (n,) float64 in [0, 1].

    Returns:
        (n,) int64 in [0, NUM_CELLS).
    """
    upper = confidence >= 0.5
    # exact: the difference of two numbers within a factor of 2 is not rounded
    distance = torch.where(upper, 1 - confidence, confidence)
    narrow = ((distance.view(torch.int64) >> _SHIFT) - _FIRST).clamp(min=0)
    wide = (distance * _WIDTHS).long() + (_WIDE - int(_WIDTHS * _WIDE_FROM))
    cell = torch.where(distance < _WIDE_FROM, narrow, wide) + 1
    cell = torch.where(distance == 0, 0, cell)
    return torch.where(upper, NUM_CELLS - 1 - cell, cell)
