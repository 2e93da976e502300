"""Measure the contenders of a problem: errors, then memory, then time in rounds."""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks import meter
from benchmarks.busy import busy_core
from benchmarks.cases import COMPILED, Problem
from benchmarks.contenders import Contender, Loss, Skipped
from benchmarks.race import LEAST_ROUNDS

LATENCIES, HOST_TIMES = 5, 3  # calls


@dataclass
class Row:
    """The measurements of one contender on one problem; None if not measured.

    Ratios are relative to the reference's time in the same round, `times_compiled` to that of torch.compile. `memory`
    (of torch's allocator) and `resident` (growth of the process) are in buffers of the size of the logits, `loss_error`
    in nats, `gradient_error` a fraction of the gradient's largest entry. `q1` and `q3` are quartiles over rounds.
    `goals` are keys of GOALS, separated by spaces. `latency_ms` is the wall-clock time of a call on an idle GPU,
    including the launch. `host_ms` is the time that the host needs to queue a call on the GPU, and `behind` the number
    of rounds in which the GPU waited for the host nevertheless.
    """

    case: str
    shape: str
    dtype: str
    contender: str
    condition: str = ""
    ratio: float | None = None
    ratio_q1: float | None = None
    ratio_q3: float | None = None
    ms: float | None = None
    ms_q1: float | None = None
    ms_q3: float | None = None
    latency_ms: float | None = None
    host_ms: float | None = None
    behind: int = 0
    rounds: int = 0
    times_compiled: float | None = None
    memory: float | None = None
    resident: float | None = None
    loss_error: float | None = None
    gradient_error: float | None = None
    goals: str = ""
    note: str = ""

    @property
    def host_bound(self) -> bool:
        """Whether the GPU waited for the host in more than a quarter of the rounds, so that `ms` is not its time."""
        return 4 * self.behind > self.rounds


@dataclass
class _Run:
    contender: Contender
    row: Row
    loss: Loss | None = None
    spent: list[meter.Spent] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        return [one.seconds for one in self.spent]

    def attempt(self, call: Callable[[], Any]) -> Any:
        """Return the result of the call. If it raises, note the reason and skip the contender from then on."""
        try:
            return call()
        except Skipped as reason:
            self.row.note = f"skipped: {reason}"
        except Exception as error:  # the other contenders are still measured
            self.row.note = f"failed: {meter.reason(error)}"
        return None


def measure(problem: Problem, *, rounds: int | None = None) -> list[Row]:
    """Measure every contender; if one raises, its row keeps the earlier measurements and states the reason.

    Args:
        problem: inputs and contenders.
        rounds: number of timed rounds in place of the problem's.
    """
    runs = [_Run(contender, _row(problem, contender)) for contender in problem.contenders]
    threads = torch.get_num_threads()
    torch.set_num_threads(problem.threads or threads)
    try:
        for run in runs:
            run.loss = run.attempt(run.contender.make)
        with _without_collector():
            if not problem.busy:
                _check(runs, problem)
            for run in _going(runs) if not problem.busy else ():
                run.row.memory = run.attempt(lambda run=run: _memory(run, problem))
            for run in _going(runs) if problem.device.type == "cuda" else ():
                run.row.host_ms = run.attempt(lambda run=run: _host(run, problem))
            with busy_core() if problem.busy else nullcontext():
                _race(runs, problem, rounds or problem.rounds)
        _summarise(runs)
        for run in _going(runs) if problem.device.type == "cuda" else ():
            run.row.latency_ms = run.attempt(lambda run=run: _latency(run, problem))
    finally:
        torch.set_num_threads(threads)
    return [run.row for run in runs]


def _row(problem: Problem, contender: Contender) -> Row:
    row = Row(problem.case, problem.shape, str(problem.dtype).removeprefix("torch."), contender.name, problem.condition)
    row.goals = " ".join(contender.goals)
    return row


def _going(runs: list[_Run]) -> list[_Run]:
    return [run for run in runs if not run.row.note]


def _step(
    contender: Contender, loss: Loss | None, inputs: tuple[Tensor, ...], repeats: int = 1
) -> Callable[[], Tensor]:
    """Return what is measured (loss and gradients, `repeats` times); preparation happens here."""
    assert loss is not None
    for leaf in inputs:
        leaf.grad = None
    given = tuple(leaf.clone() for leaf in inputs) if contender.overwrites else inputs

    def call() -> Tensor:
        result = loss(*given)
        if contender.learns:
            result.backward()
        return result.detach()

    def step() -> Tensor:
        for _ in range(repeats - 1):
            call()
            for leaf in inputs:
                leaf.grad = None
        return call()

    gc.collect()
    return step


@contextmanager
def _without_collector() -> Iterator[None]:
    """Disable garbage collection during calls; objects that exist already are not scanned again."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


# -- errors


def _check(runs: list[_Run], problem: Problem) -> None:
    """Compare every contender with the ground truth, on fewer rows if all rows would take minutes."""
    small = problem.small or problem
    reference = small.contenders[0].make()
    truths: dict[Loss, tuple[Tensor, ...]] = {}
    for run, contender in zip(runs, small.contenders, strict=True):
        if run.row.note or not contender.learns:
            continue
        right = contender.truth or reference
        if right not in truths:
            truths[right] = _results(right, tuple(leaf.detach().double().requires_grad_() for leaf in small.inputs))
        run.attempt(lambda run=run, contender=contender, truth=truths[right]: _errors(run, contender, small, truth))


def _results(loss: Loss, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the loss and the gradients."""
    value = loss(*inputs)
    value.backward()
    return (value.detach(), *(leaf.grad for leaf in inputs if leaf.grad is not None))


def _errors(run: _Run, contender: Contender, problem: Problem, truth: tuple[Tensor, ...]) -> None:
    loss = run.loss if contender is run.contender else contender.make()
    value = _step(contender, loss, problem.inputs)()
    run.row.loss_error = float((value.double() - truth[0]).abs())
    errors = []
    for leaf, right in zip(problem.inputs, truth[1:], strict=True):
        assert leaf.grad is not None
        errors.append(float((leaf.grad.double() - right).abs().max() / right.abs().max()))
    run.row.gradient_error = max(errors)


# -- memory and time


def _memory(run: _Run, problem: Problem) -> float:
    step = _step(run.contender, run.loss, problem.inputs)
    start = time.perf_counter()
    peak = meter.peak_bytes(step, problem.device) / problem.buffer
    if run.contender.once:
        run.spent.append(meter.Spent(time.perf_counter() - start))
    return peak


def _race(runs: list[_Run], problem: Problem, rounds: int) -> None:
    """Run every contender once per round, in a new random order in each round."""
    order = random.Random(0)
    start = time.monotonic()
    for i in range(problem.warmup + rounds):
        if i >= problem.warmup + LEAST_ROUNDS and time.monotonic() - start > problem.seconds:
            break
        going = [run for run in _going(runs) if not run.contender.once]
        for run in order.sample(going, len(going)):
            spent = run.attempt(lambda run=run: _spent(run, problem))
            if spent is not None and i >= problem.warmup:
                run.spent.append(spent)


def _host(run: _Run, problem: Problem) -> float:
    """Return the longest time, in milliseconds, that the host needs to queue a call, of calls after the first."""
    calls = (_step(run.contender, run.loss, problem.inputs) for _ in range(HOST_TIMES))
    return 1e3 * max(meter.host_seconds(step, problem.device) for step in calls)


def _spent(run: _Run, problem: Problem) -> meter.Spent:
    step = _step(run.contender, run.loss, problem.inputs, problem.repeats)
    results: list[Tensor] = []
    host = problem.repeats * (run.row.host_ms or 0.0) / 1e3
    spent = meter.seconds(lambda: results.append(step()), problem.device, host)
    if not bool(results[0].flatten()[0].isfinite()):
        raise ArithmeticError("the result is not finite")
    return spent._replace(seconds=spent.seconds / problem.repeats)


def _latency(run: _Run, problem: Problem) -> float:
    """Return the median latency in milliseconds."""
    spent = []
    for _ in range(LATENCIES):
        step = _step(run.contender, run.loss, problem.inputs)
        spent.append(1e3 * meter.latency(step, problem.device))
    return statistics.median(spent)


def _summarise(runs: list[_Run]) -> None:
    for run in _going(runs):
        run.row.rounds, run.row.behind = len(run.spent), sum(not one.ahead for one in run.spent)
    reference, bound = runs[0].seconds, runs[0].row.host_bound
    compiled = next((run.seconds for run in runs if run.contender.name == COMPILED and not run.row.host_bound), [])
    for run in _going(runs):
        row = run.row
        row.ms_q1, row.ms, row.ms_q3 = _quartiles([1e3 * spent for spent in run.seconds])
        if bound or row.host_bound:  # a ratio of such times says nothing about the GPU
            continue
        if run.contender.once and reference:
            row.ratio = run.seconds[0] / statistics.median(reference)
            row.note = "one call, during which memory was measured"
        elif len(reference) == row.rounds:
            row.ratio_q1, row.ratio, row.ratio_q3 = _quartiles(_ratios(run.seconds, reference))
        if len(compiled) == row.rounds and not run.contender.once:
            row.times_compiled = statistics.median(_ratios(run.seconds, compiled))


def _ratios(seconds: list[float], base: list[float]) -> list[float]:
    return [one / other for one, other in zip(seconds, base, strict=True)]


def _quartiles(values: list[float]) -> list[float]:
    return torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
