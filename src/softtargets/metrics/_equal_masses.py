"""Bins of equal mass, from sorted examples or from cells in which examples were counted."""

from functools import lru_cache

import torch
from torch import Tensor

from softtargets.metrics._cells import NUM_CELLS, cell_of

# counts, sums of confidence, and right predictions, float64 of equal shapes; with soft labels the sums of the
# probability of being right, and of its square
Sums = tuple[Tensor, ...]


def gathered(keys: Tensor, sums: Sums, n_bins: int) -> tuple[Tensor, Sums]:
    """Assign cells to bins of equal mass: bin b ends with the cell that contains rank ceil(b N / B).

    Args:
        keys: (L, C) keys of the cells, ascending; cells with equal keys are assigned to one bin.
        sums: sums of each cell, (L, C).
        n_bins: number of bins.

    Returns:
        The largest key of each bin except the last, (L, B - 1), and the sums of each bin, (L, B).
    """
    cuts = keys.gather(-1, torch.searchsorted(sums[0].cumsum(-1), _ranks(sums[0], n_bins)))
    place = torch.searchsorted(cuts, keys.contiguous())
    return cuts, tuple(part.new_zeros(len(part), n_bins).scatter_add(-1, place, part) for part in sums)


def limits(cells: Sums, n_bins: int, *, norm: str, debiased: bool) -> tuple[Tensor, Tensor]:
    """Return a lower and an upper bound of the calibration error of examples that were counted in cells.

    If a bin ends within a cell, the examples of the cell above that end are counted in the bin, although they belong to
    later ones. Their number is known, but not which examples they are. For a right prediction of the cell,
    correct - confidence is at most 1 - (lower end of the cell); for a wrong one it is at least -(upper end). The bounds
    hold for soft labels too, where correct is the probability of being right: they are linear in it.

    Args:
        cells: sums of all cells, (NUM_CELLS,) float64.
        n_bins: number of bins.
        norm: "l1", "l2" or "max".
        debiased: whether the expected noise of the bins is subtracted.

    Returns:
        () float64 each.
    """
    count, confidence, correct = cells[:3]
    keys = torch.arange(NUM_CELLS, device=count.device)
    (cut,), sums = gathered(keys[None], (count[None], confidence[None], correct[None]), n_bins)
    inside, surplus = sums[0][0], (sums[2] - sums[1])[0]
    tops = cell_tops(count.device)
    bottoms = torch.cat([tops.new_zeros(1), tops[:-1]])
    beyond = count.cumsum(0)[cut] - _ranks(count[None], n_bins)[0]
    most = beyond.minimum(correct[cut]) * (1 - bottoms[cut])
    least = beyond.minimum((count - correct)[cut]) * tops[cut]
    # If several bins end in one cell, the first one holds all of it, and the others can only gain examples.
    first = torch.cat([cut.new_ones(1), cut.diff()])[: len(cut)] > 0
    none = count.new_zeros(1)
    gained = [torch.cat([none, part]) for part in (beyond, most, least)]
    lost = [torch.cat([part * first, none]) for part in (beyond, most, least)]
    fewest, largest = (inside - lost[0]).clamp(min=0), inside + gained[0]
    low, high = surplus - lost[1] - gained[2], surplus + lost[2] + gained[1]
    nearest, farthest = torch.maximum(low, -high).clamp(min=0), torch.maximum(high, -low)
    # a gap is at most 1
    gap = farthest / fewest.clamp(min=1)
    ends = nearest / largest.clamp(min=1), gap.clamp(max=1)
    if norm == "max":
        return ends[0].max(), ends[1].max()
    total = count.sum()
    if norm == "l1":
        return nearest.sum() / total, (farthest.sum() / total).clamp(max=1)
    # The noise of a bin times its share is below 1 / N, and so is the term of a bin of one example.
    squares = (nearest * ends[0]).sum() - (n_bins if debiased else 0), (farthest * ends[1]).sum()
    return (squares[0] / total).clamp(min=0).sqrt(), (squares[1] / total).clamp(max=1).sqrt()


def with_ends(cuts: Tensor) -> Tensor:
    """Return the (L, B - 1) inner edges of bins with 0 before and 1 after them."""
    ends = cuts.new_tensor([0.0, 1.0]).expand(len(cuts), 2)
    return torch.cat([ends[:, :1], cuts, ends[:, 1:]], -1)


@lru_cache
def cell_tops(device: torch.device) -> Tensor:
    """Return the largest number of each cell, (NUM_CELLS,) float64."""
    cells = torch.arange(NUM_CELLS)
    # Non-negative floats are ordered like their bits, so bisect the bits.
    low, high = torch.zeros_like(cells), torch.ones(NUM_CELLS, dtype=torch.float64).view(torch.int64)
    while bool((low < high).any()):
        middle = low + (high - low + 1) // 2
        inside = cell_of(middle.view(torch.float64)) <= cells
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle - 1)
    return low.view(torch.float64).to(device)


def _ranks(count: Tensor, n_bins: int) -> Tensor:
    """Return the rank of the last example of each bin except the last, (L, B - 1) float64."""
    return (torch.arange(1, n_bins, device=count.device) * count.sum(-1, keepdim=True) / n_bins).ceil()
