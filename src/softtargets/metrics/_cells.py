"""Fixed cells of confidence in order, narrow near 0 and 1: what a sketch of a ranking counts in."""

import torch
from torch import Tensor

# A confidence is placed by its distance to the nearer end: in cells of 2^-10, and of 1/32 of itself below 2^-5, down
# to 2^-40. Overconfident models crowd there.
_WIDTHS, _WIDE_FROM, _MANTISSA, _NEAREST = 2**10, 2.0**-5, 5, -40

_SHIFT = 52 - _MANTISSA
_FIRST = (1023 + _NEAREST) << _MANTISSA
_WIDE = ((1023 - 5) << _MANTISSA) - _FIRST
# cells of a side: that of the end itself, those between it and 1/2, and, on the upper side, that of 1/2
_SIDE = 1 + _WIDE + _WIDTHS // 2 - int(_WIDTHS * _WIDE_FROM)
NUM_CELLS = 2 * _SIDE + 1


def cell_of(confidence: Tensor) -> Tensor:
    """Return the cell of each confidence: higher ones never have a lower cell, and exactly 0 and 1 are alone in theirs.

    The cell is read off the bits of the number: no rounding, the same on every machine.

    Args:
        confidence: (n,) float64 in [0, 1].

    Returns:
        (n,) int64 in [0, NUM_CELLS).
    """
    upper = confidence >= 0.5
    # exact: the difference of two numbers within a factor of 2 has no rounding
    distance = torch.where(upper, 1 - confidence, confidence)
    narrow = ((distance.view(torch.int64) >> _SHIFT) - _FIRST).clamp(min=0)
    wide = (distance * _WIDTHS).long() + (_WIDE - int(_WIDTHS * _WIDE_FROM))
    cell = torch.where(distance < _WIDE_FROM, narrow, wide) + 1
    cell = torch.where(distance == 0, 0, cell)
    return torch.where(upper, NUM_CELLS - 1 - cell, cell)
