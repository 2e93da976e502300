"""Adaptive smoothing: label smoothing whose strength depends on the training progress or on the prediction."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

from softtargets import losses, targets
from softtargets._spec import Fraction, Positive
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective
from softtargets.objectives.schedules import Ramp


@objective("scheduled_smoothing")
class ScheduledSmoothing(Ramp):
    """Label smoothing that changes linearly from `smoothing` to `final_smoothing` during the training.

    The change begins after the share `ramp_from` of the training and is complete after `ramp_to`.
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"adaptive-smoothing": ""}
    takes_soft_targets: ClassVar[bool] = True

    smoothing: Fraction = 0.0
    final_smoothing: Fraction = 0.1
    ramp_from: Fraction = 0.0
    ramp_to: Fraction = 1.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        smoothing = self.between(self.smoothing, self.final_smoothing)
        return losses.cross_entropy(logits, targets.smooth(batch.labels_or_targets, smoothing))


class AdaptiveSmoothing(Objective):
    """Base class of smoothing that depends on the prediction.

    `of` is the class whose confidence or margin counts: the observed label, or the predicted class.
    """

    maximum: Fraction = 0.1
    of: Literal["label", "prediction"] = "label"

    def _counted(self, batch: Batch) -> Tensor | None:
        return batch.labels if self.of == "label" else None


@objective("confidence_smoothing")
class ConfidenceSmoothing(AdaptiveSmoothing):
    """Label smoothing that grows with the confidence, from 0 at 1 / K to `maximum` at 1 (our formulation)."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"adaptive-smoothing": ""}

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        probs = logits.detach().float().softmax(-1)
        smoothing = targets.smoothing_from_confidence(probs, maximum=self.maximum, labels=self._counted(batch))
        return losses.cross_entropy(logits, targets.smooth(batch.labels, smoothing))


@objective("margin_smoothing")
class MarginSmoothing(AdaptiveSmoothing):
    """Label smoothing that grows with the lead of a logit over the others, up to `maximum` (our formulation).

    The smoothing is 0 without a lead and `maximum` at a lead of `margin` or more.
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"adaptive-smoothing": ""}

    margin: Positive = 10.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        counted = self._counted(batch)
        smoothing = targets.smoothing_from_margin(logits, maximum=self.maximum, margin=self.margin, labels=counted)
        return losses.cross_entropy(logits, targets.smooth(batch.labels, smoothing))
