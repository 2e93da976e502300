"""Mixup, and what it shares with CutMix: mixing the inputs and the targets of pairs of examples."""

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import PrivateAttr, model_validator
from torch import Tensor

from softtargets import targets
from softtargets._errors import InputError, fail
from softtargets._spec import Fraction, Positive, Switch, union_of
from softtargets.data.tokens import TokenShape
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.cross_entropy import SmoothedCrossEntropy
from softtargets.objectives.objective import OBJECTIVES, Objective, objective
from softtargets.objectives.transitions import EstimatedTransition

if TYPE_CHECKING:
    AnyLoss = Objective
else:
    AnyLoss = union_of(OBJECTIVES)


class Mixing(Objective):
    """Base class of objectives that mix the inputs and the targets of pairs of examples.

    The partners are a random permutation of the batch. All draws are made on the CPU, so that they do not depend on the
    device.
    """

    concentration: Positive = 1.0
    smoothing: Fraction = 0.0
    loss: AnyLoss | None = None
    per_example: Switch = None
    _loss: Objective = PrivateAttr()

    @model_validator(mode="after")
    def _loss_takes_soft_targets(self) -> Self:
        if self.loss is not None and not self.loss.takes_soft_targets:
            known = ", ".join(name for name, kind in OBJECTIVES.items() if kind.takes_soft_targets)
            raise fail("loss", f"an objective of soft targets: {known}", f"'{self.loss.name}'", "use one of these")
        return self

    @property
    def takes_votes(self) -> bool:
        # the inner objective is asked when it is started
        return True

    @abstractmethod
    def mixed(
        self, own: Tensor, other: Tensor, weight: float | Tensor, generator: torch.Generator
    ) -> tuple[Tensor, float | Tensor]:
        """Return mixed inputs, and the weight of `own` in them.

        Args:
            own: (n, ...) float inputs.
            other: those of the partners.
            weight: the drawn weight of `own`: a number, or (n,) float64 on the CPU.
            generator: the source of other draws.
        """

    def _not_numbers(self, got: str) -> InputError:
        return fail("objective", f"inputs that are numbers, for '{self.name}'", got, "use another objective")

    def begin(self, context: ObjectiveContext) -> None:
        if context.data is not None and isinstance(context.data.input_shape, TokenShape):
            raise self._not_numbers("rows of tokens")
        with _in_the_loss():
            self._loss = (SmoothedCrossEntropy() if self.loss is None else self.loss).started(context)

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        if not isinstance(batch.inputs, Tensor) or not batch.inputs.is_floating_point():
            kind = f"of dtype {batch.inputs.dtype}" if isinstance(batch.inputs, Tensor) else "that are tokens"
            raise self._not_numbers(f"inputs {kind}")
        weight = draw_beta(self.concentration, generator, len(batch.labels) if self.per_example else None)
        partner = torch.randperm(len(batch.labels), generator=generator).to(batch.labels.device)
        other = batch.rows(partner)
        assert isinstance(other.inputs, Tensor)
        inputs, weight = self.mixed(batch.inputs, other.inputs, weight, generator)
        own, theirs = (
            targets.smooth(self._loss.prepare(rows, generator).labels_or_targets, self.smoothing)
            for rows in (batch, other)
        )
        weight = weight.to(batch.labels.device) if isinstance(weight, Tensor) else weight
        return replace(batch, inputs=inputs, targets=targets.mix(own, theirs, weight))

    def observe(self, batch: Batch, logits: Tensor) -> None:
        self._loss.observe(batch, logits)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._loss.losses(logits, batch)

    def risk(self, losses: Tensor) -> Tensor:
        return self._loss.risk(losses)

    def normalizer(self, batch: Batch) -> float | Tensor:
        return self._loss.normalizer(batch)

    @property
    def needs_whole_batch(self) -> bool:
        return False if self.loss is None else self.loss.needs_whole_batch

    def end_epoch(self, epoch: int) -> None:
        self._loss.end_epoch(epoch)

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self._loss.parameters()

    def current_transition(self) -> Tensor | None:
        return self._loss.current_transition()

    def state_dict(self) -> dict[str, Any]:
        return self._loss.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loss.load_state_dict(state)

    def needs_transition(self) -> Literal["known"] | EstimatedTransition | None:
        return None if self.loss is None else self.loss.needs_transition()

    def fingerprint(self) -> str | None:
        with _in_the_loss():
            return None if self.loss is None else self.loss.fingerprint()

    def without_places(self, content: dict[str, Any]) -> dict[str, Any]:
        return content if self.loss is None else {**content, "loss": self.loss.without_places(content["loss"])}


@objective("mixup")
class Mixup(Mixing):
    """Mixup: cross entropy on convex combinations of pairs of examples (Zhang et al. 2018).

    Inputs and targets are mixed with one weight per batch from Beta(concentration, concentration), or one per example.
    `smoothing` smooths the targets before they are mixed. `loss` is an objective of soft targets that is minimised
    instead of cross entropy, such as a focal loss, or whose targets are mixed, such as a class table.
    """

    pages: ClassVar[Mapping[str, str]] = {"mixup": ""}

    concentration: Positive = 0.2

    def mixed(
        self, own: Tensor, other: Tensor, weight: float | Tensor, generator: torch.Generator
    ) -> tuple[Tensor, float | Tensor]:
        share = weight
        if isinstance(weight, Tensor):
            share = weight.to(own.device, own.dtype).view(-1, *(1 for _ in own.shape[1:]))
        return share * own + (1 - share) * other, weight


@contextlib.contextmanager
def _in_the_loss() -> Iterator[None]:
    """Make errors of the inner objective name the field that it is in."""
    try:
        yield
    except InputError as error:
        text = str(error)
        raise InputError(
            text.replace("objective.", "objective.loss.", 1) if text.startswith("objective.") else text
        ) from error


def draw_beta(concentration: float, generator: torch.Generator, count: int | None = None) -> float | Tensor:
    """Draw a number, or (count,) float64, from a symmetric beta distribution.

    With NumPy, since torch's own sampler takes no generator.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    drawn = np.random.default_rng(seed).beta(concentration, concentration, count)
    return float(drawn) if count is None else torch.from_numpy(drawn)
