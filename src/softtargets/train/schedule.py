"""Many runs trained, several at a time."""

import os
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from softtargets._interruption import stop_if_asked
from softtargets.data.sources import load_cached
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.train.execute import CHECKPOINT_SECONDS, Outcome, execute, prerequisites, rehearse
from softtargets.train.loop import length_of
from softtargets.train.progress import Progress, Tracker


def train_all(
    resolved: Sequence[ResolvedRun],
    store: RunStore,
    *,
    workers: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> list[Outcome]:
    """Execute runs, each once and several at a time; one that another process holds is waited for at the end.

    Teachers, and whatever else runs are made from, come before those that need them; a teacher whose record was lost
    is made again for students that are there.

    Returns:
        One outcome for each of the runs asked for, and for each of what they needed that was not there.
    """
    asked = dict.fromkeys(run.identity for run in resolved)
    waves = _waves(resolved, store)
    missing = [run for wave in waves for run in wave]
    outcomes = [Outcome(identity, "present") for identity in asked.keys() - {run.identity for run in missing}]
    if not missing:
        return outcomes
    rehearse(missing, store)
    tracker = Tracker(store, {run.identity: _steps(run, store) for run in missing}, present=len(outcomes))
    settings = {"workers": workers, "checkpoint_seconds": checkpoint_seconds}
    with _reported(tracker, on_progress):
        for wave in waves:
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


def _waves(resolved: Sequence[ResolvedRun], store: RunStore) -> list[list[ResolvedRun]]:
    """Return the runs that are missing, with teachers and what else is needed: each wave makes the next one ready."""
    depths: dict[str, int] = {}  # -1 for a run that is there
    waves: list[list[ResolvedRun]] = []

    def depth(run: ResolvedRun) -> int:
        identity = run.identity
        if identity not in depths:
            present = store.result(identity) is not None
            # a run that is there is measured against its teachers
            needed = run.teachers or () if present else prerequisites(run)
            before = max((depth(other) for other in needed), default=-1)
            depths[identity] = -1 if present else before + 1
            if not present:
                waves.extend([] for _ in range(before + 2 - len(waves)))
                waves[before + 1].append(run)
        return depths[identity]

    for run in resolved:
        depth(run)
    return waves


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
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    parallel = Parallel(n_jobs=count, backend="loky", return_as="generator_unordered", pre_dispatch="2*n_jobs")
    outcomes = cast("Generator[Outcome]", parallel(delayed(execute)(run, store, **settings) for run in runs))
    try:
        for outcome in outcomes:
            stop_if_asked()
            yield outcome
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that tasks were cancelled is what was asked for
            outcomes.close()
        # else the workers, and the memory of torch in each, stay for minutes
        get_reusable_executor(reuse=True).shutdown(wait=True)  # pyright: ignore[reportArgumentType]


def available_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _reported(tracker: Tracker, on_progress: Callable[[Progress], None]) -> Iterator[None]:
    """Report progress from a thread of its own, so that a long run does not silence the display."""
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
