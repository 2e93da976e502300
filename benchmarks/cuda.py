"""The benchmarks on a GPU, which need torch, Triton and the checkout: ``python -m benchmarks --device cuda``."""

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks import goals, machine, meter, pages, small_trainings, table
from benchmarks.cases import CASES, LARGE, Problem, Setting, smoothing
from benchmarks.measure import Row, measure
from benchmarks.small_trainings import Result

MINUTES = 6.0
SMALL = ((32, 10), (128, 10), (128, 100), (256, 1000))
PEERS = ("triton", "liger-kernel", "timm")

METHOD = (
    "One call computes the loss and its gradients. All contenders of a problem run in one process, one call each per "
    "round, in a new random order in each round. Before each call the second-level cache is flushed. `GPU ms` is the "
    "time between two CUDA events, and ratios are of it. The GPU is kept busy before the first event for several times "
    "`host ms`, the time that the host needs to queue the call, so that the host is ahead of the GPU, as in a training "
    "loop. If the first event had passed nevertheless when the host had queued the call, in more than a quarter of the "
    "rounds, `GPU ms` is marked as host-bound, and there is no ratio. `latency ms` is the wall-clock time of one call "
    "on an idle GPU, launches included. Times are medians, `host ms` is the longest of three calls. Memory is the peak "
    "of torch's allocator beyond the inputs, in buffers of the N×C logits. Errors are relative to the reference in "
    "float64: of the mean loss in nats, and of the gradient as a fraction of its largest entry."
)
HEADER = (
    "case",
    "N×C",
    "dtype",
    "contender",
    "time ÷ reference",
    "GPU ms",
    "host ms",
    "latency ms",
    "memory",
    "loss error",
    "gradient error",
    "goal",
)


class Clock:
    """Time since the start, and whether there is enough left to begin something that takes as long as the longest."""

    def __init__(self, minutes: float) -> None:
        self.start, self.limit, self.longest = time.monotonic(), 60 * minutes, 0.0

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.limit - self.spent

    def fits(self) -> bool:
        """Return whether something as long as the longest so far would end before the limit."""
        return self.left > self.longest

    def timed(self, call: Callable[[], list[Row]]) -> list[Row]:
        """Return the result of the call, and remember how long it took."""
        before = self.spent
        result = call()
        self.longest = max(self.longest, self.spent - before)
        return result


def run(
    device: torch.device,
    folder: Path,
    *,
    cases: Sequence[str] = tuple(CASES),
    rounds: int = 9,
    minutes: float = MINUTES,
    quick: bool = False,
) -> None:
    """Measure until the time is up, print each row when it is ready, and write cuda.csv and the section on GPUs.

    Args:
        device: CUDA; the CPU only serves tests.
        folder: output folder.
        cases: keys of CASES to run.
        rounds: number of timed rounds.
        minutes: nothing new is begun if it would end later, judging by the longest problem so far.
        quick: tiny shapes.
    """
    clock, report = Clock(minutes), Report(machine.describe(device, PEERS), rounds)
    for problem in _problems(Setting(device, quick), cases):
        if problem is None:
            # training one after the other is given at most a quarter of what is left
            report.trained = small_trainings.measure(device, quick=quick, limit=max(5.0, clock.left / 4))
            print("\n".join(small_trainings.page(report.trained)), flush=True)
        elif not clock.fits():
            report.skipped.append(f"{_name(problem)} was not begun, because the time was up")
        else:
            _measured(problem, report, clock)
        crashed = meter.crashed(device)
        if crashed:
            what = "the small trainings" if problem is None else _name(problem)
            report.skipped.append(f"{what} left the GPU unusable, so that nothing after it was measured")
            print(report.skipped[-1], flush=True)
        report.write(folder)  # what was measured is kept if the process is killed
        if crashed:
            break
    print(report.count(), *report.skipped, sep="\n")
    print(f"Wrote {folder / 'parts' / 'cuda.md'} and cuda.csv in {clock.spent / 60:.1f} min")


def _measured(problem: Problem, report: "Report", clock: Clock) -> None:
    """Measure one problem and print its times."""
    try:
        found = clock.timed(partial(measure, problem, rounds=report.rounds))
    except Exception as error:  # the other problems are still measured
        report.skipped.append(f"{_name(problem)} failed: {meter.reason(error)}")
        print(report.skipped[-1], flush=True)
        return
    report.rows += found
    print(f"{clock.spent:4.0f} s  {_name(problem)}: {'; '.join(map(_printed, filter(_shown, found)))}", flush=True)


def _problems(setting: Setting, cases: Sequence[str]) -> Iterator[Problem | None]:
    """Yield the problems, the most important first; None stands for the small trainings."""
    if "smoothing" in cases:
        yield from smoothing(setting, LARGE)
    if "linear" in cases:
        yield from CASES["linear"].problems(setting)
    yield None
    if "smoothing" in cases and not setting.quick:
        yield from map(_without_goals, smoothing(setting, SMALL))
    for case in cases:
        if case not in ("smoothing", "linear"):
            yield from CASES[case].problems(setting)


def _without_goals(problem: Problem) -> Problem:
    return replace(problem, contenders=tuple(replace(contender, goals=()) for contender in problem.contenders))


def _name(problem: Problem) -> str:
    return f"{problem.case} {problem.shape} {str(problem.dtype).removeprefix('torch.')}"


# -- output


@dataclass
class Report:
    """What was measured so far.

    Args:
        origin: hardware and versions, by name.
        rounds: number of timed rounds.
        rows: the measurements of the losses.
        trained: the small trainings.
        skipped: problems that were not measured, with the reason.
    """

    origin: dict[str, str]
    rounds: int
    rows: list[Row] = field(default_factory=list)
    trained: list[Result] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write cuda.csv, the section and RESULTS.md."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "cuda.csv").open("w", newline="", encoding="utf-8") as file:
            names = [*(item.name for item in fields(Row)), *self.origin]
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows({**asdict(row), **self.origin} for row in self.rows)
        pages.put(folder, "cuda", self.page())

    def page(self) -> str:
        """Return the section: hardware and versions, the goals, all rows, and the small trainings."""
        lines = ["# GPU", "", *(f"- {name}: {value}" for name, value in self.origin.items())]
        lines += [f"- rounds: n = {self.rounds}, after 1 warm-up", "", METHOD, ""]
        lines += ["## Goals on a GPU", "", self.count(), "", *goals.details(self._held())]
        lines += ["", "## Losses on a GPU", "", _line(HEADER), _line("---" for _ in HEADER)]
        lines += [_line(_cells(row)) for row in self.rows if _shown(row)]
        left_out = {f"{row.contender}: {row.note}" for row in self.rows if not _shown(row)}
        lines += ["", *(f"- {reason}" for reason in (*sorted(left_out), *self.skipped))]
        if self.trained:
            lines += ["", "## Small trainings on a GPU", "", small_trainings.ABOUT]
            lines += ["", *small_trainings.page(self.trained)]
        return "\n".join(lines)

    def count(self) -> str:
        """Return how many goals are met."""
        found = [one.verdict for one in self._held()]
        return ", ".join(f"{found.count(word)} {word}" for word in ("met", "missed", "not measured")) + "."

    def _held(self) -> list[goals.Measured]:
        return [one for row in self.rows for one in table.measured(row)]


def _shown(row: Row) -> bool:
    """Return whether a row has measurements; why a contender was skipped is said once below the table."""
    return not row.note.startswith("skipped")


def _cells(row: Row) -> list[str]:
    measured = [
        _number(row.ratio, ".3f"),
        _number(row.ms, ".3g") + (" (host-bound)" if row.host_bound else ""),
        _number(row.host_ms, ".3g"),
        _number(row.latency_ms, ".3g"),
        _number(row.memory, ".2f"),
        _number(row.loss_error, ".1e"),
        _number(row.gradient_error, ".1e"),
    ]
    held = [(goals.GOALS[one.goal].required(), one.verdict) for one in table.measured(row)]
    goal = "; ".join(f"{required}: {'**missed**' if verdict == 'missed' else verdict}" for required, verdict in held)
    return [row.case, row.shape, row.dtype, row.contender, *measured, row.note or goal]


def _printed(row: Row) -> str:
    """Return a row in a few words; the page has the rest."""
    if row.note and row.ms is None:
        return f"{row.contender} {row.note}"
    bound = ", host-bound" if row.host_bound else ""
    return f"{row.contender} {_number(row.ms, '.3g')} ms{bound}, host {_number(row.host_ms, '.2g')}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"
