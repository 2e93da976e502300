"""Order statistics of the columns of probabilities, exact, in two passes."""

import torch
from torch import Tensor

from softtargets._native.columns import cells_of, count_cells, select_entries
from softtargets.noise.streaming.blocks import LabelledBlock

# Cells of the histogram of a column: the upper half of the bits of a float32 in [0, 1].
CELLS = 0x3F80 + 1
# Values that are collected before equal ones are joined.
_LOOSE = 2**20


class ColumnRanks:
    """The values at chosen ranks of every column: the first pass counts cells, the second collects one cell per rank.

    float32 values have at most 65,536 distinct values in a cell.

    Args:
        num_classes: number of columns, K.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._counts = torch.zeros(num_classes, CELLS, dtype=torch.int64)
        self._cells: list[Tensor] = []
        self._ranks: list[Tensor] = []
        self._loose: list[tuple[Tensor, Tensor, Tensor]] = []

    def count(self, block: LabelledBlock) -> None:
        """Add a block of the first pass."""
        count_cells(block.probs, self._counts)

    def ask(self, ranks: Tensor) -> int:
        """Ask for the value at a rank of each column after the first pass; return the number of the question.

        Args:
            ranks: (K,) int64, counted from 0 in ascending order; negative for columns that are not asked for.
        """
        below = self._counts.cumsum(1)
        cells = torch.searchsorted(below, ranks[:, None], right=True)[:, 0]
        before = torch.where(cells > 0, below.gather(1, (cells - 1).clamp(min=0)[:, None])[:, 0], 0)
        self._cells.append(torch.where(ranks >= 0, cells, -1).int())
        self._ranks.append(ranks - before)
        return len(self._ranks) - 1

    def collect(self, block: LabelledBlock) -> None:
        """Add a block of the second pass."""
        for question, cells in enumerate(self._cells):
            row, column = self._in_cells(block.probs, cells)
            values = block.probs[row, column].double()
            self._loose.append((column + question * self.num_classes, values, torch.ones_like(column)))
        if sum(len(values) for _, values, _ in self._loose) > _LOOSE:
            self._loose = [self._joined()]

    def found(self, question: int) -> Tensor:
        """Return the values after the second pass, (K,) float64; NaN for columns that were not asked for."""
        self._loose = [self._joined()]
        columns, values, times = self._loose[0]
        ranks = self._ranks[question]
        asked = self._cells[question] >= 0
        total = torch.cat([times.new_zeros(1), times.cumsum(0)])
        start = torch.searchsorted(columns, torch.arange(self.num_classes) + question * self.num_classes)
        places = torch.searchsorted(total, total[start] + ranks, right=True) - 1
        found = torch.full((self.num_classes,), torch.nan, dtype=torch.float64)
        found[asked] = values[places[asked]]
        return found

    def _in_cells(self, probs: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns of the entries in one cell of each column; -1 for no cell."""
        if probs.dtype != torch.float32:
            row, column = (cells_of(probs, CELLS) == cells).nonzero(as_tuple=True)
            return row, column
        low, high = ((cells + more << 16).view(torch.float32) for more in (0, 1))
        low = low.masked_fill(cells == 0, -torch.inf)
        high = high.masked_fill(cells == CELLS - 1, torch.inf).masked_fill(cells < 0, -torch.inf)
        return select_entries(probs, low, high)

    def _joined(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return columns, values and how often each occurs, sorted by column and value."""
        columns, values, times = map(torch.cat, zip(*self._loose, strict=True))
        order = values.argsort()
        order = order[columns[order].argsort(stable=True)]
        columns, values, times = columns[order], values[order], times[order]
        new = torch.ones_like(columns, dtype=torch.bool)
        new[1:] = (columns[1:] != columns[:-1]) | (values[1:] != values[:-1])
        place = new.long().cumsum(0) - 1
        joined = times.new_zeros(int(new.sum())).index_add_(0, place, times)
        return columns[new], values[new], joined
