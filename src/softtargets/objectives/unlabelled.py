"""What objectives that learn from rows without a label share: a ramp-up, strong changes, and a note of predictions."""

from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import PrivateAttr, field_validator
from torch import Tensor

from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative
from softtargets.data.perturb import Perturbation, perturbed
from softtargets.data.tokens import TokenShape
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.schedules import Ramp
from softtargets.targets import SigmoidSchedule

# In place of a predicted class: the row was not in a batch of this epoch, or its prediction was not used.
UNSEEN, UNUSED = -2, -1


class LearnsUnlabelled(Ramp):
    """A loss of labelled rows plus a weight, which increases from 0 to `weight`, times one of unlabelled rows.

    `ramp` is the form of the increase: "linear" (None), or "sigmoid" as in Laine & Aila 2017. With `strong`, the
    network learns on inputs that are changed strongly, while the predictions are made without this change.
    """

    uses_unlabelled: ClassVar[bool] = True

    weight: NonNegative = 1.0
    ramp_from: Fraction = 0.0
    ramp: Literal["linear", "sigmoid"] | None = None
    strong: Perturbation | None = None
    _classes: Tensor = PrivateAttr()

    @field_validator("ramp")
    @classmethod
    def _linear_is_none(cls, ramp: str | None) -> str | None:
        return None if ramp == "linear" else ramp

    @property
    def needs_whole_batch(self) -> bool:
        return True  # the labelled and the unlabelled rows of a batch have a mean each

    @property
    def current_weight(self) -> float:
        """The weight of unlabelled rows in the current epoch."""
        if self.ramp is None:
            return self.between(0.0, self.weight)
        return SigmoidSchedule(0.0, self.weight, self.ramp_from, self.ramp_to, unit="fraction")(self.share)

    def begin(self, context: ObjectiveContext) -> None:
        if self.taught_by is not None and context.teacher is None:
            taught = "source = 'average'" if self.taught_by == "average" else "strong"
            raise fail("teacher", f"required with {taught}", None, "pass ObjectiveContext(teacher=...)")
        shape = None if context.data is None else context.data.input_shape
        if self.strong is not None and shape is not None:
            self._check_strong(self.strong, shape)
        self._classes = torch.full((context.num_examples,), UNSEEN, dtype=torch.int32, device=context.device)

    def _check_strong(self, strong: Perturbation, shape: tuple[int, ...]) -> None:
        if isinstance(shape, TokenShape):
            remedy = "remove the table; dropout of the network perturbs its inputs"
            raise fail("objective.strong", "left out for rows of tokens", "given", remedy)
        if len(shape) != 3 and strong.of_images:
            name = strong.of_images[0]
            remedy = "remove it, and use noise or mask"
            raise fail(f"objective.strong.{name}", "left out for data without images", getattr(strong, name), remedy)

    def predicted(self, batch: Batch) -> Batch:
        """Return a batch with the logits of its teacher."""
        assert self._context.teacher is not None
        logits = self._context.teacher(batch.ids, batch.inputs)
        assert isinstance(logits, Tensor)
        return replace(batch, teacher_logits=logits[0])

    def strengthened(self, batch: Batch, generator: torch.Generator, rows: Tensor | None = None) -> Batch:
        """Return a batch with strongly changed inputs; of some `rows` only, (N,) bool, if these are given."""
        if self.strong is None:
            return batch
        assert isinstance(batch.inputs, Tensor)
        changed = perturbed(batch.inputs, self.strong, generator)
        if rows is not None:
            changed = torch.where(rows.view(-1, *(1 for _ in changed.shape[1:])), changed, batch.inputs)
        return replace(batch, inputs=changed)

    def note(self, batch: Batch, classes: Tensor, used: Tensor) -> None:
        """Remember the predicted classes of the unlabelled rows of a batch, and whether they were used, (N,) bool."""
        assert batch.labelled is not None
        noted = torch.where(used, classes, UNUSED).masked_fill(batch.labelled, UNSEEN)
        self._classes[batch.ids] = noted.to(torch.int32)

    def pseudo_labels(self) -> Tensor:
        return self._classes

    def end_epoch(self, epoch: int) -> None:
        super().end_epoch(epoch)
        self._classes.fill_(UNSEEN)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "classes": self._classes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._classes.copy_(state["classes"])
