"""What the training loop knows of a method."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from softtargets.losses import reduce
from softtargets.matrices import Transition
from softtargets.targets import Targets

# (ids, inputs) -> (M, n, K) logits of M teachers, or M targets where less is kept of them
Teach = Callable[[Tensor, Tensor], Tensor | tuple[Targets, ...]]


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Args:
        inputs: (N, ...) float, normalised and augmented.
        labels: (N,) int64, observed.
        ids: (N,) int64, rows of the data set.
        targets: made by an objective that mixes or redraws labels; None: the objective goes by `labels`.
        teacher_logits: (n, K), of a teacher that was asked about these inputs; None without one.
        teacher_targets: what was kept of each teacher's probabilities, where that is not all of them.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    targets: Targets | None = None
    teacher_logits: Tensor | None = None
    teacher_targets: tuple[Targets, ...] = ()


@dataclass(frozen=True)
class Problem:
    """What an objective may know of the data and of the training when it is made.

    Args:
        num_examples: rows of the whole data set; `ids` are below it.
        num_classes: K.
        device: where batches, and parameters of the objective's own, are.
        transition: clean -> observed, for a specification that asks for the known or an estimated one.
        epochs: of the whole training; schedules are shares of them.
        teach: (ids, inputs) -> (M, n, K) logits of the run's M teachers, or M targets where a cache keeps less; None
            where there are none.
    """

    num_examples: int
    num_classes: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    transition: Transition | None = None
    epochs: int = 1
    teach: Teach | None = None


class Objective(ABC):
    """The protocol. Every hook but `losses` does nothing unless a method needs it.

    A step calls ``prepare``, then on the logits ``observe``, ``losses`` and ``risk``; an epoch ends with ``end_epoch``.
    """

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Change inputs or make targets; `generator` is the stream of the method's own draws."""
        return batch

    def observe(self, batch: Batch, logits: Tensor) -> None:
        """See the (N, K) logits, without gradient, before the losses are taken."""

    @abstractmethod
    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return (N,) losses, with the whole batch in view."""

    def risk(self, losses: Tensor) -> Tensor:
        """Return the scalar that is minimised."""
        return reduce(losses)

    def end_epoch(self, epoch: int) -> None:
        """Take note that an epoch, from 0, is over."""

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield parameters of the method's own, by name; they get optimiser settings by groups like the model's."""
        yield from ()

    def transition(self) -> Tensor | None:
        """Return the (K, K) transition, clean -> observed, that the losses go by now; None where there is none."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return all state, for the checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of :meth:`state_dict`."""
