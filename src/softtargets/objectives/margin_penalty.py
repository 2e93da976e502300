"""Margin-based label smoothing."""

from torch import Tensor

from softtargets import losses
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("margin_penalty")
class MarginPenalty(Objective):
    """MbLS: cross entropy plus a penalty on logits further than a margin below the largest."""

    weight: NonNegative = 0.1
    margin: NonNegative = 10.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        penalty = losses.margin_penalty(logits, margin=self.margin)
        return losses.cross_entropy(logits, batch.labels) + self.weight * penalty
