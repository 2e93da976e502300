"""Rates met: by rounding running totals, by moving a mean; and examples in random order within their class."""

import torch
from torch import Tensor


def rounded(wanted: Tensor, generator: torch.Generator | None) -> Tensor:
    """Round (M,) float64 numbers to int64 so that the sum of any that follow each other is within one of theirs.

    The running total is rounded, from a random offset, so that each is right on average.
    """
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    # keeps a total that is whole but for rounding from losing an example
    totals = torch.floor(wanted.cumsum(0) + (offset + 1e-9)).long()
    return torch.diff(totals, prepend=totals.new_zeros(1))


def shuffled_by_class(labels: Tensor, num_classes: int, generator: torch.Generator | None) -> Tensor:
    """Return the (N,) rows of (N,) labels in order of their class, and within it at random."""
    order = torch.randperm(len(labels), generator=generator, dtype=torch.int32)
    # the sort goes through the bytes of a number, one after the other
    narrow = labels.to(torch.int16 if num_classes <= 2**15 else torch.int32)
    grouped = narrow.index_select(0, order).argsort(stable=True)
    return order.index_select(0, grouped).long()


def with_mean(rates: Tensor, weights: Tensor, mean: float) -> Tensor:
    """Move (M,) rates in [0, 1] so that their mean, under weights that sum to 1, is the one given.

    They are scaled towards 0 where it is too high and towards 1 where it is too low, and so stay within [0, 1].
    """
    found = (rates * weights).sum()
    if found > mean:
        return rates * (mean / found)
    return 1 - (1 - rates) * ((1 - mean) / (1 - found).clamp(min=1e-300))  # all may be 1 already
