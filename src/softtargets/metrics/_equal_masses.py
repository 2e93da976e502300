"""Bins of equal mass: of examples in order, or of cells that examples were counted in."""

from functools import lru_cache

import torch
from torch import Tensor

from softtargets.metrics._cells import NUM_CELLS, cell_of

# counts, sums of confidence, and correct ones, float64 of one shape
Sums = tuple[Tensor, Tensor, Tensor]


def gathered(keys: Tensor, sums: Sums, bins: int) -> tuple[Tensor, Sums]:
    """Gather cells into bins of equal mass: bin b ends with the cell in which rank ceil(b N / B) is reached.

    Args:
        keys: (L, C) what orders the cells, ascending; cells of one key go into one bin.
        sums: of each cell, (L, C).
        bins: how many.

    Returns:
        The largest key of each bin but the last, (L, B - 1), and the sums of each bin, (L, B).
    """
    cuts = keys.gather(-1, torch.searchsorted(sums[0].cumsum(-1), _ranks(sums[0], bins)))
    place = torch.searchsorted(cuts, keys.contiguous())
    count, confidence, correct = (part.new_zeros(len(part), bins).scatter_add(-1, place, part) for part in sums)
    return cuts, (count, confidence, correct)


def limits(cells: Sums, bins: int, *, norm: int | str, debiased: bool) -> tuple[Tensor, Tensor]:
    """Return between which values the calibration error of the examples lies that were counted in cells.

    Examples of a cell in which a bin ends, and that lie above its end, are counted in that bin and belong to later
    ones. How many they are is known; which they are is not. Of the cell's right ones each has correct - confidence of
    at most 1 - (its lower end), of its wrong ones of at least -(its upper end).

    Args:
        cells: sums of all cells, (NUM_CELLS,) float64.
        bins: how many.
        norm: 1, 2 or "max".
        debiased: whether the noise of the bins is subtracted.

    Returns:
        () float64 each.
    """
    count, confidence, correct = cells
    keys = torch.arange(NUM_CELLS, device=count.device)
    (cut,), sums = gathered(keys[None], (count[None], confidence[None], correct[None]), bins)
    inside, surplus = sums[0][0], (sums[2] - sums[1])[0]
    tops = cell_tops(count.device)
    bottoms = torch.cat([tops.new_zeros(1), tops[:-1]])
    beyond = count.cumsum(0)[cut] - _ranks(count[None], bins)[0]
    most = beyond.minimum(correct[cut]) * (1 - bottoms[cut])
    least = beyond.minimum((count - correct)[cut]) * tops[cut]
    # Of bins that end in one cell the first holds it all, and the others can only gain.
    first = torch.cat([cut.new_ones(1), cut.diff()])[: len(cut)] > 0
    none = count.new_zeros(1)
    gained = [torch.cat([none, part]) for part in (beyond, most, least)]
    lost = [torch.cat([part * first, none]) for part in (beyond, most, least)]
    fewest, largest = (inside - lost[0]).clamp(min=0), inside + gained[0]
    low, high = surplus - lost[1] - gained[2], surplus + lost[2] + gained[1]
    nearest, farthest = torch.maximum(low, -high).clamp(min=0), torch.maximum(high, -low)
    # no gap is above 1
    gap = farthest / fewest.clamp(min=1)
    ends = nearest / largest.clamp(min=1), gap.clamp(max=1)
    if norm == "max":
        return ends[0].max(), ends[1].max()
    total = count.sum()
    if norm == 1:
        return nearest.sum() / total, (farthest.sum() / total).clamp(max=1)
    # The noise of a bin times its share is below 1 / N, and so is what a bin of one example has without it.
    squares = (nearest * ends[0]).sum() - (bins if debiased else 0), (farthest * ends[1]).sum()
    return (squares[0] / total).clamp(min=0).sqrt(), (squares[1] / total).clamp(max=1).sqrt()


def with_ends(cuts: Tensor) -> Tensor:
    """Return (L, B - 1) edges between the bins with 0 before and 1 after them."""
    ends = cuts.new_tensor([0.0, 1.0]).expand(len(cuts), 2)
    return torch.cat([ends[:, :1], cuts, ends[:, 1:]], -1)


@lru_cache
def cell_tops(device: torch.device) -> Tensor:
    """Return the largest number of each cell, (NUM_CELLS,) float64."""
    cells = torch.arange(NUM_CELLS)
    # Numbers of at least 0 are ordered as their bits are: bisect those.
    low, high = torch.zeros_like(cells), torch.ones(NUM_CELLS, dtype=torch.float64).view(torch.int64)
    while bool((low < high).any()):
        middle = low + (high - low + 1) // 2
        inside = cell_of(middle.view(torch.float64)) <= cells
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle - 1)
    return low.view(torch.float64).to(device)


def _ranks(count: Tensor, bins: int) -> Tensor:
    """Return the rank of the last example of each bin but the last, (L, B - 1) float64."""
    return (torch.arange(1, bins, device=count.device) * count.sum(-1, keepdim=True) / bins).ceil()
