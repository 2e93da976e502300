"""The base of every objective: a specification that can be started and then trains a network."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Self, TypeVar

import torch
from pydantic import PrivateAttr
from torch import Tensor

from softtargets._spec import NamedSpec, register
from softtargets.losses import reduce
from softtargets.objectives.context import Batch, ObjectiveContext, Predictions
from softtargets.objectives.transitions import EstimatedTransition


class Objective(NamedSpec):
    """A method: its fields are the specification, its methods the behaviour.

    Before it is started it is data, equal to another with the same fields. :meth:`started` returns a copy that has
    state, kept in private attributes, and that trains. A step calls ``prepare``, then on the logits ``observe``,
    ``losses`` and ``risk``; an epoch ends with ``end_epoch``. Every hook but ``losses`` does nothing unless a method
    overrides it.
    """

    _context: ObjectiveContext = PrivateAttr()

    def started(self, context: ObjectiveContext) -> Self:
        """Return a copy that is ready to train.

        Raises:
            InputError: where the context lacks what this objective needs, or does not fit it.
        """
        copy = self.model_copy()
        copy._context = context
        copy.begin(context)
        return copy

    def begin(self, context: ObjectiveContext) -> None:
        """Set up the state of a copy that is being started."""

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
        """Note that an epoch, counted from 0, is over."""

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield parameters of the method's own, by name; they get optimiser settings by groups like the model's."""
        yield from ()

    def current_transition(self) -> Tensor | None:
        """Return the (K, K) transition, clean -> observed, that the losses use now; None where there is none."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return all state, for the checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of :meth:`state_dict`."""

    def needs_transition(self) -> Literal["known"] | EstimatedTransition | None:
        """Return which transition the context must hold: the known one, one estimated like this, or none."""
        return None

    @property
    def taught_by(self) -> Literal["runs", "average"] | None:
        """Who the teachers are: other runs, the running average of this run's own weights, or None without teachers."""
        return None

    @property
    def caches_teachers(self) -> bool:
        """Whether its teachers are queried once for all students, and not during training."""
        return False

    def cache_settings(self, num_classes: int) -> dict[str, Any]:
        """Return what a cache of its teachers' outputs keeps and its temperature; they make its key."""
        raise NotImplementedError

    def equivalent_smoothing(self, predictions: Predictions, teachers: Sequence[Predictions]) -> float | None:
        """Return the equivalent smoothing of the training targets, gamma of Müller et al. 2019.

        Args:
            predictions: logits and observed labels by split, as the run records them.
            teachers: those of each teacher, on the same rows.

        Returns:
            A fraction; None where the targets are not smoothed labels, or depend on more than this.
        """
        return None


OBJECTIVES: dict[str, type[Objective]] = {}
Registered = TypeVar("Registered", bound=Objective)


def objective(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register the decorated class as the objective that ``objective.name`` selects."""
    return register(OBJECTIVES, name)
