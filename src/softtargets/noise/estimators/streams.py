"""The base of estimators of T that read the rows block by block, three times."""

from abc import ABC, abstractmethod

from torch import Tensor

from softtargets.matrices import Transition
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.columns import ColumnRanks


class TransitionStream(ABC):
    """An estimator of T that sees every block of rows once in each of three passes, in the order of the rows.

    Args:
        num_classes: number of classes, K.
        ranks: order statistics of the columns, shared by all estimators. Ask for them in `begin_second`; they are known
            in `begin_third`.
    """

    def __init__(self, num_classes: int, ranks: ColumnRanks) -> None:
        self.num_classes, self.ranks = num_classes, ranks

    def first(self, block: LabelledBlock) -> None:
        """Add a block of the first pass."""

    def begin_second(self, class_counts: Tensor) -> None:
        """Prepare the second pass; `class_counts` are the numbers of labels, (K,) int64."""

    def second(self, block: LabelledBlock) -> None:
        """Add a block of the second pass."""

    def begin_third(self) -> None:
        """Prepare the third pass."""

    def third(self, block: LabelledBlock) -> None:
        """Add a block of the third pass."""

    @abstractmethod
    def result(self) -> Transition | ConfidentJoint:
        """Return the estimate: after the second pass for the confident joint, after the third for all others."""
