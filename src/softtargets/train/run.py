"""Training a single run from a user's specification."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from softtargets._errors import fail, fail_type
from softtargets._spec import read_toml
from softtargets.data import fingerprint
from softtargets.data.dataset import Dataset
from softtargets.data.sources import forget_changed, load_cached
from softtargets.measures import measure_record
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.estimate import estimate_total_seconds
from softtargets.train.execute import resolve, validate_setup
from softtargets.train.graph import RunGraph
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all


@dataclass(frozen=True)
class TrainedRun:
    """A run that was trained, or was already in the store.

    Args:
        resolved: the resolved specification.
        folder: folder of the run's record, unless it failed.
        status: "trained", "present" (already in the store) or "failed".
        metrics: name -> value, in fractions and nats. Empty if the run failed.
        message: why it failed, else empty.
    """

    resolved: ResolvedRun
    folder: Path
    status: Literal["trained", "present", "failed"]
    metrics: dict[str, float]
    message: str = ""

    def __repr__(self) -> str:
        shown = self.message or ", ".join(f"{name} {value:.4g}" for name, value in list(self.metrics.items())[:4])
        return f"TrainedRun({self.status}: {self.resolved.run.objective.name}; {shown}; {self.folder})"


def train_run(
    specification: RunSpec | Mapping[str, Any] | Path | str,
    *,
    unlabelled: Path | str | None = None,
    runs: Path | str = "runs",
    on_progress: Callable[[Progress], None] = lambda state: None,
    on_estimate: Callable[[float], None] | None = None,
) -> TrainedRun:
    """Train the run that a specification describes, unless the store has it. Resumes an interrupted run.

    Args:
        specification: a :class:`RunSpec`, its content as a mapping, or the path of a TOML file with that content. A
            relative path of its data set is resolved from the working directory.
        unlabelled: a second file whose rows are added to the training split without labels; sets `data.unlabelled_file`
            of the run and of its teachers.
        runs: folder of the run store.
        on_progress: called about twice a second during training, from a separate thread.
        on_estimate: called with the estimated seconds of training, which takes some seconds to measure; not called if
            the store has the run.

    Returns:
        The run's status, measures and folder.

    Raises:
        InputError: for a bad file, key, data set, column or label, before anything is trained.
        InputTypeError: if the specification is of another type.
    """
    run, store = read_specification(specification), RunStore(runs)
    if unlabelled is not None:
        run = with_unlabelled(run, os.fspath(unlabelled))
    (resolved,) = resolve_all([run], store)
    if on_estimate is not None and (missing := RunGraph.build([resolved], store).missing):
        validate_setup(missing, store)
        on_estimate(estimate_total_seconds(missing, partial(_data_of, store), store, workers=1))
    outcomes = train_all([resolved], store, workers=1, on_progress=on_progress)
    outcome = next(found for found in outcomes if found.identity == resolved.identity)
    assert outcome.status not in ("busy", "stopped")
    metrics = {} if outcome.status == "failed" else measure_record(store, resolved.identity)
    return TrainedRun(resolved, store.path(resolved.identity), outcome.status, metrics, outcome.message)


def with_unlabelled(run: RunSpec, path: str) -> RunSpec:
    """Return a run, and its teachers, on its data with a second file of unlabelled rows."""
    teachers = None if run.teachers is None else tuple(with_unlabelled(teacher, path) for teacher in run.teachers)
    return run.changed(data=run.data.changed(unlabelled_file=path), teachers=teachers)


def resolve_all(runs: Sequence[RunSpec], store: RunStore) -> list[ResolvedRun]:
    """Read the data of some runs, and resolve their specifications.

    Raises:
        InputError: for a bad data set, column or label.
    """
    if store.folder.exists() and not store.folder.is_dir():
        raise fail("runs", "a folder", f"the file '{store.folder}'", "give another folder")
    forget_changed()
    for data in dict.fromkeys(run.data for run in runs):
        load_cached(data, str(store.cache))
    needed = dict.fromkeys(data for run in runs for data in run.data_sets())
    prints = {data: fingerprint(data, cache=store.cache) for data in needed}
    return [resolve(run, prints[run.data], prints) for run in runs]


def _data_of(store: RunStore, run: RunSpec) -> Dataset:
    return load_cached(run.data, str(store.cache))


def read_specification(specification: RunSpec | Mapping[str, Any] | Path | str) -> RunSpec:
    """Return a run specification from itself, its content as a mapping, or the path of a TOML file."""
    if isinstance(specification, RunSpec):
        return specification
    source = "specification"
    if isinstance(specification, str | Path):
        source, specification = str(specification), read_toml(specification)
    if not isinstance(specification, Mapping):
        required = "a RunSpec, a mapping or the path of a TOML file"
        raise fail_type("specification", required, type(specification).__name__, "pass one of these")
    if "ensemble" in specification:
        remedy = "remove it; softtargets train and train_ensemble train ensembles"
        raise fail(f"{source}: ensemble", "left out of the specification of one run", "a table", remedy)
    return RunSpec.parse(specification, source=source)
