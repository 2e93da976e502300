"""Thresholds of nonconformity scores: one for all classes, or one for each class."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softtargets._errors import sentence, unknown
from softtargets.calibration.conformal.quantiles import corrected_quantile, least_rows, order_statistics

Rare = Literal["include", "merge"]
RARE: tuple[Rare, ...] = ("include", "merge")
# At most this many classes are named in a warning.
_MOST_NAMED = 10


@dataclass(frozen=True, eq=False)
class FittedThresholds:
    """Fitted thresholds: (1,) for all classes together, or (K,).

    Args:
        values: float64; a class is in a set if its score is at most this.
        effective_rows: float64, the number of rows with clean labels that would determine each threshold as well.
        class_rows: (K,) int64, number of rows with each label.
    """

    values: Tensor
    effective_rows: Tensor
    class_rows: Tensor


@dataclass(frozen=True)
class ThresholdRule:
    """Which rows determine the threshold of a class.

    Args:
        alpha: share of sets that may miss the label, in (0, 1).
        class_conditional: whether each class has its own threshold.
        rare: rule for classes with fewer rows than a finite threshold needs.
    """

    alpha: float
    class_conditional: bool = False
    rare: Rare = "include"

    def __post_init__(self) -> None:
        if self.rare not in RARE:
            raise unknown("rare", str(self.rare), RARE)

    def clean(self, scores: Tensor, labels: Tensor, num_classes: int) -> FittedThresholds:
        """Return the thresholds for the (N,) scores of clean labels, (N,) int64."""
        rows = labels.bincount(minlength=num_classes)
        group = self._groups(rows)
        counts = torch.zeros_like(rows).index_add(0, group, rows)
        values = order_statistics(scores, group[labels], counts, self.alpha)
        return self._of_groups(values, counts.double(), group, rows)

    def corrected(self, scores: Tensor, weights: Tensor, labels: Tensor) -> FittedThresholds:
        """Return the thresholds for clean labels, from noisy ones.

        Args:
            scores: (N, K) float64, the scores of all classes.
            weights: (N, K) float64, weights of :func:`~softtargets.calibration.conformal.quantiles.noise_weights`.
            labels: (N,) int64, the noisy labels.
        """
        clean = weights.sum(0)
        group = self._groups(clean)
        values, effective = torch.full_like(clean, torch.inf), torch.zeros_like(clean)
        for number in group.unique().tolist():
            classes = group == number
            values[number], effective[number] = corrected_quantile(scores[:, classes], weights[:, classes], self.alpha)
        return self._of_groups(values, effective, group, labels.bincount(minlength=scores.shape[1]))

    def too_few(self, found: FittedThresholds) -> str:
        """Return a warning if a threshold is infinite, so that its classes are in every set; else empty text."""
        always = found.values.isinf().nonzero()[:, 0].tolist()
        if not always:
            return ""
        least = f"at least {least_rows(self.alpha):,} clean rows"
        if not self.class_conditional:
            got = f"{float(found.effective_rows[0]):,.0f}, so that every set has all classes"
            return sentence("alpha", f"{least} for alpha = {self.alpha:g}", got, "add rows or increase alpha")
        named = ", ".join(map(str, always[:_MOST_NAMED]))
        named += f" and {len(always) - _MOST_NAMED:,} more" if len(always) > _MOST_NAMED else ""
        got = f"fewer for the classes {named}, which are in every set"
        remedy = "add rows, increase alpha, or set rare='merge'"
        return sentence("alpha", f"{least} of each class for alpha = {self.alpha:g}", got, remedy)

    def _groups(self, rows: Tensor) -> Tensor:
        """Return which threshold each class has, (K,) int64, from the number of rows of each class, (K,)."""
        if not self.class_conditional:
            return torch.zeros_like(rows, dtype=torch.int64)
        group = torch.arange(len(rows), device=rows.device)
        few = rows < least_rows(self.alpha)
        if self.rare == "merge" and bool(few.any()):
            group[few] = group[few][0].clone()
        return group

    def _of_groups(self, values: Tensor, effective: Tensor, group: Tensor, rows: Tensor) -> FittedThresholds:
        which = group if self.class_conditional else group[:1]
        return FittedThresholds(values[which], effective[which], rows)
