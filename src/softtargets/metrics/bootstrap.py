"""Bootstrap intervals of several metrics of the same examples, which share their draws."""

from collections.abc import Iterable

import torch
from torch import Tensor

from softtargets.metrics._interval import (
    Interval,
    check_pair,
    difference_of,
    groups_of,
    interval_of,
    replicates_of,
)
from softtargets.metrics.accumulators import Accumulator

__all__ = ["Bootstrap"]


class Bootstrap:
    """Intervals of several accumulators. The replicates of each are computed once.

    The intervals are those of :func:`interval` and :func:`paired_difference` with a generator of this seed.

    Args:
        accumulators: accumulators that are not updated afterwards.
        n_draws: number of replicates.
        confidence: nominal coverage of the intervals, in (0, 1).
        seed: seed of the draws.
    """

    def __init__(self, accumulators: Iterable[Accumulator], *, n_draws: int, confidence: float, seed: int) -> None:
        self.n_draws, self.confidence, self.seed = n_draws, confidence, seed
        self._accumulators = tuple(accumulators)
        self._replicates: dict[Accumulator, Tensor] = {}

    def interval(self, accumulator: Accumulator) -> Interval:
        """Return the interval of one of the accumulators; its errors are those of :func:`interval`."""
        return interval_of(accumulator, self._of(accumulator), self.confidence)

    def difference(self, first: Accumulator, other: "Bootstrap", second: Accumulator) -> Interval:
        """Return the interval of one of the accumulators minus one of `other`, which has the same draws."""
        check_pair(first, second)
        return difference_of(first, second, self._of(first) - other._of(second), self.confidence)

    def _of(self, accumulator: Accumulator) -> Tensor:
        """Return the replicates of an accumulator, computed together with those that have the same groups."""
        if accumulator not in self._replicates:
            counts = groups_of("accumulator", accumulator)
            alike = [one for one in self._accumulators if torch.equal(one.group_counts, counts)]
            generator = torch.Generator().manual_seed(self.seed)
            found = replicates_of(alike, counts, self.n_draws, generator)
            self._replicates.update(zip(alike, found, strict=True))
        return self._replicates[accumulator]
