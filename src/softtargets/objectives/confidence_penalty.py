"""Confidence penalty."""

from torch import Tensor

from softtargets import losses
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("confidence_penalty")
class ConfidencePenalty(Objective):
    """Cross entropy plus a penalty on low entropy of the predictions."""

    weight: NonNegative = 0.1

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, batch.labels) + self.weight * losses.confidence_penalty(logits)
