"""Peer loss."""

import torch
from pydantic import PrivateAttr
from torch import Tensor

from softtargets import losses
from softtargets._spec import Fraction
from softtargets.objectives.context import Batch
from softtargets.objectives.floor import floored_log_probs
from softtargets.objectives.objective import objective
from softtargets.objectives.schedules import Ramped


@objective("peer")
class Peer(Ramped):
    """Peer loss: cross entropy minus that of inputs and labels of the batch paired at random (Liu & Guo 2020).

    The weight is full after a tenth of the training, as in CIFAR-10N's code.
    """

    ramp_to: Fraction = 0.1
    _generator: torch.Generator | None = PrivateAttr(default=None)

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        # The pairs are drawn with the losses, from whose logits they are made.
        self._generator = generator
        return batch

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        pool = (floored_log_probs(logits, self.floor), batch.labels)
        return losses.peer(logits, batch.labels, weight=self.current_weight, generator=self._generator, pool=pool)
