"""Loss bound: stop the mean loss from falling below what the noise costs."""

from typing import Self

from pydantic import PrivateAttr, model_validator
from torch import Tensor

from softtargets import losses
from softtargets._errors import fail
from softtargets._spec import NonNegative
from softtargets.losses import loss_bound
from softtargets.matrices import Transition
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.corrections import TransitionObjective
from softtargets.objectives.objective import objective


@objective("loss_bound")
class LossBound(TransitionObjective):
    """Cross entropy whose mean over a batch is kept above a bound in nats, given or the entropy of a transition."""

    bound: NonNegative | None = None
    _bound: float = PrivateAttr()
    _transition: Transition | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.bound is None) == (self.transition is None):
            got = "neither" if self.bound is None else "both"
            raise fail("bound", "either this or transition, whose entropy it is then", got, "give one of the two")
        return self

    def begin(self, context: ObjectiveContext) -> None:
        if self.transition is not None:
            self._transition = self.transition.resolve(context)
            self._bound = float(losses.entropy_bound(self._transition))
        elif self.bound is not None:
            self._bound = self.bound

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, batch.labels)

    def risk(self, losses: Tensor) -> Tensor:
        return loss_bound(losses, bound=self._bound)

    def current_transition(self) -> Tensor | None:
        return None if self._transition is None else self._transition.to_dense()
