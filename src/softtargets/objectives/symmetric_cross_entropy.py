"""Symmetric cross entropy."""

from torch import Tensor

from softtargets import losses
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("symmetric_cross_entropy")
class SymmetricCrossEntropy(Objective):
    """SCE: cross entropy plus reverse cross entropy; weights 0.1 and 1 on CIFAR-10, 6 and 0.1 on CIFAR-100."""

    cross_entropy_weight: NonNegative = 0.1
    reverse_weight: NonNegative = 1.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.symmetric_cross_entropy(
            logits,
            batch.labels,
            cross_entropy_weight=self.cross_entropy_weight,
            reverse_weight=self.reverse_weight,
        )
