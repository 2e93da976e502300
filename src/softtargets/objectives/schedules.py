"""Base classes of objectives that change during training.

Schedules are given as shares of the training, so that they apply to runs of any length.
"""

from typing import Any, Self

from pydantic import PrivateAttr, model_validator

from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative
from softtargets.objectives.floor import Floor
from softtargets.objectives.objective import Objective
from softtargets.targets import LinearSchedule


class Scheduled(Objective):
    """An objective that depends on the share of the training that is completed, in whole epochs."""

    _done: int = PrivateAttr(default=0)

    @property
    def share(self) -> float:
        """Completed epochs divided by all epochs: in [0, 1), and 1 at the end."""
        return self._done / self._context.epochs

    def end_epoch(self, epoch: int) -> None:
        self._done = epoch + 1

    def state_dict(self) -> dict[str, Any]:
        return {"epochs_done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._done = int(state["epochs_done"])


class Ramp(Scheduled):
    """A number that changes linearly between the shares `ramp_from` and `ramp_to` of the training."""

    ramp_from: Fraction = 0.1
    ramp_to: Fraction = 0.4

    @model_validator(mode="after")
    def _ramp_goes_forward(self) -> Self:
        if self.ramp_to < self.ramp_from:
            got = f"{self.ramp_to:g}"
            raise fail(
                "ramp_to", f"at least ramp_from, {self.ramp_from:g}", got, "increase ramp_to or decrease ramp_from"
            )
        return self

    def between(self, start: float, end: float) -> float:
        """Return the number in the current epoch, which is `start` until `ramp_from` and `end` from `ramp_to` on."""
        return LinearSchedule(start, end, self.ramp_from, self.ramp_to, unit="fraction")(self.share)


class Ramped(Ramp):
    """Cross entropy until `ramp_from`, then minus a term whose weight increases linearly until `ramp_to`.

    The floor of the probabilities bounds it; with floor = 0 it is unbounded below.
    """

    weight: NonNegative = 1.0
    floor: Floor = 1e-8

    @property
    def current_weight(self) -> float:
        """The weight in the current epoch."""
        return self.between(0.0, self.weight)
