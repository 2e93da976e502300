"""Forward and backward correction: losses that undo a known or estimated noise transition."""

from typing import Literal, Self

from pydantic import PrivateAttr, model_validator
from torch import Tensor

from softtargets import losses, targets
from softtargets._errors import fail
from softtargets._spec import Fraction
from softtargets.matrices import Smearing, Transition
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import Objective, objective
from softtargets.objectives.transitions import AnyTransition, EstimatedTransition, SymmetricTransition


class TransitionObjective(Objective):
    """What objectives that use a transition share."""

    transition: AnyTransition | None = None

    def needs_transition(self) -> Literal["known"] | EstimatedTransition | None:
        return None if self.transition is None else self.transition.needed()


class Correction(TransitionObjective):
    """What corrections share: the transition, symmetric at `noise_rate`, or from elsewhere."""

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
            raise fail("inclusive", "false where transition is given", True, "write it into the transition")
        return self

    def begin(self, context: ObjectiveContext) -> None:
        source = self.transition
        if source is None:
            source = SymmetricTransition(rate=self.noise_rate or 0.0, inclusive=self.inclusive)
        self._transition = source.resolve(context)

    def current_transition(self) -> Tensor:
        return self._transition.to_dense()


@objective("forward")
class Forward(Correction):
    """Forward correction: the negative log-likelihood of the observed label under the noisy predictions."""

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.forward_corrected_cross_entropy(logits, batch.labels, self._transition)


@objective("backward")
class Backward(Correction):
    """Backward correction: the losses of all labels, weighted by the inverse of the transition."""

    _inverse: Smearing = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        super().begin(context)
        self._inverse = self._transition.inverse()

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, targets.from_table(self._inverse, batch.labels))
