"""Training many runs, several at a time."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from softtargets._errors import fail
from softtargets.data.sources import load_cached
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.runs.workers import check_workers, count_workers, work_on
from softtargets.train.execute import CHECKPOINT_SECONDS, Outcome, execute, validate_setup
from softtargets.train.executors import ExecutorSpec
from softtargets.train.graph import RunGraph
from softtargets.train.length import length_of
from softtargets.train.progress import Progress, Tracker, reported


def train_all(
    resolved: Sequence[ResolvedRun],
    store: RunStore,
    *,
    workers: int | None = None,
    executor: ExecutorSpec | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> list[Outcome]:
    """Train the runs that are missing from the store, several at a time.

    Teachers and pre-training are trained before the runs that need them. A teacher whose record is missing is trained
    again even if its students are present. Runs that another process is training are waited for at the end.

    Args:
        resolved: the runs.
        store: the run store.
        workers: number of worker processes (default: as many as the cores allow).
        executor: where runs are trained, which decides on the number of workers; None: in processes of this machine,
            this one included.
        checkpoint_seconds: minimum time between a run's checkpoints; it does not change results.
        on_progress: called about twice a second, from a separate thread.

    Returns:
        One outcome for each requested run, and for each missing run that one of them needs.

    Raises:
        InputError: for a run that cannot be set up, before anything is trained.
    """
    check_workers(workers)
    if workers is not None and executor is not None:
        raise fail("workers", "left out with executor", workers, "give it as a setting of the executor")
    graph = RunGraph.build(resolved, store)
    missing = graph.missing
    outcomes = [Outcome(identity, "present") for identity in graph.present]
    if not missing:
        return outcomes
    validate_setup(missing, store)
    tracker = Tracker(store, {run.identity: _steps(run, store) for run in missing}, present=len(outcomes))
    settings = {"workers": workers, "executor": executor, "checkpoint_seconds": checkpoint_seconds}
    with reported(tracker.look, on_progress):
        for wave in graph.waves:
            outcomes += _train_wave(wave, store, tracker, **settings)
    return outcomes


def _steps(run: ResolvedRun, store: RunStore) -> int:
    dataset = load_cached(run.run.data, str(store.cache))
    return length_of(run.run, dataset).steps


def _train_wave(wave: Sequence[ResolvedRun], store: RunStore, tracker: Tracker, **settings: Any) -> list[Outcome]:
    """Train runs that do not depend on each other, and wait at the end for those that another command is training."""
    by_identity = {run.identity: run for run in wave}
    outcomes: list[Outcome] = []
    busy: list[ResolvedRun] = []

    def ended(outcome: Outcome) -> None:
        if outcome.status == "busy":
            busy.append(by_identity[outcome.identity])
        else:
            tracker.done(outcome)
            outcomes.append(outcome)

    _train_each(wave, store, ended, wait=False, **settings)
    _train_each(tuple(busy), store, ended, wait=True, **settings)
    return outcomes


def _train_each(
    runs: Sequence[ResolvedRun],
    store: RunStore,
    ended: Callable[[Outcome], None],
    *,
    wait: bool,
    workers: int | None,
    executor: ExecutorSpec | None,
    checkpoint_seconds: float,
) -> None:
    """Train runs, several at a time; `ended` gets each outcome at once, from any thread."""
    if not runs:
        return
    train = partial(execute, store=store, wait=wait, checkpoint_seconds=checkpoint_seconds)
    if executor is not None:
        executor.train_each(runs, train, store.folder, ended)
        return
    threads = max(run.run.training.cores for run in runs)
    work_on(runs, train, ended, count_workers(workers, threads))
