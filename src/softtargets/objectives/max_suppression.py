"""Max suppression."""

from torch import Tensor

from softtargets import losses
from softtargets._spec import Fraction
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import objective
from softtargets.objectives.schedules import Scheduled
from softtargets.targets import Ramp


@objective("max_suppression")
class MaxSuppression(Scheduled):
    """MaxSup: smoothing that lowers the largest logit, changed linearly to `final_smoothing` over training."""

    smoothing: Fraction = 0.1
    final_smoothing: Fraction = 0.2

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        ramp = Ramp(self.smoothing, self.final_smoothing, first_epoch=0, last_epoch=1)
        return losses.max_suppression(logits, batch.labels, smoothing=ramp(self.share))
