"""The ranking of labels that are read block by block: counts of scores, and the rows with the lowest ones."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets.noise._suspects import ExpectedWrong, odds_factor, with_intervals

# Distinct scores that are counted exactly.
MOST_SCORES = 2**20


class ScoreCounts:
    """How often each score occurs.

    Up to 1,048,576 distinct scores are counted exactly. Above that, the last bits of the scores are dropped, as few as
    necessary, so the result does not depend on the order of the rows.

    Args:
        most: largest number of distinct scores.
    """

    def __init__(self, most: int = MOST_SCORES) -> None:
        self._most, self._dropped = most, 0
        self._keys = torch.zeros(0, dtype=torch.int32)
        self._counts = torch.zeros(0, dtype=torch.int64)
        self._new: list[Tensor] = []

    def add(self, scores: Tensor) -> None:
        """Add (n,) float32 scores of at least 0."""
        # adding 0 turns -0 into 0
        self._new.append((scores + 0.0).view(torch.int32) >> self._dropped)
        if sum(map(len, self._new)) > self._most:
            self._join()

    def merge(self, other: "ScoreCounts") -> None:
        """Add the scores of another object."""
        self._join()
        other._join()
        self._drop(other._dropped)
        self._put(other._keys >> (self._dropped - other._dropped), other._counts)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the scores in ascending order, (V,) float32, and how often each occurs, (V,) int64."""
        self._join()
        middle = (1 << self._dropped) >> 1
        return ((self._keys << self._dropped) + middle).view(torch.float32), self._counts

    def places(self, scores: Tensor) -> Tensor:
        """Return the places of added scores in the result of `compute`."""
        return torch.searchsorted(self._keys, (scores + 0.0).view(torch.int32) >> self._dropped)

    def _join(self) -> None:
        if self._new:
            keys, counts = torch.cat(self._new).unique(return_counts=True)
            self._new = []
            self._put(keys, counts)

    def _put(self, keys: Tensor, counts: Tensor) -> None:
        keys, counts = torch.cat([self._keys, keys]), torch.cat([self._counts, counts])
        self._keys, place = keys.unique(return_inverse=True)
        self._counts = counts.new_zeros(len(self._keys)).index_add_(0, place, counts)
        while len(self._keys) > self._most:
            self._drop(self._dropped + 1)

    def _drop(self, bits: int) -> None:
        """Drop bits up to this number."""
        if bits > self._dropped:
            keys, place = (self._keys >> (bits - self._dropped)).unique_consecutive(return_inverse=True)
            self._counts = self._counts.new_zeros(len(keys)).index_add_(0, place, self._counts)
            self._keys, self._dropped = keys, bits


class LowestRows:
    """The rows with the lowest scores, of ties the first rows, with further columns.

    Args:
        most: largest number of rows that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[dict[str, Tensor]] = []
        self._bound = math.inf

    def add(self, scores: Tensor, columns: Callable[[Tensor], dict[str, Tensor]]) -> None:
        """Add rows.

        Args:
            scores: (n,) without NaN.
            columns: returns columns by name of the chosen rows, (m,) int64 indices; one of them is "row".
        """
        chosen = (scores <= self._bound).nonzero().flatten()
        self._kept.append({**columns(chosen), "score": scores[chosen]})
        # so rarely that the cost is proportional to the rows
        if sum(len(part["row"]) for part in self._kept) > self._most + max(self._most // 4, 2**16):
            self.compute()

    def compute(self) -> dict[str, Tensor]:
        """Return the columns of the rows, and their "score", in ascending order of the scores, ties by row."""
        names = self._kept[0]
        whole = {name: torch.cat([part[name] for part in self._kept]) for name in names}
        order = whole["row"].argsort()
        order = order[whole["score"][order].argsort(stable=True)][: self._most]
        kept = {name: values[order] for name, values in whole.items()}
        self._kept = [kept]
        if len(order) == self._most:
            self._bound = float(kept["score"][-1]) if self._most else -math.inf
        return kept


@dataclass(frozen=True, eq=False)
class WrongCurve:
    """The expected number of wrong labels along a ranking, as :func:`~softtargets.noise.expected_wrong` estimates it.

    Args:
        wrong: (V,) float64, probability that a label with each distinct score is wrong, in the order of the ranking.
        low, high: (V,) float64, the same at the ends of the interval of the noise rate.
        counts: (V,) int64, number of labels with each score.
        confidence: confidence of the interval.
    """

    wrong: Tensor
    low: Tensor
    high: Tensor
    counts: Tensor
    confidence: float

    @classmethod
    def of(
        cls, posterior: Tensor, counts: Tensor, *, rate: float, rate_interval: tuple[float, float], confidence: float
    ) -> "WrongCurve":
        """Calibrate the probabilities so that their mean is the noise rate.

        Args:
            posterior: (V,) float32, distinct probabilities that a label is right, in ascending order.
            counts: (V,) int64, number of labels with each.
            rate, rate_interval: estimated noise rate, and the ends of its interval.
            confidence: confidence of the interval.
        """
        size = int(counts.sum())
        # Clamped to a resolution of one in N: a label with probability 1 would count as wrong at every noise rate.
        odds = torch.logit((1 - posterior.double()).clamp(0.5 / size, 1 - 0.5 / size))
        wrong, low, high = (torch.sigmoid(odds + odds_factor(odds, end, counts)) for end in (rate, *rate_interval))
        return cls(wrong, low, high, counts, confidence)

    def share_above(self, probability: float) -> float:
        """Return the expected share of the wrong labels whose probability of being wrong is at least this."""
        numbers = self.wrong * self.counts
        total = numbers.sum().clamp(min=torch.finfo(numbers.dtype).tiny)
        return float(numbers[self.wrong >= probability].sum() / total)

    def best_cutoff(self, most: int) -> int:
        """Return the number of first labels, at most `most`, that have the largest expected F1.

        F1 of the first m labels = 2 (expected wrong among them) / (m + expected wrong among all). It is 0 if less than
        half a wrong label is expected.
        """
        numbers = self.wrong * self.counts
        total = float(numbers.sum())
        if total < 0.5 or most < 1:
            return 0
        ends = self.counts.cumsum(0)
        score = numbers.cumsum(0) / (ends + total)
        score[ends > most] = -1.0
        best = int(score.argmax())
        return int(ends[best]) if float(score[best]) >= 0 else most

    def at(self, first: Tensor) -> ExpectedWrong:
        """Return the expected number of wrong labels among the first m labels, for some m, (M,) int64."""
        ends = self.counts.cumsum(0)
        place = torch.searchsorted(ends, first)
        beyond = first - (ends - self.counts)[place]

        def until(each: Tensor) -> Tensor:
            sums = (each * self.counts).cumsum(0)
            return (sums - each * self.counts)[place] + each[place] * beyond

        variance = until(self.wrong * (1 - self.wrong))
        return with_intervals(until(self.wrong), (until(self.low), until(self.high)), variance, first, self.confidence)
