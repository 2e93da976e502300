"""Active passive loss."""

from torch import Tensor

from softtargets import losses
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("active_passive")
class ActivePassive(Objective):
    """APL: normalised plus reverse cross entropy; weights 1 and 1 on CIFAR-10, 10 and 0.1 on CIFAR-100."""

    active_weight: NonNegative = 1.0
    passive_weight: NonNegative = 1.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.active_passive(
            logits, batch.labels, active_weight=self.active_weight, passive_weight=self.passive_weight
        )
