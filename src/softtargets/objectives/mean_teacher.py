"""Mean teacher: the network agrees with the running average of its own weights."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from softtargets import distill, losses
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import objective
from softtargets.objectives.unlabelled import LearnsUnlabelled


@objective("mean_teacher")
class MeanTeacher(LearnsUnlabelled):
    """Mean teacher: cross entropy on labelled rows, and consistency with averaged weights (Tarvainen & Valpola 2017).

    mean over labelled rows of the cross entropy + w * mean over all rows of 1/K sum_k (p_k - q_k)^2

    p are the network's probabilities and q those of the running average of its weights, which is the teacher and the
    model that is evaluated; `training.average_decay` is its decay, and `training.average_ramp` begins with a shorter
    average, as in the authors' code. w increases from 0 to `weight`, with ramp = "sigmoid" as in the paper. The teacher
    predicts in evaluation mode, for the inputs as the run augments them. The network has its dropout and, with
    `strong`, strongly changed inputs; without either of them, teacher and network differ in their weights alone. The
    paper draws noise, shifts and flips of both. The default weight is that of the paper for CIFAR-10, where K is 10.
    """

    pages: ClassVar[Mapping[str, str]] = {"consistency-loss": ""}

    weight: NonNegative = 100.0
    ramp: Literal["linear", "sigmoid"] | None = "sigmoid"

    @property
    def taught_by(self) -> Literal["average"]:
        return "average"

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        return self.strengthened(self.predicted(batch), generator)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        assert batch.teacher_logits is not None
        consistency = self.current_weight * distill.consistency_loss(logits, batch.teacher_logits)
        if batch.labelled is None:
            return losses.cross_entropy(logits, batch.labels) + consistency
        classes = batch.teacher_logits.argmax(-1)
        self.note(batch, classes, torch.ones_like(batch.labelled))
        own = losses.cross_entropy(logits, batch.labels.masked_fill(~batch.labelled, 0))
        # so that the mean over all rows contains the mean over the labelled ones
        share = batch.labelled.to(own.dtype)
        return own * share * (len(share) / share.sum().clamp(min=1)) + consistency
