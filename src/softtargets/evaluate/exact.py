"""Metrics computed from every row instead of a sketch, while the rows fit in memory."""

import math

import torch
from torch import Tensor

from softtargets import metrics
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows
from softtargets.metrics.sums import Field, GroupedSums

# Rows whose confidences are kept, and numbers in the probabilities that stand for them.
MOST_ROWS, MOST_NUMBERS = 2**20, 2**25


class ConfidenceList(Accumulator):
    """The confidence of every row, and whether it is right; nothing beyond 1,048,576 rows."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[Tensor, Tensor]] | None = []

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"correct": Field()}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        sums.count("correct", group, times=rows.correct)
        if self._kept is not None:
            self._kept.append((rows.confidence.double(), rows.correct))
            if sum(len(part) for part, _ in self._kept) > MOST_ROWS:
                self._kept = None

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["correct"] / totals["rows"]

    def exact(self, n_bins: int) -> dict[str, float]:
        """Return the metrics by name that are otherwise computed from a sketch; none if there are too many rows.

        They depend on the confidences and on which rows are right alone. So they are computed from rows that have the
        same confidences, with the rest of the probability spread over as many classes as it needs.
        """
        if not self._kept:
            return {}
        confidence, correct = (torch.cat(column) for column in zip(*self._kept, strict=True))
        # one class more than necessary, so that no other class is as likely
        classes = math.ceil(1 / float(confidence.min())) + 1
        if len(confidence) * classes > MOST_NUMBERS:
            return {}
        probs = ((1 - confidence) / (classes - 1))[:, None].repeat(1, classes)
        probs[:, 0] = confidence
        labels = (~correct).long()
        return {
            "ece_mass": float(metrics.ece(probs, labels, n_bins=n_bins, binning="mass")),
            "aurc": float(metrics.aurc(probs, labels)),
            "excess_aurc": float(metrics.excess_aurc(probs, labels)),
            "misclassification_auroc": float(metrics.misclassification_auroc(probs, labels)),
            "coverage_at_1": float(metrics.coverage_at_risk(probs, labels, risk=0.01)),
            "coverage_at_5": float(metrics.coverage_at_risk(probs, labels, risk=0.05)),
        }
