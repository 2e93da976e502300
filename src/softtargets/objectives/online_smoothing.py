"""Online label smoothing."""

from typing import Any

from pydantic import PrivateAttr
from torch import Tensor

from softtargets import losses, targets
from softtargets._spec import Fraction
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import Objective, objective


@objective("online_smoothing")
class OnlineLabelSmoothing(Objective):
    """OLS: cross entropy with a soft label per class, estimated in the last epoch (Zhang et al. 2021)."""

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
