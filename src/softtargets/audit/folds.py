"""The division of rows into folds."""

import torch
from torch import Tensor


def fold_of(count: int, folds: int, seed: int) -> Tensor:
    """Return the fold of each row, (count,) int64; the sizes of folds differ by at most 1."""
    fold = torch.empty(count, dtype=torch.int64)
    fold[torch.randperm(count, generator=torch.Generator().manual_seed(seed))] = torch.arange(count) % folds
    return fold
