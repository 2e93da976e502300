"""Training many runs, several at a time."""

import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from softtargets._errors import fail
from softtargets._interruption import stop_if_asked
from softtargets.data.sources import load_cached
from softtargets.runs.machine import available_cores
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.train.execute import CHECKPOINT_SECONDS, Outcome, execute, validate_setup
from softtargets.train.graph import RunGraph
from softtargets.train.length import length_of
from softtargets.train.progress import Progress, Tracker


def train_all(
    resolved: Sequence[ResolvedRun],
    store: RunStore,
    *,
    workers: int | None = None,
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
        checkpoint_seconds: minimum time between a run's checkpoints; it does not change results.
        on_progress: called about twice a second, from a separate thread.

    Returns:
        One outcome for each requested run, and for each missing run that one of them needs.

    Raises:
        InputError: for a run that cannot be set up, before anything is trained.
    """
    if workers is not None and (type(workers) is not int or workers < 1):
        raise fail("workers", "a whole number of at least 1", repr(workers), "leave it out for one per core")
    graph = RunGraph.build(resolved, store)
    missing = graph.missing
    outcomes = [Outcome(identity, "present") for identity in graph.present]
    if not missing:
        return outcomes
    validate_setup(missing, store)
    tracker = Tracker(store, {run.identity: _steps(run, store) for run in missing}, present=len(outcomes))
    settings = {"workers": workers, "checkpoint_seconds": checkpoint_seconds}
    with _reported(tracker, on_progress):
        for wave in graph.waves:
            by_identity = {run.identity: run for run in wave}
            busy: list[ResolvedRun] = []
            for outcome in _each(wave, store, wait=False, **settings):
                if outcome.status == "busy":
                    busy.append(by_identity[outcome.identity])
                else:
                    tracker.done(outcome)
                    outcomes.append(outcome)
            for outcome in _each(busy, store, wait=True, **settings):
                tracker.done(outcome)
                outcomes.append(outcome)
    return outcomes


def _steps(run: ResolvedRun, store: RunStore) -> int:
    dataset = load_cached(run.run.data, str(store.cache))  # pyright: ignore[reportArgumentType]
    return length_of(run.run, len(dataset.splits["train"])).steps


def _each(
    runs: Sequence[ResolvedRun], store: RunStore, *, wait: bool, workers: int | None, checkpoint_seconds: float
) -> Iterator[Outcome]:
    if not runs:
        return
    threads = max(run.run.training.threads for run in runs)
    count = min(len(runs), workers if workers is not None else max(1, available_cores() // threads))
    settings = {"wait": wait, "checkpoint_seconds": checkpoint_seconds}
    if count == 1:
        for run in runs:
            stop_if_asked()
            yield execute(run, store, **settings)
        return
    parallel = Parallel(n_jobs=count, backend="loky", return_as="generator_unordered", pre_dispatch="2*n_jobs")
    outcomes = cast("Generator[Outcome]", parallel(delayed(execute)(run, store, **settings) for run in runs))
    try:
        for outcome in outcomes:
            stop_if_asked()
            yield outcome
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # cancelled tasks are expected here
            outcomes.close()
        # otherwise the workers and their memory stay for minutes
        get_reusable_executor(reuse=True).shutdown(wait=True)  # pyright: ignore[reportArgumentType]


@contextmanager
def _reported(tracker: Tracker, on_progress: Callable[[Progress], None]) -> Iterator[None]:
    """Report progress from a separate thread, so that the display is updated during a long run."""
    over = threading.Event()

    def report_often() -> None:
        while not over.wait(0.5):
            on_progress(tracker.look())

    thread = threading.Thread(target=report_often, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        on_progress(tracker.look())
