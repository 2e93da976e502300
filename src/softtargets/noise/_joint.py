"""The joint distribution of clean and observed labels, as confident learning counts it (Northcutt et al. 2021)."""

from dataclasses import dataclass

from torch import Tensor

from softtargets._results import TensorResult
from softtargets.matrices import Transition
from softtargets.noise._transitions import from_confusion

__all__ = ["ConfidentJoint"]


@dataclass(frozen=True, eq=False, repr=False)
class ConfidentJoint(TensorResult):
    """Counts of examples by observed label and by the clean class that the predictions are confident of.

    Args:
        counts: (K, K) int64, row = clean class, column = observed label; at least 1 on the diagonal.
        class_counts: (K,) int64, number of examples of each observed label, confident or not.
        thresholds: (K,) float64, the smallest probability at which an example is counted for a class; infinite for a
            class without labelled examples.
    """

    counts: Tensor
    class_counts: Tensor
    thresholds: Tensor

    @property
    def joint(self) -> Tensor:
        """P(clean, observed), (K, K) float64 that sums to 1: each column scaled to the fraction of its labels."""
        return self._scaled() / self.class_counts.sum()

    @property
    def calibrated_counts(self) -> Tensor:
        """`joint` as whole numbers of examples, (K, K) int64: each column sums to the number of its labels."""
        exact = self._scaled()
        whole = exact.round()
        for given, (column, total) in enumerate(zip(whole.unbind(1), self.class_counts.tolist(), strict=True)):
            missing = round(total - float(column.sum()))
            # entries that rounding reduced most come first; of ties, the last class
            order = (exact[:, given] - column).sort(stable=True).indices
            chosen = order.flip(0)[:missing] if missing > 0 else order[:-missing]
            column[chosen] += 1 if missing > 0 else -1
        return whole.long()

    @property
    def class_prior(self) -> Tensor:
        """Fractions of the clean classes, (K,) float64."""
        return self.joint.sum(1)

    @property
    def transition(self) -> Transition:
        """P(observed | clean); a class without counts keeps its label."""
        return from_confusion(self.joint, keep_empty=True)

    @property
    def noise_rate(self) -> float:
        """Fraction of examples whose observed label is not the clean one."""
        return float(1 - self.joint.trace())

    def __repr__(self) -> str:
        size, total = len(self.class_counts), int(self.class_counts.sum())
        return f"ConfidentJoint({size} classes, {total:,} labels, noise_rate={self.noise_rate:.4g})"

    def _scaled(self) -> Tensor:
        counts = self.counts.double()
        return counts / counts.sum(0) * self.class_counts
