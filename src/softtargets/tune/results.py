"""The result of a search: its trials, the guard, and what is recommended."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from softtargets._spec import write_toml
from softtargets.report import numbers
from softtargets.runs.spec import RunSpec
from softtargets.tune.fields import SearchField, content_of

By = Literal["nll", "accuracy"]
# Confidence of the interval of the guard is 1 - LEVEL.
LEVEL = 0.05
# Differences that are closer than this are equal: of accuracies they differ by rounding only.
EQUAL = 1e-9


@dataclass(frozen=True)
class TuneTrial:
    """A run of the search.

    Args:
        number: counted from 0; None for the specification as it was given.
        values: the value of each field, by its path; of the given specification those that it has.
        status: "finished", "pruned" (stopped early because its NLL was above the median) or "failed".
        epochs: number of epochs trained.
        nll: of the validation split after the last of these, in nats; None if the run failed before.
        accuracy: likewise, a fraction.
        identity: of the run.
        message: why it failed, else empty.
    """

    number: int | None
    values: dict[str, float]
    status: Literal["finished", "pruned", "failed"]
    epochs: int
    nll: float | None
    accuracy: float | None
    identity: str
    message: str = ""

    def score(self, by: By) -> float | None:
        """Return the number that is minimised: the NLL, or minus the accuracy; None if there is none."""
        found = self.nll if by == "nll" else self.accuracy
        return found if found is None or by == "nll" else -found


@dataclass(frozen=True)
class Guard:
    """The best trial against the given specification, on seeds that the search did not use.

    Args:
        seeds: the seeds of the pairs.
        default: validation NLL or accuracy of the given specification for each seed.
        best: likewise of the best trial.
        difference: mean of best minus default.
        interval: its 95 % paired t interval; a single point if all differences are equal.
    """

    seeds: tuple[int, ...]
    default: tuple[float, ...]
    best: tuple[float, ...]
    difference: float
    interval: tuple[float, float]

    @property
    def equal(self) -> bool:
        """Whether all differences are equal, for example one validation row, which hides how much seeds vary."""
        differences = [after - before for before, after in zip(self.default, self.best, strict=True)]
        return max(differences) - min(differences) < EQUAL

    def better(self, by: By) -> bool:
        """Return whether the best trial is better: the interval excludes zero, and not all differences are equal."""
        low, high = self.interval
        return not self.equal and (high < 0 if by == "nll" else low > 0)


@dataclass(frozen=True, eq=False, repr=False)
class TuneResults:
    """What :func:`softtargets.tune.tune` found.

    Args:
        run: the specification as it was given.
        fields: those that were chosen.
        by: "nll" or "accuracy", of the validation split.
        default: the run of the given specification.
        trials: the runs of the search, in order.
        best: the trial with the best number; None if no trial was better than the default.
        guard: None if there was nothing to compare.
        note: why there is no guard, else empty.
    """

    run: RunSpec
    fields: tuple[SearchField, ...]
    by: By
    default: TuneTrial
    trials: tuple[TuneTrial, ...]
    best: TuneTrial | None
    guard: Guard | None
    note: str = ""

    def __repr__(self) -> str:
        return f"<TuneResults of {len(self.trials)} trials: {self.sentence}>"

    @property
    def recommended(self) -> RunSpec:
        """The specification to use: the given one, unless the best trial is better beyond chance."""
        return self.run if self.best is None or not self.changes else self._with_best

    @property
    def changes(self) -> bool:
        """Whether other values than those of the given specification are recommended."""
        return self.guard is not None and self.guard.better(self.by)

    @property
    def _with_best(self) -> RunSpec:
        assert self.best is not None
        content = content_of(self.run)
        for field in self.fields:
            content = field.put(content, self.best.values[field.path])
        return RunSpec.parse(content, source="tune")

    @property
    def sentence(self) -> str:
        """The recommendation in one sentence."""
        if self.guard is None or self.best is None:
            return f"Keep the default: {self.note}."
        chosen = ", ".join(f"{path} = {value:.4g}" for path, value in self.best.values.items())
        name, unit = ("NLL", "nats") if self.by == "nll" else ("accuracy", "percent")
        size = numbers.number(self.guard.difference, unit, signed=True)
        start = f"Keep the default: with the best trial ({chosen}), validation {name} changes by"
        if self.guard.equal:
            same = f"{size} {numbers.difference_unit(unit)} on each of {len(self.guard.seeds)} fresh seeds"
            return f"{start} {same}; equal changes do not show how much seeds vary. Use more seeds or validation rows."
        ends = " to ".join(numbers.ends(*self.guard.interval, unit, signed=True))
        change = f"{size} ({ends}) {numbers.difference_unit(unit)} on {len(self.guard.seeds)} fresh seeds"
        if self.changes:
            return f"Use {chosen}: validation {name} changes by {change}."
        return f"{start} {change}, which is not better beyond chance."

    @property
    def toml(self) -> str:
        """The recommended specification, for `softtargets train`."""
        return write_toml(content_of(self.recommended))

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain data."""
        return {
            "sentence": self.sentence,
            "changes": self.changes,
            "by": self.by,
            "fields": [asdict(field) for field in self.fields],
            "default": asdict(self.default),
            "trials": [asdict(trial) for trial in self.trials],
            "best": None if self.best is None else self.best.number,
            "guard": None if self.guard is None else asdict(self.guard),
            "recommended": content_of(self.recommended),
        }
