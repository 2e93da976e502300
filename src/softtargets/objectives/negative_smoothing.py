"""Negative label smoothing."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from softtargets import losses
from softtargets._spec import Share
from softtargets.objectives.context import Batch
from softtargets.objectives.floor import Floor, mean_over_labels
from softtargets.objectives.objective import objective
from softtargets.objectives.schedules import Scheduled


@objective("negative_smoothing")
class NegativeSmoothing(Scheduled):
    """NLS: cross entropy for the share `warmup` of training, then label smoothing below 0.

    Without a floor the objective is unbounded.
    """

    smoothing: Annotated[float, Field(lt=0)] = -0.4
    warmup: Share = 0.5
    floor: Floor = 1e-8

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        own = losses.cross_entropy(logits, batch.labels)
        if self.share < self.warmup:
            return own
        return (1 - self.smoothing) * own + self.smoothing * mean_over_labels(logits, self.floor)
