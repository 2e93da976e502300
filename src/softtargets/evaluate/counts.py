"""Counts of rows for the page that no metric provides, accumulated like metrics."""

import math

import torch
from torch import Tensor

from softtargets.metrics import NLL
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows
from softtargets.metrics.sums import Field, GroupedSums

# Cells of equal width in the histogram of confidences.
CELLS = 20
# Smallest probability of a label in the floored NLL.
FLOOR = 1e-6
# Classes up to which the confusion matrix is counted.
MOST_CONFUSED = 1000


class Overconfidence(Accumulator):
    """Mean confidence minus accuracy."""

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"confidence": Field(real=True), "correct": Field()}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        sums.add("confidence", group, None, rows.confidence)
        sums.count("correct", group, times=rows.correct)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return (totals["confidence"] - totals["correct"]) / totals["rows"]


class Perplexity(NLL):
    """Exponential of the mean negative log-likelihood."""

    least = 1.0

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return super()._value(totals).exp()


class FlooredNLL(NLL):
    """Mean negative log-likelihood, with the probability of each label raised to at least :data:`FLOOR`."""

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        sums.add("nll", group, None, -rows.log_likelihood.clamp(min=math.log(FLOOR)))


class RowCounts(Accumulator):
    """Counts by class and by confidence, in one group."""

    def total(self, name: str) -> Tensor:
        """Return a count or a sum over all rows, float64."""
        return self._totals()[name][0]

    def confusion(self) -> Tensor | None:
        """Return the numbers of rows by label and predicted class, (K, K) float64; None for too many classes."""
        found = self._totals().get("confusion")
        return None if found is None else found[0].view(self.num_classes or 0, -1)

    def _fields(self, num_classes: int) -> dict[str, Field]:
        matrix = {"confusion": Field((num_classes**2,))} if num_classes <= MOST_CONFUSED else {}
        return {
            **matrix,
            "labels": Field((num_classes,)),
            "predicted": Field((num_classes,)),
            "right": Field((num_classes,)),
            "confidence": Field((num_classes,), real=True),
            "histogram": Field((2 * CELLS,)),
            "zero": Field(),
        }

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        if rows.num_classes <= MOST_CONFUSED:
            sums.count("confusion", group, rows.labels * rows.num_classes + rows.predicted)
        sums.count("labels", group, rows.labels)
        sums.count("predicted", group, rows.predicted)
        sums.count("right", group, rows.labels, times=rows.correct)
        sums.add("confidence", group, rows.predicted, rows.confidence)
        cell = ((rows.confidence * CELLS).ceil().long() - 1).clamp(0, CELLS - 1)
        sums.count("histogram", group, cell + CELLS * rows.correct)
        sums.count("zero", group, times=rows.log_likelihood == -torch.inf)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["right"].sum(-1) / totals["rows"]
