"""Scores against votes, accumulated for one model; and what is listed for each row."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from softtargets import metrics
from softtargets.evaluate.catalog import BINS, GROUPS
from softtargets.evaluate.values import IntervalEnds, MetricValue
from softtargets.evaluate.votes.results import VoteRows, VoteScores
from softtargets.metrics import Accumulator
from softtargets.metrics.arguments import Kind
from softtargets.metrics.bootstrap import Bootstrap
from softtargets.metrics.rows import Rows, chunks
from softtargets.metrics.sums import Field, GroupedSums

# Cells of equal width in the histogram of entropies.
CELLS = 10
# Rows that are listed in a file.
MOST_ROWS = 1_000_000
NAMES = ("accuracy", "nll", "brier", "ece")
# Smallest number of rows for an interval, as for all metrics.
_LEAST, _CONFIDENCE = 20, 0.95
# Rounding of shares of votes; votes that differ do so by far more.
_ROUNDING = 1e-9


class Divergence(metrics.NLL):
    """Mean Kullback-Leibler divergence from the votes to the predictions: NLL minus the entropy of the votes."""

    def _soft_fields(self, num_classes: int) -> dict[str, Field]:
        return {**self._fields(num_classes), "entropy": Field(real=True)}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        super()._add(sums, rows, group)
        if rows.soft is not None:
            sums.add("entropy", group, None, metrics.label_entropy(rows.soft))

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return super()._value(totals) - totals["entropy"] / totals["rows"]


class VoteCounts(Accumulator):
    """Counts of rows by the agreement of their votes, in one group."""

    def total(self, name: str) -> list[int]:
        """Return counts over all rows."""
        return [int(number) for number in self._totals()[name].reshape(-1).tolist()]

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"ties": Field(), "unanimous": Field(), "entropies": Field((CELLS,))}

    _soft_fields = _fields

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        assert rows.soft is not None
        top = rows.soft.amax(1, keepdim=True)
        sums.count("ties", group, times=(rows.soft >= top - _ROUNDING).sum(1) > 1)
        sums.count("unanimous", group, times=top[:, 0] >= 1 - _ROUNDING)
        entropy = metrics.label_entropy(rows.soft) / math.log(rows.num_classes)
        sums.count("entropies", group, (entropy * CELLS).long().clamp(max=CELLS - 1))

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["unanimous"] / totals["rows"]


class VoteSuite:
    """Accumulators of the scores of one model against votes.

    Args:
        seed: seed of the groups and of the draws.
        draws: number of bootstrap draws for each interval.
    """

    def __init__(self, seed: int, *, draws: int) -> None:
        self.seed, self.draws = seed, draws
        groups: dict[str, Any] = {"seed": seed, "groups": GROUPS}
        self._scores: dict[str, Accumulator] = {
            "accuracy": metrics.Accuracy(**groups),
            "nll": metrics.NLL(**groups),
            "brier": metrics.Brier(**groups),
            "ece": metrics.ECE(n_bins=BINS, **groups),
            "divergence": Divergence(**groups),
        }
        self.counts, self._least = VoteCounts(), metrics.LabelUncertainty()
        self._all = metrics.Collection({**self._scores, "counts": self.counts, "least": self._least})

    def update(self, values: Tensor, kind: Kind, soft: Tensor, ids: Tensor) -> None:
        """Add (n, K) predictions with the (n, K) distributions of their labels, and (n,) ids."""
        if kind == "probs":
            self._all.update(values, soft, ids=ids)
        else:
            self._all.update(logits=values, labels=soft, ids=ids)

    def least(self) -> dict[str, float]:
        """Return the best value of every score that any predictions can reach."""
        nll, brier, error = self._least.compute().tolist()
        return {"accuracy": 1 - error, "nll": nll, "brier": brier, "ece": 0.0}

    def scores(self) -> VoteScores:
        """Return every score with its interval, which resamples whole rows with all of their votes."""
        enough = self.counts.count >= _LEAST
        why = "" if enough else f"No interval: there are fewer than {_LEAST} rows."
        made = Bootstrap(self._scores.values(), n_draws=self.draws, confidence=_CONFIDENCE, seed=self.seed)
        found: dict[str, tuple[float, IntervalEnds | None]] = {}
        for name, accumulator in self._scores.items():
            value, ends = float(accumulator.compute()), None
            if enough and math.isfinite(value):
                interval = made.interval(accumulator)
                ends = IntervalEnds(float(interval.low), float(interval.high))
            found[name] = value, ends
        infinite = "No interval: a class with votes has probability 0, which makes the value infinite."
        values = tuple(
            MetricValue(name, value, ends, infinite if math.isinf(value) else why)
            for name, (value, ends) in found.items()
            if name in NAMES
        )
        return VoteScores(values, *found["divergence"])


class RowRecorder:
    """Collects what is listed for each row, up to `MOST_ROWS` rows."""

    def __init__(self) -> None:
        self._parts: list[VoteRows] = []
        self._rows, self._complete = 0, True

    def add(self, values: Sequence[Tensor], kinds: Sequence[Kind], soft: Tensor, ids: Tensor) -> None:
        """Add (n, K) predictions of each model with the (n, K) distributions of their labels, and (n,) ids."""
        kept = max(0, MOST_ROWS - self._rows)
        self._complete &= len(ids) <= kept
        soft, ids = soft[:kept], ids[:kept]
        if not len(ids):
            return
        self._rows += len(ids)
        found = [_read(some[:kept], kind, soft) for some, kind in zip(values, kinds, strict=True)]
        predicted, agreement, nll = (tuple(parts) for parts in zip(*found, strict=True))
        share, labels = soft.max(1)
        entropy = metrics.label_entropy(soft)
        self._parts.append(VoteRows(ids, labels, share, entropy, predicted, agreement, nll, True))

    def rows(self) -> VoteRows:
        """Return what was collected."""
        return VoteRows.joined(self._parts, complete=self._complete)


def _read(values: Tensor, kind: Kind, soft: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the predicted class, the share of votes for it, and the expected NLL of each row."""
    rows = list(chunks(**{kind: values}, labels=soft, soft=True))  # pyright: ignore[reportArgumentType]
    return (
        torch.cat([some.predicted for some in rows]),
        torch.cat([some.hits() for some in rows]),
        torch.cat([-some.log_likelihood for some in rows]),
    )
