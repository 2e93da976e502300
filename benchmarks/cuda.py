"""The benchmarks on a GPU, which need torch, Triton and the checkout: ``python -m benchmarks --device cuda``."""

import csv
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks import machine, pages, small_trainings
from benchmarks.cases import CASES, LARGE, Problem, Setting, smoothing
from benchmarks.measure import Row, measure
from benchmarks.small_trainings import Result

MINUTES = 6.0
SMALL = ((32, 10), (128, 10), (128, 100), (256, 1000))
COMPILED = "torch.compile of it"
# Goals as fractions of the reference's time and in buffers of the logits.
GOALS = {"ours": (0.35, 1.02), "ours as nn.CrossEntropyLoss": (0.35, 1.02), "ours in place": (0.2, 0.02)}
PEERS = ("triton", "liger-kernel", "timm")

METHOD = (
    "One call computes the loss and its gradients. All contenders of a problem run in one process, one call each per "
    "round, in a new random order in each round. Before each call the second-level cache is flushed. `GPU ms` is the "
    "time between two CUDA events while the host is ahead of the GPU, as in a training loop, and ratios are of it; "
    "`latency ms` is the wall-clock time of one call on an idle GPU, launches included. Both are medians. Memory is "
    "the peak of torch's allocator beyond the inputs, in buffers of the N×C logits. Errors are relative to the "
    "reference in float64: of the mean loss in nats, and of the gradient as a fraction of its largest entry."
)
HEADER = (
    "case",
    "N×C",
    "dtype",
    "contender",
    "time ÷ reference",
    "GPU ms",
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
        report.write(folder)  # what was measured is kept if the process is killed
    print(report.page())
    print(f"Wrote {folder / 'parts' / 'cuda.md'} and cuda.csv in {clock.spent / 60:.1f} min")


def _measured(problem: Problem, report: "Report", clock: Clock) -> None:
    """Measure one problem and print its rows."""
    try:
        found = clock.timed(partial(measure, problem, rounds=report.rounds))
    except Exception as error:  # the other problems are still measured
        reason = (str(error).strip() or "no message").splitlines()[0]
        report.skipped.append(f"{_name(problem)} failed: {type(error).__name__}: {reason}")
        print(report.skipped[-1], flush=True)
        return
    report.rows += found
    print("\n".join(map(_printed, found)), f"({clock.spent:.0f} s)", sep="\n", flush=True)


def _problems(setting: Setting, cases: Sequence[str]) -> Iterator[Problem | None]:
    """Yield the problems, the most important first; None stands for the small trainings."""
    if "smoothing" in cases:
        yield from map(_with_goals, smoothing(setting, LARGE))
    if "linear" in cases:
        yield from CASES["linear"].problems(setting)
    yield None
    if "smoothing" in cases and not setting.quick:
        yield from map(_without_goals, smoothing(setting, SMALL))
    for case in cases:
        if case not in ("smoothing", "linear"):
            yield from CASES[case].problems(setting)


def _with_goals(problem: Problem) -> Problem:
    every = []
    for contender in problem.contenders:
        time_goal, memory = GOALS.get(contender.name, (None, None))
        # the losses and targets of a row are no small part of the memory if it has 10 classes
        memory = memory if problem.logits[1] >= 100 else None
        every.append(replace(contender, time=time_goal, memory=memory, most=None))
    return replace(problem, contenders=tuple(every))


def _without_goals(problem: Problem) -> Problem:
    every = [replace(contender, time=None, memory=None, most=None) for contender in problem.contenders]
    return replace(problem, contenders=tuple(every))


def _name(problem: Problem) -> str:
    return f"{problem.case} {problem.shape} {str(problem.dtype).removeprefix('torch.')}"


# -- goals


def goals(rows: Sequence[Row]) -> list[tuple[Row, str, str]]:
    """Return the rows with goals, each goal and whether it is "met", "missed" or "not measured"."""
    compiled = {_problem(row): row.ratio for row in rows if row.contender == COMPILED}
    found = []
    for row in rows:
        checks = [("time", row.ratio, row.time_goal), ("memory", row.memory, row.memory_goal)]
        if row.time_goal is not None and _problem(row) in compiled:
            checks.append(("time of torch.compile", row.ratio, compiled[_problem(row)] or math.nan))
        for name, got, goal in checks:
            if goal is not None:
                verdict = "not measured" if got is None or math.isnan(goal) else "met" if got <= goal else "missed"
                found.append((row, f"{name} {goal:.3g}", verdict))
    return found


def _problem(row: Row) -> tuple[str, str, str]:
    return row.case, row.shape, row.dtype


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
        verdicts = goals(self.rows)
        count = {word: sum(verdict == word for *_, verdict in verdicts) for word in ("met", "missed", "not measured")}
        lines = ["# GPU", "", *(f"- {name}: {value}" for name, value in self.origin.items())]
        lines += [f"- rounds: n = {self.rounds}, after 1 warm-up", "", METHOD, ""]
        lines += ["## Goals on a GPU", "", ", ".join(f"{number} {word}" for word, number in count.items()) + ".", ""]
        lines += [
            f"- {row.case}, {row.shape}, {row.dtype}, {row.contender}: {goal} {verdict}, "
            f"got {_number(row.memory if goal.startswith('memory') else row.ratio, '.3g')}"
            for row, goal, verdict in verdicts
            if verdict != "met"
        ]
        lines += ["", "## Losses on a GPU", "", _line(HEADER), _line("---" for _ in HEADER)]
        for row in self.rows:
            lines.append(_line(_cells(row, [(goal, verdict) for one, goal, verdict in verdicts if one is row])))
        lines += ["", *(f"- {reason}" for reason in self.skipped)]
        if self.trained:
            lines += ["", "## Small trainings on a GPU", "", small_trainings.ABOUT]
            lines += ["", *small_trainings.page(self.trained)]
        return "\n".join(lines)


def _cells(row: Row, verdicts: Sequence[tuple[str, str]]) -> list[str]:
    measured = [
        _number(row.ratio, ".3f"),
        _number(row.ms, ".3g"),
        _number(row.latency_ms, ".3g"),
        _number(row.memory, ".2f"),
        _number(row.loss_error, ".1e"),
        _number(row.gradient_error, ".1e"),
    ]
    goal = "; ".join(f"{goal}: {'**missed**' if verdict == 'missed' else verdict}" for goal, verdict in verdicts)
    return [row.case, row.shape, row.dtype, row.contender, *measured, goal or row.note]


def _printed(row: Row) -> str:
    numbers = (f"{_number(value, '8.3f'):>8}" for value in (row.ratio, row.ms, row.latency_ms, row.memory))
    what = f"{row.case} {row.shape} {row.dtype}"
    ratio, ms, latency, memory = numbers
    return f"{what:36} {row.contender:50} × {ratio} ms {ms} latency {latency} memory {memory} {row.note}".rstrip()


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"
