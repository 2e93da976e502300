"""Pseudo-labels: the predictions for training rows without a label become their targets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import PrivateAttr
from torch import Tensor

from softtargets import losses, targets
from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative
from softtargets.losses import reduce
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import objective
from softtargets.objectives.schedules import Ramp


@objective("pseudo_labels")
class PseudoLabels(Ramp):
    """Pseudo-labels: cross entropy on labelled rows, and on predicted classes of rows without a label (Lee 2013).

    mean over labelled rows + w * mean over unlabelled rows; the loss of an unlabelled row is 0 if the largest predicted
    probability is below `threshold`, and w increases from 0 to `weight`. The predictions come from the network
    itself, or from the running average of its weights if `source` is "average". With kind = "hard" the target is
    the most probable class, and with "soft" the predicted probabilities; the network's own ones then get a gradient
    too, as in Reed et al. 2015, which minimises their entropy. Without unlabelled rows it is cross entropy. The means
    are over the rows of a batch: if few rows have a label, use large batches or a low learning rate.
    """

    pages: ClassVar[Mapping[str, str]] = {"pseudo-labels": ""}
    uses_unlabelled: ClassVar[bool] = True

    kind: Literal["hard", "soft"] = "hard"
    source: Literal["model", "average"] = "model"
    threshold: Fraction = 0.95
    weight: NonNegative = 1.0
    ramp_from: Fraction = 0.0
    _labelled: Tensor | None = PrivateAttr(default=None)

    @property
    def taught_by(self) -> Literal["average"] | None:
        return "average" if self.source == "average" else None

    @property
    def needs_whole_batch(self) -> bool:
        return True  # the labelled and the unlabelled rows of a batch have a mean each

    def begin(self, context: ObjectiveContext) -> None:
        if self.source == "average" and context.teacher is None:
            raise fail("teacher", "required with source = 'average'", None, "pass ObjectiveContext(teacher=...)")

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        if self.source == "model" or batch.labelled is None:
            return batch
        assert self._context.teacher is not None
        predicted = self._context.teacher(batch.ids, batch.inputs)
        assert isinstance(predicted, Tensor)
        return replace(batch, teacher_logits=predicted[0])

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        self._labelled = labelled = batch.labelled
        if labelled is None:
            return losses.cross_entropy(logits, batch.labels)
        labels = batch.labels.masked_fill(~labelled, 0)
        if batch.teacher_logits is None:
            probs = logits.detach().float().softmax(-1)
            share = labelled.to(probs.dtype)
            found = losses.bootstrapped_cross_entropy(logits, labels, weight=share, kind=self.kind)
        else:
            probs = batch.teacher_logits.float().softmax(-1)
            predicted = targets.hard(probs.argmax(-1)) if self.kind == "hard" else targets.dense(probs)
            own, theirs = losses.cross_entropy(logits, labels), losses.cross_entropy(logits, predicted)
            found = torch.where(labelled, own, theirs)
        return torch.where(labelled | (probs.amax(-1) >= self.threshold), found, 0.0)

    def risk(self, losses: Tensor) -> Tensor:
        if self._labelled is None:
            return reduce(losses)
        of_unlabelled = reduce(losses, mask=~self._labelled)
        return reduce(losses, mask=self._labelled) + self.between(0.0, self.weight) * of_unlabelled
