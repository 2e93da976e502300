"""Work on many items in several processes of this machine, this one included."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from joblib.externals.loky import ProcessPoolExecutor

from softtargets._errors import fail
from softtargets._interruption import stop_if_asked
from softtargets.runs.machine import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def check_workers(workers: int | None) -> None:
    """Require None or a whole number of at least 1.

    Raises:
        InputError: otherwise.
    """
    if workers is not None and (type(workers) is not int or workers < 1):
        raise fail("workers", "a whole number of at least 1", repr(workers), "leave it out for one per core")


def count_workers(workers: int | None, threads: int) -> int:
    """Return `workers`, or if it is None the number of cores divided by the threads of each process.

    Raises:
        InputError: if it is not a whole number of at least 1.
    """
    check_workers(workers)
    return workers if workers is not None else max(1, available_cores() // threads)


def work_on(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    ended: Callable[[Result], None],
    workers: int,
    *,
    alone: float = 0.0,
) -> None:
    """Work on items, several at a time. Each process takes the next item when it has finished one.

    Args:
        items: the items, begun in this order.
        work: (item) -> result; pickled if several processes work.
        ended: called with each result as soon as it is known, from any thread.
        workers: number of processes, with this one.
        alone: seconds that this process works alone before others are started, which takes about two seconds. Items
            whose results are cached are done by then.

    Raises:
        Exception: what `work` raised in this process, or the error of another process.
    """
    waiting = deque(items)
    end = time.monotonic() + alone
    if alone and workers > 1:
        _work_here(waiting, work, ended, stopped=lambda: time.monotonic() >= end)
    count = min(len(waiting), workers)
    if count <= 1:
        _work_here(waiting, work, ended)
        return
    with _Helpers(count - 1, waiting, work, ended) as helpers:
        _work_here(waiting, work, ended, stopped=helpers.failed.is_set)
        helpers.join()


def _work_here(
    waiting: deque[Item],
    work: Callable[[Item], Result],
    ended: Callable[[Result], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Work on the items that are waiting, one after the other, in this process."""
    while not stopped() and (taken := _next(waiting)):
        stop_if_asked()
        ended(work(taken[0]))


def _next(waiting: deque[Item]) -> tuple[Item] | tuple[()]:
    try:
        return (waiting.popleft(),)
    except IndexError:
        return ()


def _end_with(parent: int) -> None:
    """End this process within a second of its parent, which may be killed: else it would wait for work forever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Helpers(Generic[Item, Result]):
    """Processes that work beside this one. Each takes the next item when it has finished one.

    This process works too, instead of waiting for them: it has imported torch already, which takes a second.

    Args:
        count: number of processes.
        waiting: the items, which this process takes from as well.
        work: (item) -> result.
        ended: gets each result, from a thread of the executor.
    """

    def __init__(
        self,
        count: int,
        waiting: deque[Item],
        work: Callable[[Item], Result],
        ended: Callable[[Result], None],
    ) -> None:
        self.waiting, self.work, self.ended = waiting, work, ended
        self.failed = threading.Event()
        self._error: BaseException | None = None
        self._idle = threading.Semaphore(0)
        self._count = count
        self._executor = ProcessPoolExecutor(count, initializer=_end_with, initargs=(os.getpid(),))

    def __enter__(self) -> "_Helpers[Item, Result]":
        for _ in range(self._count):
            self._continue()
        return self

    def _continue(self) -> None:
        """Give the next item to a process, or count the process as idle if there is none."""
        taken = () if self.failed.is_set() else _next(self.waiting)
        if taken:
            self._executor.submit(self.work, taken[0]).add_done_callback(self._done)
        else:
            self._idle.release()

    def _done(self, future: "Future[Result]") -> None:
        try:
            self.ended(future.result())
        except BaseException as error:  # a process that was killed, for example for its memory use
            self._error = self._error or error
            self.failed.set()
        self._continue()

    def join(self) -> None:
        """Wait until no process works. Raises the error of a process that was killed."""
        for _ in range(self._count):
            while not self._idle.acquire(timeout=0.5):
                stop_if_asked()
        if self._error is not None:
            raise self._error

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.failed.set()
        # otherwise the processes and their memory stay for minutes
        self._executor.shutdown(wait=True, kill_workers=kind is not None)
