"""Mean absolute error."""

from torch import Tensor

from softtargets import losses
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("mean_absolute_error")
class MeanAbsoluteError(Objective):
    """Mean absolute error, 1 - p_label."""

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.mean_absolute_error(logits, batch.labels)
