"""A block of rows, and what several estimates need of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from softtargets._native.label_rows import LabelScan, label_rows

# Numbers in a piece of a block.
PART = 2**20


@dataclass(frozen=True, eq=False)
class LabelledBlock:
    """Consecutive rows with checked probabilities.

    Args:
        probs: (n, K) float32 or float64.
        labels: (n,) int64, in [0, K).
        first_row: index of the first row.
    """

    probs: Tensor
    labels: Tensor
    first_row: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def rows(self) -> Tensor:
        """(n,) int64, the indices of the rows."""
        return torch.arange(self.first_row, self.first_row + len(self))

    @cached_property
    def own(self) -> Tensor:
        """(n,) probabilities of the labels."""
        return self._best.own

    @cached_property
    def predicted(self) -> Tensor:
        """(n,) int64, the most probable classes, of ties the first."""
        own, best, other = self._best.own, self._best.best, self._best.other
        assert best is not None
        assert other is not None
        tied = torch.where(own == best, other.minimum(self.labels), other)
        return torch.where(own > best, self.labels, tied)

    @cached_property
    def _best(self) -> LabelScan:
        found = label_rows(self.probs, self.labels, best=True, other=True)
        assert found is not None
        return found

    def parts(self) -> Iterator["LabelledBlock"]:
        """Yield the rows in pieces that fit into a cache."""
        step = max(1, PART // self.probs.shape[1])
        for start in range(0, len(self), step):
            piece = slice(start, start + step)
            yield LabelledBlock(self.probs[piece], self.labels[piece], self.first_row + start)
