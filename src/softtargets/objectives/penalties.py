"""Cross entropy plus a penalty."""

from typing import Annotated, Any

from pydantic import Field, PrivateAttr
from torch import Tensor

from softtargets import losses, targets
from softtargets._spec import NonNegative, Share
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import Objective, objective


@objective("confidence_penalty")
class ConfidencePenalty(Objective):
    """Cross entropy plus a penalty on predictions of low entropy."""

    weight: NonNegative = 0.1

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, batch.labels) + self.weight * losses.confidence_penalty(logits)


@objective("early_learning")
class EarlyLearning(Objective):
    """ELR: cross entropy plus the early-learning penalty, with a running target per example (Liu et al. 2020).

    As in the authors' code, probabilities are clamped to [eps, 1 - eps], and divided by their sum before they update
    the running targets.
    """

    weight: NonNegative = 3.0
    momentum: Share = 0.7
    eps: Annotated[float, Field(ge=1e-6, le=0.5)] = 1e-4
    _running: targets.RunningTargets = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        self._running = targets.RunningTargets(context.num_examples, context.num_classes, momentum=self.momentum)

    def observe(self, batch: Batch, logits: Tensor) -> None:
        # Before the losses, as in the authors' code: the penalty includes the prediction of this step.
        probs = logits.float().softmax(-1).clamp(self.eps, 1 - self.eps)
        self._running.observe(batch.ids, probs / probs.sum(-1, keepdim=True))

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        penalty = losses.elr_penalty(logits, self._running.of(batch.ids), eps=self.eps)
        return losses.cross_entropy(logits, batch.labels) + self.weight * penalty

    def end_epoch(self, epoch: int) -> None:
        self._running.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        return self._running.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._running.load_state_dict(state)


@objective("mbls_penalty")
class MbLSPenalty(Objective):
    """MbLS: cross entropy plus a penalty on logits more than a margin below the largest (Liu et al. 2022)."""

    weight: NonNegative = 0.1
    margin: NonNegative = 10.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        penalty = losses.mbls_penalty(logits, margin=self.margin)
        return losses.cross_entropy(logits, batch.labels) + self.weight * penalty
