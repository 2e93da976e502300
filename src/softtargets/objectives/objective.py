"""The base of every objective: a specification that can be started and then trains a network."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from pydantic import PrivateAttr
from torch import Tensor

from softtargets._errors import fail
from softtargets._spec import NamedSpec, register
from softtargets.data.side_files import fingerprint_of
from softtargets.losses import reduce
from softtargets.models.decoding import Search
from softtargets.objectives.context import Batch, ObjectiveContext, Predictions
from softtargets.objectives.transitions import EstimatedTransition


class Objective(NamedSpec):
    """A training method: its fields are the specification, its methods the behaviour.

    An objective that is not started is plain data and equals another one with the same fields. :meth:`started` returns
    a copy with state, in private attributes, that can train. A step calls ``prepare``, and then with the logits
    ``observe`` and ``batch_loss``, which is the ``risk`` of the ``losses`` unless an objective computes it in one
    pass. An epoch ends with ``end_epoch``. All hooks except ``losses`` have a default.
    """

    # pages of docs/methods that describe the method -> what a specification says beside the name
    pages: ClassVar[Mapping[str, str]] = {}
    # whether training rows without a label may be in a batch, where `Batch.labelled` marks them
    uses_unlabelled: ClassVar[bool] = False
    # whether `losses` uses `Batch.labels_or_targets`, so that mixup and CutMix can mix targets for it
    takes_soft_targets: ClassVar[bool] = False
    # whether the examples may be tokens of rows that a network writes: each loss is a function of the logits and the
    # label of one token, and nothing is kept for an example or a pair of classes
    takes_sequences: ClassVar[bool] = False
    # fields that may hold the path of a file, whose content `fingerprint` represents
    places: ClassVar[tuple[str, ...]] = ()

    _context: ObjectiveContext = PrivateAttr()

    def started(self, context: ObjectiveContext) -> Self:
        """Return a copy that is ready to train.

        Raises:
            InputError: if the context lacks something that this objective needs, or does not fit it; if training rows
                have no label and it does not use such rows; if the labels are votes, or the examples are tokens, and it
                does not take these.
        """
        data = context.data
        if data is not None and len(data.labelled_train) < len(data.train) and not self.uses_unlabelled:
            known = ", ".join(name for name, kind in OBJECTIVES.items() if kind.uses_unlabelled)
            got = f"'{self.name}', with {len(data.train) - len(data.labelled_train)} training rows without a label"
            raise fail(
                "objective", f"one that uses rows without a label: {known}", got, "use one of these, or label them"
            )
        if data is not None and data.votes is not None and not self.takes_votes:
            remedy = "use 'cross_entropy', or another objective of soft targets, or train on labels that are classes"
            required = "one that takes a distribution over the classes for each row, as the labels are votes"
            raise fail("objective", required, f"'{self.name}', which needs one class for each row", remedy)
        if context.sequences and not self.takes_sequences:
            known = ", ".join(name for name, kind in OBJECTIVES.items() if kind.takes_sequences)
            required = f"one whose loss is computed for each token on its own: {known}"
            raise fail("objective", required, f"'{self.name}'", "use one of these for data with data.target")
        copy = self.model_copy()
        copy._context = context
        copy.begin(context)
        return copy

    def begin(self, context: ObjectiveContext) -> None:
        """Set up the state of a copy that is being started."""

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Change inputs or make targets; `generator` is the source of the method's random draws."""
        return batch

    def observe(self, batch: Batch, logits: Tensor) -> None:
        """Update state from the (N, K) logits, without gradient, before the losses are computed."""

    @abstractmethod
    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the (N,) losses of a batch."""

    def risk(self, losses: Tensor) -> Tensor:
        """Return the scalar that is minimised, from the losses."""
        return reduce(losses)

    def batch_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the scalar that is minimised, from the logits."""
        return self.risk(self.losses(logits, batch))

    def normalizer(self, batch: Batch) -> float | Tensor:
        """Return the number that `batch_loss` divides a sum over the batch by, after `observe`.

        A batch whose gradient is computed in parts is divided by the sum of the normalizers of its parts. An objective
        with weights or ignored rows returns their total.
        """
        return len(batch.labels)

    @property
    def takes_votes(self) -> bool:
        """Whether the labels may be votes: `prepare` and `losses` use `Batch.labels_or_targets`."""
        return self.takes_soft_targets

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the loss of an example depends on other examples of its batch, which then has no parts."""
        return False

    def end_epoch(self, epoch: int) -> None:
        """Update state at the end of an epoch, counted from 0."""

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield the method's own parameters by name; optimiser groups apply to them as to the model's."""
        yield from ()

    def current_transition(self) -> Tensor | None:
        """Return the (K, K) transition, clean -> observed, that the losses use now, or None."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return all state, for a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""

    def pseudo_labels(self) -> Tensor | None:
        """Return the classes that unlabelled rows were taught in this epoch; None if the objective predicts none.

        Returns:
            (N,) int32 for all rows of the data set: a class, -1 for a prediction that was not used, or -2 for a row
            that has a label or was in no batch yet.
        """
        return None

    def needs_transition(self) -> Literal["known"] | EstimatedTransition | None:
        """Return which transition the context must have: the known one, an estimated one, or none (None)."""
        return None

    def fingerprint(self) -> str | None:
        """Return the SHA-256 (hex) of the files that the specification names; None if it names none.

        Raises:
            InputError: if a file cannot be read.
        """
        paths = {f"objective.{place}": getattr(self, place) for place in self.places}
        return fingerprint_of({place: path for place, path in paths.items() if isinstance(path, str)})

    def without_places(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the content of the specification without paths of files, for the identity of a run."""
        return {key: value for key, value in content.items() if key not in self.places or not isinstance(value, str)}

    @property
    def taught_by(self) -> Literal["runs", "average", "model"] | None:
        """The teachers: other runs, the running average of this run's own weights, these weights, or None."""
        return None

    @property
    def caches_teachers(self) -> bool:
        """Whether the teachers are queried once for all students instead of during training."""
        return False

    @property
    def translates(self) -> Search | None:
        """The search by which the teacher translates training sources; None: the references are learned."""
        return None

    def cache_settings(self, num_classes: int) -> dict[str, Any]:
        """Return what a cache of the teachers' outputs keeps, and its temperature; both are part of its key."""
        raise NotImplementedError

    def equivalent_smoothing(self, predictions: Predictions, teachers: Sequence[Predictions]) -> float | None:
        """Return the equivalent smoothing of the training targets, gamma of Müller et al. 2019.

        Args:
            predictions: logits and observed labels by split, as the run records them.
            teachers: those of each teacher, on the same rows.

        Returns:
            A fraction; None if the targets are not smoothed labels, or depend on something else.
        """
        return None


OBJECTIVES: dict[str, type[Objective]] = {}
Registered = TypeVar("Registered", bound=Objective)


def objective(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register the decorated class as the objective that ``objective.name`` selects."""
    return register(OBJECTIVES, name)
