"""Progress of a set of runs, read from the files that the runs write."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from softtargets._storage import open_regular, parse_json, read_regular
from softtargets.runs.store import HISTORY, STEPS, RunStore
from softtargets.train.execute import Outcome


@dataclass(frozen=True)
class Progress:
    """Progress at one moment.

    Args:
        done: fraction of the work that is done, in [0, 1]: of the missing steps, or of the runs to be measured.
        remaining: estimated seconds left, from the speed so far; None before there is a speed.
        finished, total: runs that this command has trained (or measured), and runs that it has to.
        present: runs that the store already had.
        failed: runs that have failed.
        task: what is done with the runs.
    """

    done: float
    remaining: float | None
    finished: int
    total: int
    present: int
    failed: int
    task: Literal["train", "measure"] = "train"


@contextmanager
def reported(
    look: Callable[[], Progress], on_progress: Callable[[Progress], None], *, after: float = 0.0
) -> Iterator[None]:
    """Report progress about twice a second from a separate thread, and at the end.

    Args:
        look: returns the progress now.
        on_progress: gets it.
        after: seconds; work that takes less is not reported.
    """
    over, begun = threading.Event(), not after

    def report_often() -> None:
        nonlocal begun
        pause = after or 0.5
        while not over.wait(pause):
            begun, pause = True, 0.5
            on_progress(look())

    thread = threading.Thread(target=report_often, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if begun:
            on_progress(look())


def remaining_seconds(elapsed: float, before: float, now: float) -> float | None:
    """Return the seconds left when the fraction that is done rose from `before` to `now`; None if by 0.005 or less."""
    return elapsed * (1 - now) / (now - before) if now - before > 0.005 else None


@dataclass
class Tracker:
    """Counts the steps of finished runs, and of unfinished ones from the last line of their history."""

    store: RunStore
    steps: dict[str, int]
    present: int
    _finished: dict[str, Outcome] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)
    _first: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, outcome: Outcome) -> None:
        """Record that a run has ended, whether it succeeded or not."""
        with self._lock:
            self._finished[outcome.identity] = outcome

    def look(self) -> Progress:
        """Return the progress now."""
        with self._lock:
            finished = dict(self._finished)
        total = sum(self.steps.values())
        steps = sum(self.steps[name] for name in finished)
        steps += sum(self._steps_so_far(name) for name in self.steps if name not in finished)
        share = steps / total
        if self._first is None:
            # steps of an earlier, interrupted command take no time now
            self._first = share
        return Progress(
            done=share,
            remaining=remaining_seconds(time.monotonic() - self._begun, self._first, share),
            finished=len(finished),
            total=len(self.steps),
            present=self.present,
            failed=sum(outcome.status == "failed" for outcome in finished.values()),
        )

    def _steps_so_far(self, identity: str) -> int:
        return min(steps_so_far(self.store, identity), self.steps[identity])


def steps_so_far(store: RunStore, identity: str) -> int:
    """Return the steps of an unfinished run that its history, or its note within an epoch, records; 0 without one."""
    folder = store.partial(identity)
    return max(_steps_of_history(folder / HISTORY), _steps_of_note(folder / STEPS))


def _steps_of_history(path: Path) -> int:
    try:
        with open_regular(path) as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 1024))
            lines = file.read().splitlines()
        return max(0, int(parse_json(lines[-1])["step"]))
    except (OSError, ValueError, IndexError, KeyError, TypeError):
        return 0


def _steps_of_note(path: Path) -> int:
    try:
        return max(0, int(read_regular(path, max_bytes=64)))
    except (OSError, ValueError):
        return 0
