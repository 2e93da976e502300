"""Poly-1 loss."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from softtargets import losses
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("poly1")
class Poly1(Objective):
    """Poly-1 loss: cross entropy plus epsilon (1 - p_label)."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"poly-1-loss": ""}
    takes_soft_targets: ClassVar[bool] = True

    epsilon: Annotated[float, Field(ge=-1)] = 2.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.poly1_loss(logits, batch.labels_or_targets, epsilon=self.epsilon)
