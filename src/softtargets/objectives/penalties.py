"""Cross entropy plus a penalty."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, PrivateAttr
from torch import Tensor

from softtargets import losses, targets
from softtargets._spec import NonNegative, Share
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import Objective, objective


@objective("confidence_penalty")
class ConfidencePenalty(Objective):
    """Cross entropy plus a penalty on predictions of low entropy."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"confidence-penalty": ""}
    takes_soft_targets: ClassVar[bool] = True

    weight: NonNegative = 0.1

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, batch.labels_or_targets) + self.weight * losses.confidence_penalty(logits)


@objective("early_learning")
class EarlyLearning(Objective):
    """ELR: cross entropy plus the early-learning penalty, with a running target per example (Liu et al. 2020).

    As in the authors' code, probabilities are clamped to [eps, 1 - eps], and divided by their sum before they update
    the running targets.
    """

    pages: ClassVar[Mapping[str, str]] = {"early-learning-regularization": ""}

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

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"margin-based-label-smoothing": ""}
    takes_soft_targets: ClassVar[bool] = True

    weight: NonNegative = 0.1
    margin: NonNegative = 10.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        penalty = losses.mbls_penalty(logits, margin=self.margin)
        return losses.cross_entropy(logits, batch.labels_or_targets) + self.weight * penalty


@objective("acls_penalty")
class ACLSPenalty(Objective):
    """ACLS: cross entropy plus `weight` times a squared penalty on logits beyond a margin (Park et al. 2023).

    The penalty is in our form, which does not depend on a common shift of the logits. `largest_weight` and
    `others_weight` are lambda_1 and lambda_2 of the paper.
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"adaptive-and-conditional-label-smoothing": ""}
    takes_soft_targets: ClassVar[bool] = True

    weight: NonNegative = 0.1
    margin: NonNegative = 10.0
    largest_weight: NonNegative = 1.0
    others_weight: NonNegative = 0.1

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        penalty = losses.acls_penalty(
            logits, margin=self.margin, largest_weight=self.largest_weight, others_weight=self.others_weight
        )
        return losses.cross_entropy(logits, batch.labels_or_targets) + self.weight * penalty


@objective("logit_penalty")
class LogitPenalty(Objective):
    """Cross entropy plus `weight` times the sum of the squared logits; the default is the one for ImageNet."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"logit-penalty": ""}
    takes_soft_targets: ClassVar[bool] = True

    weight: NonNegative = 6e-4

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, batch.labels_or_targets) + self.weight * losses.logit_penalty(logits)


@objective("smoothing_regularizer")
class SmoothingRegularizer(Objective):
    """Cross entropy plus `weight` times the sum of the losses of all labels (Lukasik et al. 2020, Eq. 8).

    Label smoothing by r is 1 - r times this, with weight = r / ((1 - r) K).
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"smoothing-regularizer": ""}
    takes_soft_targets: ClassVar[bool] = True

    weight: NonNegative = 0.01

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        penalty = losses.smoothing_regularizer(logits)
        return losses.cross_entropy(logits, batch.labels_or_targets) + self.weight * penalty


@objective("zipf_penalty")
class ZipfPenalty(Objective):
    """Zipf label smoothing: pulls the probabilities of the other classes towards Zipf's law (Liang et al. 2022).

    Cross entropy plus `weight` times the penalty. Ranks are those of the logits, and wrong predictions are included.
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"zipf-label-smoothing": ""}

    weight: NonNegative = 0.1

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        penalty = losses.zipf_penalty(logits, batch.labels)
        return losses.cross_entropy(logits, batch.labels) + self.weight * penalty
