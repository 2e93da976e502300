"""Smoothing that changes during training: scheduled, negative, or learned from the predictions."""

from typing import Annotated, Any

from pydantic import Field, PrivateAttr
from torch import Tensor

from softtargets import losses, targets
from softtargets._spec import Fraction, Share
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.floor import Floor, mean_over_labels
from softtargets.objectives.objective import Objective, objective
from softtargets.objectives.schedules import Scheduled


@objective("max_suppression")
class MaxSuppression(Scheduled):
    """MaxSup: smoothing that lowers the largest logit, changed linearly to `final_smoothing` over the training.

    The authors reach the final value in the last epoch; here it would be reached at the end of it.
    """

    smoothing: Fraction = 0.1
    final_smoothing: Fraction = 0.2

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        ramp = targets.LinearSchedule(self.smoothing, self.final_smoothing, 0, 1, unit="fraction")
        return losses.max_suppression_loss(logits, batch.labels, smoothing=ramp(self.share))


@objective("negative_smoothing")
class NegativeSmoothing(Scheduled):
    """NLS: cross entropy for the share `warmup` of the training, then label smoothing with a negative smoothing.

    The floor of the probabilities bounds it; with floor = 0 it is unbounded below.
    """

    smoothing: Annotated[float, Field(lt=0)] = -0.4
    warmup: Share = 0.5
    floor: Floor = 1e-8

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        own = losses.cross_entropy(logits, batch.labels)
        if self.share < self.warmup:
            return own
        return (1 - self.smoothing) * own + self.smoothing * mean_over_labels(logits, self.floor)


@objective("online_smoothing")
class OnlineLabelSmoothing(Objective):
    """OLS: cross entropy with a soft label per class, estimated in the previous epoch (Zhang et al. 2021)."""

    weight: Fraction = 0.5
    _online: targets.OnlineSmoothing = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        self._online = targets.OnlineSmoothing(context.num_classes, weight=self.weight)

    def observe(self, batch: Batch, logits: Tensor) -> None:
        self._online.observe(logits.float().softmax(-1), batch.labels)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, self._online.targets(batch.labels))

    def end_epoch(self, epoch: int) -> None:
        self._online.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        return self._online.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._online.load_state_dict(state)
