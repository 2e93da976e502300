"""Focal loss."""

from torch import Tensor

from softtargets import losses
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("focal")
class Focal(Objective):
    """Focal loss: cross entropy scaled by (1 - p_label)^gamma."""

    gamma: NonNegative = 3.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.focal_loss(logits, batch.labels, gamma=self.gamma)
