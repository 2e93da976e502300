"""How far a set of runs has come, seen from outside: by what the runs themselves have written."""

import json
import threading
import time
from dataclasses import dataclass, field

from softtargets.runs.store import HISTORY, RunStore
from softtargets.train.execute import Outcome


@dataclass(frozen=True)
class Progress:
    """One look.

    Args:
        done: share of the work that was missing at the start, in [0, 1].
        remaining: seconds, by the speed so far; None while there is nothing to judge by.
        finished, total: runs trained in this command, and runs that were missing at its start.
        present: runs that were there already.
        failed: runs that failed so far.
    """

    done: float
    remaining: float | None
    finished: int
    total: int
    present: int
    failed: int


@dataclass
class Tracker:
    """Counts steps of finished runs, and of those in the making by the last line of their history."""

    store: RunStore
    steps: dict[str, int]
    present: int
    _finished: dict[str, Outcome] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)
    _first: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, outcome: Outcome) -> None:
        """Note that a run has ended, one way or another."""
        with self._lock:
            self._finished[outcome.identity] = outcome

    def look(self) -> Progress:
        """Return how far it is now."""
        with self._lock:
            finished = dict(self._finished)
        total = sum(self.steps.values())
        steps = sum(self.steps[name] for name in finished)
        steps += sum(self._steps_so_far(name) for name in self.steps if name not in finished)
        share = steps / total
        if self._first is None:
            # What earlier commands left half done costs nothing now.
            self._first = share
        gained, elapsed = share - self._first, time.monotonic() - self._begun
        return Progress(
            done=share,
            remaining=elapsed * (1 - share) / gained if gained > 0.005 else None,
            finished=len(finished),
            total=len(self.steps),
            present=self.present,
            failed=sum(outcome.status == "failed" for outcome in finished.values()),
        )

    def _steps_so_far(self, identity: str) -> int:
        try:
            with (self.store.partial(identity) / HISTORY).open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 1024))
                lines = file.read().splitlines()
            return min(int(json.loads(lines[-1])["step"]), self.steps[identity])
        except (OSError, ValueError, IndexError, KeyError, TypeError):
            return 0
