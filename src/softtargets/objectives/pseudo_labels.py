"""Pseudo-labels: the predictions for training rows without a label become their targets."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import PrivateAttr, field_validator
from torch import Tensor

from softtargets import losses, targets
from softtargets._spec import Fraction
from softtargets.losses import reduce
from softtargets.objectives.balance import Balance, Name, balance_of
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import objective
from softtargets.objectives.unlabelled import LearnsUnlabelled


@objective("pseudo_labels")
class PseudoLabels(LearnsUnlabelled):
    """Pseudo-labels: cross entropy on labelled rows, and on predicted classes of rows without a label (Lee 2013).

    mean over labelled rows + w * mean over unlabelled rows; the loss of an unlabelled row is 0 if the largest predicted
    probability is below `threshold`, and w increases from 0 to `weight`, linearly or, with ramp = "sigmoid", as in
    Laine & Aila 2017. The predictions come from the network itself, or from the running average of its weights if
    `source` is "average". With kind = "hard" the target is the most probable class, and with "soft" the predicted
    probabilities; the network's own ones get a gradient too, as in Reed et al. 2015, which minimises their entropy.

    With `strong`, predictions are made for the inputs as the run augments them, in evaluation mode, and the network
    learns them on strongly changed inputs (FixMatch, Sohn et al. 2020); labelled rows are not changed. `smoothing`
    smooths pseudo-labels. `balance` treats classes alike: "alignment" scales predictions so that their running mean
    becomes the class frequencies of labelled rows (Berthelot et al. 2020), and "thresholds" lowers the threshold of
    classes that are rarely predicted with confidence (Zhang et al. 2021). With strong or balance, soft targets get no
    gradient.

    Without unlabelled rows it is cross entropy. The means are over the rows of a batch: if few rows have a label, set
    `training.labelled_batch`, or use large batches or a low learning rate.
    """

    pages: ClassVar[Mapping[str, str]] = {
        "pseudo-labels": "",
        "distribution-alignment": 'balance = "alignment"',
        "curriculum-pseudo-labelling": 'balance = "thresholds"',
    }

    kind: Literal["hard", "soft"] = "hard"
    source: Literal["model", "average"] = "model"
    threshold: Fraction = 0.95
    smoothing: Fraction | None = None
    balance: Name | None = None
    _labelled: Tensor | None = PrivateAttr(default=None)
    _balance: Balance | None = PrivateAttr(default=None)

    @field_validator("smoothing")
    @classmethod
    def _zero_is_none(cls, smoothing: float | None) -> float | None:
        return smoothing or None

    @property
    def taught_by(self) -> Literal["average", "model"] | None:
        if self.source == "average":
            return "average"
        return None if self.strong is None else "model"

    def begin(self, context: ObjectiveContext) -> None:
        super().begin(context)
        if self.balance is not None:
            self._balance = balance_of(self.balance, context, self.threshold)

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        labelled = batch.labelled
        if labelled is None:
            return batch
        taught = batch if self.taught_by is None else self.predicted(batch)
        return self.strengthened(taught, generator, ~labelled)

    def observe(self, batch: Batch, logits: Tensor) -> None:
        if self._balance is not None and batch.labelled is not None:
            self._balance.observe(self._probs(logits, batch), batch.ids, ~batch.labelled)

    def _probs(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the (N, K) predicted probabilities, without gradient."""
        given = logits if batch.teacher_logits is None else batch.teacher_logits
        return given.detach().float().softmax(-1)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        self._labelled = labelled = batch.labelled
        if labelled is None:
            return losses.cross_entropy(logits, batch.labels)
        labels = batch.labels.masked_fill(~labelled, 0)
        probs, threshold = self._probs(logits, batch), self.threshold
        if self._balance is not None:
            probs, threshold = self._balance.probs(probs), self._balance.threshold(self.threshold)
        made = targets.pseudo_labels(probs, threshold=threshold, kind=self.kind)
        assert made.ignored is not None
        used = ~made.ignored
        self.note(batch, probs.argmax(-1), used)
        if batch.teacher_logits is None and self._balance is None and self.smoothing is None:
            share = labelled.to(probs.dtype)
            found = losses.bootstrapped_cross_entropy(logits, labels, weight=share, kind=self.kind)
            return torch.where(labelled | used, found, 0.0)
        theirs = losses.cross_entropy(logits, made if self.smoothing is None else targets.smooth(made, self.smoothing))
        return torch.where(labelled, losses.cross_entropy(logits, labels), theirs)

    def risk(self, losses: Tensor) -> Tensor:
        if self._labelled is None:
            return reduce(losses)
        of_unlabelled = reduce(losses, mask=~self._labelled)
        return reduce(losses, mask=self._labelled) + self.current_weight * of_unlabelled

    def state_dict(self) -> dict[str, Any]:
        balance = {} if self._balance is None else {"balance": self._balance.tensors()}
        return {**super().state_dict(), **balance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self._balance is not None:
            for name, tensor in self._balance.tensors().items():
                tensor.copy_(state["balance"][name])
