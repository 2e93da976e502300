"""Counts of rows for the page that no metric provides, accumulated like metrics."""

import torch
from torch import Tensor

from softtargets.metrics import NLL
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows
from softtargets.metrics.sums import Field, GroupedSums

# Cells of equal width in the histogram of confidences.
CELLS = 20


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


class RowCounts(Accumulator):
    """Counts by class and by confidence, in one group."""

    def total(self, name: str) -> Tensor:
        """Return a count or a sum over all rows, float64."""
        return self._totals()[name][0]

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {
            "labels": Field((num_classes,)),
            "predicted": Field((num_classes,)),
            "right": Field((num_classes,)),
            "confidence": Field((num_classes,), real=True),
            "histogram": Field((2 * CELLS,)),
            "zero": Field(),
        }

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        sums.count("labels", group, rows.labels)
        sums.count("predicted", group, rows.predicted)
        sums.count("right", group, rows.labels, times=rows.correct)
        sums.add("confidence", group, rows.predicted, rows.confidence)
        cell = ((rows.confidence * CELLS).ceil().long() - 1).clamp(0, CELLS - 1)
        sums.count("histogram", group, cell + CELLS * rows.correct)
        sums.count("zero", group, times=rows.log_likelihood == -torch.inf)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["right"].sum(-1) / totals["rows"]
