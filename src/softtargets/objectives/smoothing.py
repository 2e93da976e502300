"""Losses related to label smoothing: relaxed, scheduled, negative, or learned from the predictions."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from softtargets import losses, nn, targets
from softtargets._spec import Fraction, Share
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.floor import Floor, mean_over_labels
from softtargets.objectives.objective import Objective, objective
from softtargets.objectives.schedules import Scheduled


@objective("label_relaxation")
class LabelRelaxation(Objective):
    """Label relaxation: 0 once the label has probability 1 - smoothing (Lienen & Hüllermeier 2021)."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"label-relaxation": ""}

    smoothing: Fraction = 0.1

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.label_relaxation_loss(logits, batch.labels, smoothing=self.smoothing)


@objective("learned_smoothing")
class LearnedLabelSmoothing(Objective):
    """LS++: smoothing over the other classes by shares that are learned for each class (Chhabra et al. 2024).

    As in the authors' code the loss has a factor 1/2, which halves the learning rate of the network. Optimiser groups
    match its parameters by the name `objective.table`.
    """

    pages: ClassVar[Mapping[str, str]] = {"label-smoothing-plus-plus": ""}

    smoothing: Annotated[float, Field(gt=0, lt=1)] = 0.1
    _module: nn.LearnedSmoothing = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        module = nn.LearnedSmoothing(context.num_classes, smoothing=self.smoothing, reduction="none")
        self._module = module.to(context.device)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._module(logits, batch.labels)

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self._module.named_parameters()

    def state_dict(self) -> dict[str, Any]:
        return {name: value.clone() for name, value in self._module.state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._module.load_state_dict(state)


@objective("max_suppression")
class MaxSuppression(Scheduled):
    """MaxSup: smoothing that lowers the largest logit, changed linearly to `final_smoothing` over the training.

    The authors reach the final value in the last epoch; here it would be reached at the end of it.
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"max-suppression": ""}
    takes_soft_targets: ClassVar[bool] = True

    smoothing: Fraction = 0.1
    final_smoothing: Fraction = 0.2

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        ramp = targets.LinearSchedule(self.smoothing, self.final_smoothing, 0, 1, unit="fraction")
        return losses.max_suppression_loss(logits, batch.labels_or_targets, smoothing=ramp(self.share))


@objective("negative_smoothing")
class NegativeSmoothing(Scheduled):
    """NLS: cross entropy for the share `warmup` of the training, then label smoothing with a negative smoothing.

    The floor of the probabilities bounds it; with floor = 0 it is unbounded below.
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"negative-smoothing": ""}
    takes_soft_targets: ClassVar[bool] = True

    smoothing: Annotated[float, Field(lt=0)] = -0.4
    warmup: Share = 0.5
    floor: Floor = 1e-8

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        own = losses.cross_entropy(logits, batch.labels_or_targets)
        if self.share < self.warmup:
            return own
        return (1 - self.smoothing) * own + self.smoothing * mean_over_labels(logits, self.floor)


@objective("online_smoothing")
class OnlineLabelSmoothing(Objective):
    """OLS: cross entropy with a soft label per class, estimated in the previous epoch (Zhang et al. 2021)."""

    pages: ClassVar[Mapping[str, str]] = {"online-label-smoothing": ""}

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
