"""Objectives that use a noise transition: forward and backward correction, a learned one, and a bound on the loss."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import PrivateAttr, model_validator
from torch import Tensor

from softtargets import losses, nn, targets
from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative
from softtargets.data.side_files import fingerprint_of
from softtargets.losses import loss_bound
from softtargets.matrices import LabelMatrix, Transition
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import Objective, objective
from softtargets.objectives.transitions import (
    FILE,
    AnyTransition,
    EstimatedTransition,
    FileTransition,
    SymmetricTransition,
)


class TransitionObjective(Objective):
    """Base class of objectives that use a transition."""

    transition: AnyTransition | None = None

    def needs_transition(self) -> Literal["known"] | EstimatedTransition | None:
        return None if self.transition is None else self.transition.needed()

    @property
    def takes_votes(self) -> bool:
        # a transition is about one observed class for each row
        return super().takes_votes and self.transition is None

    def fingerprint(self) -> str | None:
        source = self.transition
        return fingerprint_of({FILE: source.file}) if isinstance(source, FileTransition) else super().fingerprint()

    def without_places(self, content: dict[str, Any]) -> dict[str, Any]:
        kept = super().without_places(content)
        if not isinstance(self.transition, FileTransition):
            return kept
        # the content of the file is part of the identity of a run, and its path is not
        source = {key: value for key, value in kept["transition"].items() if key != "file"}
        return {**kept, "transition": source}


class Correction(TransitionObjective):
    """Base class of corrections: the transition is symmetric noise of `noise_rate`, or given by `transition`."""

    noise_rate: Fraction | None = None
    inclusive: bool = False
    _transition: Transition = PrivateAttr()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.noise_rate is None and self.transition is None:
            required = "required, unless transition is given"
            raise fail("noise_rate", required, "neither", "give one, such as transition = { name = 'known' }")
        if self.noise_rate is not None and self.transition is not None:
            raise fail("noise_rate", "either this or transition", "both", "drop one of the two")
        if self.inclusive and self.transition is not None:
            raise fail("inclusive", "false if transition is given", True, "set it in the transition")
        return self

    @property
    def takes_votes(self) -> bool:
        return False

    def begin(self, context: ObjectiveContext) -> None:
        source = self.transition
        if source is None:
            source = SymmetricTransition(rate=self.noise_rate or 0.0, inclusive=self.inclusive)
        self._transition = source.resolve(context)

    def current_transition(self) -> Tensor:
        return self._transition.to_dense()


@objective("forward")
class Forward(Correction):
    """Forward correction: cross entropy of the predictions multiplied by the transition, against observed labels."""

    pages: ClassVar[Mapping[str, str]] = {
        "forward-correction": 'transition = { name = "known" }',
        "symmetric-forward-correction": "noise_rate = 0.2",
    }
    takes_soft_targets: ClassVar[bool] = True

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.forward_corrected_cross_entropy(logits, batch.labels_or_targets, self._transition)


@objective("backward")
class Backward(Correction):
    """Backward correction: the losses of all labels, weighted by the inverse of the transition."""

    pages: ClassVar[Mapping[str, str]] = {"backward-correction": 'transition = { name = "known" }'}

    _inverse: LabelMatrix = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        super().begin(context)
        self._inverse = self._transition.inverse()

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, targets.from_table(batch.labels, self._inverse))


@objective("learned_transition")
class LearnedTransition(Objective):
    """VolMinNet: forward correction by a learned transition (Li et al. 2021).

    Optimiser groups match its parameters by the name `objective.scores`.
    """

    pages: ClassVar[Mapping[str, str]] = {"volminnet": ""}

    weight: NonNegative = 1e-4
    initial: float = -2.0
    _module: nn.VolMinNet = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        settings: dict[str, Any] = {"volume_weight": self.weight, "initial": self.initial, "reduction": "none"}
        module = nn.VolMinNet(context.num_classes, **settings)
        self._module = module.to(context.device)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._module(logits, batch.labels)

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self._module.named_parameters()

    def current_transition(self) -> Tensor:
        return self._module.transition().detach()

    def state_dict(self) -> dict[str, Any]:
        return {name: value.clone() for name, value in self._module.state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._module.load_state_dict(state)


@objective("loss_bound")
class LossBound(TransitionObjective):
    """Cross entropy whose batch mean is kept above a bound in nats: a number, or the entropy of a transition."""

    pages: ClassVar[Mapping[str, str]] = {"loss-bound": 'transition = { name = "known" }'}
    takes_soft_targets: ClassVar[bool] = True

    bound: NonNegative | None = None
    _bound: float = PrivateAttr()
    _transition: Transition | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.bound is None) == (self.transition is None):
            got = "neither" if self.bound is None else "both"
            raise fail("bound", "either this or transition", got, "give one of the two")
        return self

    def begin(self, context: ObjectiveContext) -> None:
        if self.transition is not None:
            self._transition = self.transition.resolve(context)
            self._bound = float(losses.entropy_bound(self._transition))
        elif self.bound is not None:
            self._bound = self.bound

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, batch.labels_or_targets)

    def risk(self, losses: Tensor) -> Tensor:
        return loss_bound(losses, bound=self._bound)

    @property
    def needs_whole_batch(self) -> bool:
        return True

    def current_transition(self) -> Tensor | None:
        return None if self._transition is None else self._transition.to_dense()
