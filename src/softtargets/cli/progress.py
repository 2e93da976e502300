"""Progress: a live bar on a terminal, otherwise a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from softtargets.cli.terminal import write
from softtargets.report.numbers import duration

if TYPE_CHECKING:
    from softtargets.audit import AuditStage
    from softtargets.train.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown_progress() -> Iterator[Callable[["Progress"], None]]:
    """Yield a function that shows progress on the standard error."""
    if sys.stderr.isatty():
        yield from _bar()
    else:
        yield _Lines()


def _bar() -> Iterator[Callable[["Progress"], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=1.0)
        yield lambda state: bar.update(task, completed=state.done, description=describe(state))


class _Lines:
    """Prints a line at the first call, every few seconds, and at the end."""

    def __init__(self) -> None:
        self._last = -SECONDS_BETWEEN_LINES
        self._ended = False

    def __call__(self, state: "Progress") -> None:
        now = time.monotonic()
        ends = state.finished == state.total
        if (ends and not self._ended) or now - self._last >= SECONDS_BETWEEN_LINES:
            write(f"{100 * state.done:3.0f} %  {describe(state)}", error=True)
            self._last, self._ended = now, ends


class StageLines:
    """Prints each stage when it begins, and its progress every few seconds."""

    def __init__(self) -> None:
        self._stage, self._printed = "", 0.0

    def __call__(self, stage: str, done: str) -> None:
        """Print a stage and its progress in words."""
        now = time.monotonic()
        if stage != self._stage or now - self._printed >= SECONDS_BETWEEN_LINES:
            write(f"{stage}{done}", error=True)
            self._stage, self._printed = stage, now


@contextmanager
def audit_progress() -> Iterator[Callable[["AuditStage | Progress"], None]]:
    """Yield a function that prints the stages of an audit, and shows the progress of training when it begins."""
    from softtargets.audit import AuditStage

    lines = StageLines()
    with ExitStack() as display:
        on_training: list[Callable[[Progress], None]] = []

        def show(state: "AuditStage | Progress") -> None:
            if isinstance(state, AuditStage):
                if state.done < 1:
                    lines(state.name, f", {100 * state.done:.0f} %" if state.done else "")
                return
            if not on_training:
                on_training.append(display.enter_context(shown_progress()))
            on_training[0](state)

        yield show


def describe(state: "Progress") -> str:
    """Return progress in words."""
    doing, did = {"train": ("training", "trained"), "measure": ("measuring", "measured")}[state.task]
    if state.finished == state.total:
        words = [f"{did} {state.finished - state.failed} of {state.total} runs"]
    else:
        left = "estimating the time" if state.remaining is None else f"{duration(state.remaining)} left"
        words = [f"{doing}: {state.finished} of {state.total} runs", left]
    if state.present:
        words.append(f"{state.present} already present")
    if state.failed:
        words.append(f"{state.failed} failed")
    return ", ".join(words)
