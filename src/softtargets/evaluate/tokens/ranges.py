"""Metrics of the tokens of sequences by position, and by how frequent their labels and predictions are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softtargets.evaluate.catalog import OF_TOKENS
from softtargets.evaluate.inputs import units_of
from softtargets.evaluate.suite import MetricSuite
from softtargets.metrics.arguments import Kind

Key = Literal["position", "label", "predicted"]


@dataclass(frozen=True, eq=False)
class TokenPartition:
    """Ranges of positions, or of frequencies.

    Args:
        key: what determines the range of a token: its position, or how often its label or its predicted token occurs.
        ranges: the first and the last number of each range.
        lookup: the range of each position (L,), or of each class (K,), int64.
    """

    key: Key
    ranges: tuple[tuple[int, int], ...]
    lookup: Tensor


@dataclass(frozen=True, eq=False)
class TokenBins:
    """The ranges of the tokens of an evaluation.

    Args:
        num_classes: K.
        positions: L.
        partitions: one for each key.
    """

    num_classes: int
    positions: int
    partitions: tuple[TokenPartition, ...]

    @classmethod
    def of(cls, counts: Tensor, positions: int) -> "TokenBins":
        """Return positions 0, 1, 2 to 3, 4 to 7, ... and frequencies 0, 1 to 9, 10 to 99, ...

        Args:
            counts: (K,) int64, how often each token occurs.
            positions: L.

        Example:
            >>> found = TokenBins.of(torch.tensor([0, 3, 500]), 6)
            >>> [(one.key, one.ranges, one.lookup.tolist()) for one in found.partitions[:2]]
            [('position', ((0, 0), (1, 1), (2, 3), (4, 5)), [0, 1, 2, 2, 3, 3]), \
('label', ((0, 0), (1, 9), (10, 99), (100, 999)), [0, 1, 3])]
        """
        ranges, lookup = _ranges(torch.arange(positions), base=2)
        ranges = (*ranges[:-1], (ranges[-1][0], positions - 1))
        of_counts, of_classes = _ranges(counts, base=10)
        return cls(
            len(counts),
            positions,
            (
                TokenPartition("position", ranges, lookup),
                TokenPartition("label", of_counts, of_classes),
                TokenPartition("predicted", of_counts, of_classes),
            ),
        )


def _ranges(numbers: Tensor, base: int) -> tuple[tuple[tuple[int, int], ...], Tensor]:
    """Return the ranges 0, 1 to base - 1, base to base^2 - 1, ... up to the largest number, and the range of each."""
    edges = [0, 1]
    while edges[-1] * base <= int(numbers.max()):
        edges.append(edges[-1] * base)
    ends = [*edges[1:], edges[-1] * base]
    ranges = tuple((low, high - 1) for low, high in zip(edges, ends, strict=True))
    return ranges, torch.searchsorted(torch.tensor(edges), numbers, right=True) - 1


class TokenSuites:
    """The metrics of one model for each range of its tokens, and whether its labels seem to be shifted.

    Args:
        bins: the ranges.
        seed: seed of the groups of sequences, and of the draws.
        draws: number of bootstrap draws for each interval.
    """

    def __init__(self, bins: TokenBins, seed: int, *, draws: int) -> None:
        self.bins, self._seed, self._draws = bins, seed, draws
        self._suites: dict[tuple[Key, int], MetricSuite] = {}
        self._last: tuple[Tensor, Tensor, Tensor] | None = None
        # tokens that have a next token, and how many predictions are the own label and the next one
        self.pairs, self.own, self.following = 0, 0, 0

    def update(self, values: Tensor, kind: Kind, labels: Tensor, ids: Tensor) -> None:
        """Add (n, K) predictions of tokens with (n,) labels and increasing ids."""
        predicted = values.argmax(1)
        units = units_of(ids, self.bins.positions)
        keys: dict[Key, Tensor] = {"position": ids % self.bins.positions, "label": labels, "predicted": predicted}
        for partition in self.bins.partitions:
            place = partition.lookup[keys[partition.key]]
            for index in place.unique().tolist():
                rows = place == index
                key = partition.key, index
                if key not in self._suites:
                    self._suites[key] = MetricSuite(
                        self.bins.num_classes, self._seed, draws=self._draws, tokens=True, names=OF_TOKENS
                    )
                self._suites[key].update(values[rows], kind, labels[rows], units[rows])
        self._compare_shifted(predicted, labels, ids)

    def of(self, partition: TokenPartition) -> Iterator[tuple[tuple[int, int], MetricSuite]]:
        """Yield the ranges that have tokens, with their metrics."""
        for index, ends in enumerate(partition.ranges):
            if (partition.key, index) in self._suites:
                yield ends, self._suites[partition.key, index]

    def _compare_shifted(self, predicted: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Count predictions that are the label of the next token of the same sequence."""
        now = predicted, labels, ids
        if self._last is not None:
            predicted, labels, ids = (torch.cat(pair) for pair in zip(self._last, now, strict=True))
        self._last = predicted[-1:], labels[-1:], ids[-1:]
        units = units_of(ids, self.bins.positions)
        beside = (ids[1:] == ids[:-1] + 1) & (units[1:] == units[:-1])
        self.pairs += int(beside.sum())
        self.own += int(((predicted[:-1] == labels[:-1]) & beside).sum())
        self.following += int(((predicted[:-1] == labels[1:]) & beside).sum())
