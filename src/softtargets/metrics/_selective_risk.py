"""The metrics of selective classification from counts of predictions by confidence, accumulated."""

from collections.abc import Iterable

import torch
from torch import Tensor

from softtargets._errors import fail_type
from softtargets.metrics._cells import NUM_CELLS
from softtargets.metrics._risk_counts import RiskCoverage, check_risk, curve_of, descending, measures_of, most_coverage
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["SelectiveRisk"]


class SelectiveRisk(Accumulator):
    """AURC, excess AURC, AUROC of error detection and coverage at risk, accumulated; the score is the confidence.

    A ranking is not a sum over examples. The state counts right and wrong predictions in 3,203 cells of confidence, and
    predictions in one cell count as tied. :meth:`bound` bounds the difference.

    Args:
        risks: risks at which the coverage is computed, each in [0, 1].
        groups: as in :class:`Accumulator`; the state takes 51 kB per group.
        seed: as in :class:`Accumulator`.
    """

    def __init__(self, *, risks: tuple[float, ...] = (0.01, 0.05), groups: int = 1, seed: int = 0) -> None:
        if isinstance(risks, str) or not isinstance(risks, Iterable):
            raise fail_type(
                "risks", "a sequence of numbers in [0, 1]", repr(risks), "pass a tuple such as (0.01, 0.05)"
            )
        for risk in (risks := tuple(risks)):
            check_risk("risks", risk)
        self.risks = tuple(float(risk) for risk in risks)
        super().__init__(groups=groups, seed=seed)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the entries of :meth:`compute`, in order."""
        return (
            "aurc",
            "excess_aurc",
            "misclassification_auroc",
            *(f"coverage_at_risk_{risk:g}" for risk in self.risks),
        )

    def bound(self) -> Tensor:
        """Return an upper bound on the difference between each entry of :meth:`compute` and its exact value.

        The exact value lies between the value with all right predictions of each cell first and the value with all
        wrong ones first.

        Returns:
            (len(names),) float64.

        Raises:
            ValueError: if there are no examples.
        """
        value, totals = self.compute(), self._totals()
        right, wrong = descending(totals)
        none = torch.zeros_like(right)
        first, second = torch.stack([right, none], -1).flatten(1), torch.stack([none, wrong], -1).flatten(1)
        best = measures_of(first, second, ())[0]
        first, second = torch.stack([none, right], -1).flatten(1), torch.stack([wrong, none], -1).flatten(1)
        worst = measures_of(first, second, ())[0]
        most = torch.stack([*(most_coverage(right, wrong, risk)[0] for risk in self.risks), *value[:0]])
        # the end of a cell is a threshold of the examples too, so the exact coverage is not lower
        return torch.cat([(best - value[:3]).abs().maximum((worst - value[:3]).abs()), most - value[3:]])

    def curve(self) -> RiskCoverage:
        """Return the risk-coverage curve at the ends of the cells; all its points lie on the exact curve.

        Raises:
            ValueError: if there are no examples.
        """
        right, wrong = (count[0] for count in descending(self._totals()))
        filled = right + wrong > 0
        return curve_of(right[filled], wrong[filled])

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"right": Field((NUM_CELLS,)), "wrong": Field((NUM_CELLS,))}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        sums.count("right", group, rows.cell, rows.correct)
        sums.count("wrong", group, rows.cell, ~rows.correct)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        right, wrong = descending(totals)
        return measures_of(right, wrong, self.risks)
