"""The table `ensemble` of a specification: which runs are the members, and how they are combined."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field

from softtargets._errors import fail
from softtargets._spec import NamedSpec, register, union_of
from softtargets.data import Dataset, Fold
from softtargets.ensembles.combining import COMBINATIONS, Combination, StackedLogits, WeightedVotes
from softtargets.ensembles.outputs import Member, held_out_logits
from softtargets.models import AnyModel
from softtargets.report.numbers import count
from softtargets.runs.schedules import ScheduleSpec
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.sampling import boosting_of

KINDS: dict[str, type["EnsembleSpec"]] = {}
Registered = TypeVar("Registered", bound="EnsembleSpec")
Size = Annotated[int, Field(ge=2, le=100)]


def ensemble_kind(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register the decorated class as the kind that ``ensemble.name`` selects."""
    return register(KINDS, name)


class EnsembleSpec(NamedSpec):
    """How the members of an ensemble are trained and combined.

    Attributes:
        calibrator: What the combined logits are calibrated by, fitted on the validation split: a name such as
            "temperature-scaling"; "none": nothing.
    """

    calibrator: str = "temperature-scaling"

    @abstractmethod
    def members(self, run: RunSpec) -> tuple[RunSpec, ...]:
        """Return the runs that the members are from."""

    def others(self, run: RunSpec) -> tuple[RunSpec, ...]:
        """Return further runs that the combination needs."""
        return ()

    def epochs(self, run: RunSpec) -> tuple[int, ...]:
        """Return the epochs whose weights are members, where one run has several; empty: the last of each run."""
        return ()

    def check(self, data: Dataset) -> None:
        """Require what the ensemble needs of the data of its runs, before they are trained.

        Raises:
            InputError: if there are no validation rows for the calibrator.
        """
        if self.calibrator != "none" and not len(data.splits["validation"]):
            remedy = "set data.validation, or ensemble.calibrator = 'none'"
            raise fail("ensemble.calibrator", "validation rows to fit it on", "none", remedy)

    @abstractmethod
    def combination(self, members: Sequence[Member], others: Sequence[ResolvedRun], store: RunStore) -> Combination:
        """Return the combination, once all runs are finished."""


class AveragedSpec(EnsembleSpec):
    """An ensemble whose members count equally.

    Attributes:
        combine: Average the probabilities ("probs") or the logits.
    """

    combine: Literal["probs", "logits"] = "probs"

    def combination(self, members: Sequence[Member], others: Sequence[ResolvedRun], store: RunStore) -> Combination:
        """Return the mean."""
        return COMBINATIONS[self.combine]()


@ensemble_kind("seeds")
class SeedsEnsemble(AveragedSpec):
    """Deep ensemble: the same run with other seeds of everything but the noise (Lakshminarayanan et al. 2017).

    Member m has m more in every seed. Ensembles of other sizes have the same members.
    """

    size: Size = 5

    def members(self, run: RunSpec) -> tuple[RunSpec, ...]:
        """Return the run with other seeds."""
        return tuple(_with_seeds(run, place) for place in range(self.size))


@ensemble_kind("bagging")
class BaggingEnsemble(AveragedSpec):
    """Bagging: each member is trained on a bootstrap sample of the training rows (Breiman 1996).

    The members' seeds are those of a deep ensemble, so that the two differ in the samples alone.
    """

    size: Size = 5

    def members(self, run: RunSpec) -> tuple[RunSpec, ...]:
        """Return the run with other seeds and bootstrap samples."""
        first = 0 if run.bootstrap is None else run.bootstrap
        return tuple(_with_seeds(run, place).changed(bootstrap=first + place) for place in range(self.size))


@ensemble_kind("snapshots")
class SnapshotEnsemble(AveragedSpec):
    """Snapshot ensemble: the weights at the end of each cycle of one run (Huang et al. 2017).

    The schedule becomes "cyclic_cosine" with one cycle for each member. The epochs of the run must be a multiple.
    """

    size: Size = 5

    def members(self, run: RunSpec) -> tuple[RunSpec, ...]:
        """Return the one run."""
        every = self._cycle(run)
        schedule = ScheduleSpec(name="cyclic_cosine", cycles=self.size, final_factor=run.schedule.final_factor)
        return (run.changed(schedule=schedule, training=run.training.changed(snapshot_every=every)),)

    def epochs(self, run: RunSpec) -> tuple[int, ...]:
        """Return the last epoch of each cycle."""
        return tuple(self._cycle(run) * (place + 1) for place in range(self.size))

    def _cycle(self, run: RunSpec) -> int:
        training, epochs = run.training, run.training.epochs
        for key in ("patience", "steps"):
            if getattr(training, key) is not None:
                remedy = f"remove it, and set training.epochs to a multiple of {self.size}"
                raise fail(f"training.{key}", "left out for snapshots", getattr(training, key), remedy)
        if epochs is None or epochs % self.size:
            required = f"a multiple of ensemble.size, {self.size}, for snapshots"
            raise fail("training.epochs", required, epochs, "change one of the two")
        if run.schedule.changed(final_factor=None) != ScheduleSpec():
            remedy = "drop the schedule: the cycles are its shape"
            raise fail("schedule", "left out for snapshots", f"'{run.schedule.name}'", remedy)
        return epochs // self.size


@ensemble_kind("boosting")
class BoostingEnsemble(EnsembleSpec):
    """Boosting: each member is trained on rows drawn by the weights that SAMME gives them (Zhu et al. 2009).

    The seeds are those of a deep ensemble. Members vote for their predicted classes with the weights of SAMME.
    """

    size: Size = 5

    def members(self, run: RunSpec) -> tuple[RunSpec, ...]:
        """Return a chain of runs, each boosted after the one before."""
        chain: list[RunSpec] = []
        for place in range(self.size):
            chain.append(_with_seeds(run, place).changed(boosted_after=chain[-1] if chain else None))
        return tuple(chain)

    def check(self, data: Dataset) -> None:
        """Require labels, too, by which the rows are weighted.

        Raises:
            InputError: if a training row has no label.
        """
        super().check(data)
        without = len(data.splits["train"]) - len(data.labelled_train)
        if without:
            got = f"'{self.name}' with {count(without, 'training row')} without a label"
            remedy = "drop these rows, or use 'seeds' or 'bagging'"
            raise fail("ensemble.name", "an ensemble that can use rows without labels", got, remedy)

    def combination(self, members: Sequence[Member], others: Sequence[ResolvedRun], store: RunStore) -> Combination:
        """Return the weighted votes."""
        return WeightedVotes(boosting_of([member.resolved for member in members], store).votes)


@ensemble_kind("stacking")
class StackingEnsemble(EnsembleSpec):
    """Stacking: logistic regression on the out-of-fold predictions of different networks (Wolpert 1992).

    Each network is trained once on the training split, as a member, and once without each fold of the training split.
    The regression is fitted to the predictions of the held-out folds. Rows of the validation split, on which the
    calibrator is fitted, are in none of these runs.

    Attributes:
        models: The networks besides that of the specification.
        folds: Number of folds.
    """

    models: Annotated[tuple[AnyModel, ...], Field(min_length=1, max_length=20)]
    folds: Annotated[int, Field(ge=2, le=100)] = 5

    def members(self, run: RunSpec) -> tuple[RunSpec, ...]:
        """Return the run with each of the networks."""
        if run.data.fold is not None:
            remedy = "drop it: stacking divides the training split into folds"
            raise fail("data.fold", "left out for stacking", f"fold {run.data.fold.index}", remedy)
        return tuple(run.changed(model=model) for model in (run.model, *self.models))

    def others(self, run: RunSpec) -> tuple[RunSpec, ...]:
        """Return the runs without each fold, those of the first network first."""
        folds = [Fold(index=index, count=self.folds, within="train") for index in range(self.folds)]
        return tuple(member.changed(data=run.data.changed(fold=fold)) for member in self.members(run) for fold in folds)

    def combination(self, members: Sequence[Member], others: Sequence[ResolvedRun], store: RunStore) -> Combination:
        """Return the regression, fitted to the held-out predictions."""
        return StackedLogits.fit(*held_out_logits(members, others, store))


if TYPE_CHECKING:
    AnyEnsemble = EnsembleSpec
else:
    AnyEnsemble = union_of(KINDS)


def _with_seeds(run: RunSpec, more: int) -> RunSpec:
    """Return a run with so much more in every seed but that of the noise, which belongs to the data."""
    seeds: dict[str, Any] = {
        name: getattr(run.seeds, name) + (0 if name == "noise" else more) for name in type(run.seeds).model_fields
    }
    return run.changed(seeds=run.seeds.changed(**seeds))
