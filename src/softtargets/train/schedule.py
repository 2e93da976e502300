"""Training many runs, several at a time."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor

from softtargets._errors import fail
from softtargets._interruption import stop_if_asked
from softtargets.data.sources import load_cached
from softtargets.runs.machine import available_cores
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.train.execute import CHECKPOINT_SECONDS, Outcome, execute, validate_setup
from softtargets.train.executors import ExecutorSpec
from softtargets.train.graph import RunGraph
from softtargets.train.length import length_of
from softtargets.train.progress import Progress, Tracker


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
    if workers is not None and (type(workers) is not int or workers < 1):
        raise fail("workers", "a whole number of at least 1", repr(workers), "leave it out for one per core")
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
    with _reported(tracker, on_progress):
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
    count = min(len(runs), workers if workers is not None else max(1, available_cores() // threads))
    waiting = deque(runs)
    if count == 1:
        _train_here(waiting, train, ended)
        return
    with _Helpers(count - 1, waiting, train, ended) as helpers:
        _train_here(waiting, train, ended, stopped=helpers.failed.is_set)
        helpers.join()


def _train_here(
    waiting: deque[ResolvedRun],
    train: Callable[[ResolvedRun], Outcome],
    ended: Callable[[Outcome], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Train the runs that are waiting, one after the other, in this process."""
    while not stopped() and (run := _next(waiting)) is not None:
        stop_if_asked()
        ended(train(run))


def _next(waiting: deque[ResolvedRun]) -> ResolvedRun | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


class _Helpers:
    """Processes that train runs beside this one. Each takes the next run when it has finished one.

    This process trains too, instead of waiting for them: it has imported torch already, which takes a second.

    Args:
        count: number of processes.
        waiting: the runs, which this process takes from as well.
        train: trains one run.
        ended: gets each outcome, from a thread of the executor.
    """

    def __init__(
        self,
        count: int,
        waiting: deque[ResolvedRun],
        train: Callable[[ResolvedRun], Outcome],
        ended: Callable[[Outcome], None],
    ) -> None:
        self.waiting, self.train, self.ended = waiting, train, ended
        self.failed = threading.Event()
        self._error: BaseException | None = None
        self._idle = threading.Semaphore(0)
        self._count = count
        self._executor = ProcessPoolExecutor(count)

    def __enter__(self) -> "_Helpers":
        for _ in range(self._count):
            self._continue()
        return self

    def _continue(self) -> None:
        """Give the next run to a process, or count the process as idle if there is none."""
        run = None if self.failed.is_set() else _next(self.waiting)
        if run is None:
            self._idle.release()
        else:
            self._executor.submit(self.train, run).add_done_callback(self._done)

    def _done(self, future: "Future[Outcome]") -> None:
        try:
            self.ended(future.result())
        except BaseException as error:  # a process that was killed, for example for its memory use
            self._error = self._error or error
            self.failed.set()
        self._continue()

    def join(self) -> None:
        """Wait until no process trains. Raises the error of a process that was killed."""
        for _ in range(self._count):
            while not self._idle.acquire(timeout=0.5):
                stop_if_asked()
        if self._error is not None:
            raise self._error

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.failed.set()
        # otherwise the processes and their memory stay for minutes
        self._executor.shutdown(wait=True, kill_workers=kind is not None)


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
