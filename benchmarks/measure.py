"""Measure the contenders of a problem: errors, then memory, then time in rounds."""

import gc
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks import meter
from benchmarks.cases import Problem
from benchmarks.contenders import Contender, Loss, Skipped

LATENCIES = 5  # calls


@dataclass
class Row:
    """The measurements of one contender on one problem; None if not measured.

    Ratios are relative to the reference's time in the same round. `memory` is in buffers of the size of the logits,
    `loss_error` in nats, `gradient_error` a fraction of the gradient's largest entry. `q1` and `q3` are quartiles over
    rounds. `latency_ms` is the wall-clock time of a call on an idle GPU, including the launch.
    """

    case: str
    shape: str
    dtype: str
    contender: str
    ratio: float | None = None
    ratio_q1: float | None = None
    ratio_q3: float | None = None
    ms: float | None = None
    ms_q1: float | None = None
    ms_q3: float | None = None
    latency_ms: float | None = None
    rounds: int = 0
    memory: float | None = None
    loss_error: float | None = None
    gradient_error: float | None = None
    time_goal: float | None = None
    most_goal: float | None = None
    memory_goal: float | None = None
    note: str = ""


@dataclass
class _Run:
    contender: Contender
    row: Row
    loss: Loss | None = None
    seconds: list[float] = field(default_factory=list)

    def attempt(self, call: Callable[[], Any]) -> Any:
        """Return the result of the call. If it raises, note the reason and skip the contender from then on."""
        try:
            return call()
        except Skipped as reason:
            self.row.note = f"skipped: {reason}"
        except Exception as error:  # the other contenders are still measured
            self.row.note = f"failed: {type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
        return None


def measure(problem: Problem, *, rounds: int, warmup: int = 1) -> list[Row]:
    """Measure every contender; if one raises, its row keeps the earlier measurements and states the reason."""
    runs = [_Run(contender, _row(problem, contender)) for contender in problem.contenders]
    for run in runs:
        run.loss = run.attempt(run.contender.make)
    with _without_collector():
        _check(runs, problem)
        for run in _going(runs):
            run.row.memory = run.attempt(lambda run=run: _memory(run, problem))
        if problem.timed:
            _race(runs, problem, rounds, warmup)
            _summarise(runs, rounds)
        if problem.timed and problem.device.type == "cuda":
            for run in _going(runs):
                run.row.latency_ms = run.attempt(lambda run=run: _latency(run, problem))
    for run in _going(runs) if not problem.timed else ():
        run.row.note = "timed only with --long"
    return [run.row for run in runs]


def _row(problem: Problem, contender: Contender) -> Row:
    row = Row(problem.case, problem.shape, str(problem.dtype).removeprefix("torch."), contender.name)
    row.time_goal, row.most_goal, row.memory_goal = contender.time, contender.most, contender.memory
    return row


def _going(runs: list[_Run]) -> list[_Run]:
    return [run for run in runs if not run.row.note]


def _step(contender: Contender, loss: Loss | None, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """Return the call that is measured (loss and gradients); preparation happens here."""
    assert loss is not None
    for leaf in inputs:
        leaf.grad = None
    given = tuple(leaf.clone() for leaf in inputs) if contender.overwrites else inputs

    def step() -> Tensor:
        result = loss(*given)
        if contender.learns:
            result.backward()
        return result.detach()

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
    return meter.peak_bytes(step, problem.device) / problem.buffer


def _race(runs: list[_Run], problem: Problem, rounds: int, warmup: int) -> None:
    """Run every contender once per round, in a new random order in each round."""
    order = random.Random(0)
    for i in range(warmup + rounds):
        going = _going(runs)
        for run in order.sample(going, len(going)):
            spent = run.attempt(lambda run=run: _spent(run, problem))
            if spent is not None and i >= warmup:
                run.seconds.append(spent)


def _spent(run: _Run, problem: Problem) -> float:
    step = _step(run.contender, run.loss, problem.inputs)
    results: list[Tensor] = []
    spent = meter.seconds(lambda: results.append(step()), problem.device)
    if not bool(results[0].flatten()[0].isfinite()):
        raise ArithmeticError("the result is not finite")
    return spent


def _latency(run: _Run, problem: Problem) -> float:
    """Return the median latency in milliseconds."""
    spent = []
    for _ in range(LATENCIES):
        step = _step(run.contender, run.loss, problem.inputs)
        spent.append(1e3 * meter.latency(step, problem.device))
    return statistics.median(spent)


def _summarise(runs: list[_Run], rounds: int) -> None:
    reference = runs[0].seconds
    for run in _going(runs):
        row, row.rounds = run.row, rounds
        row.ms_q1, row.ms, row.ms_q3 = _quartiles([1e3 * spent for spent in run.seconds])
        if len(reference) == rounds:
            ratios = [spent / base for spent, base in zip(run.seconds, reference, strict=True)]
            row.ratio_q1, row.ratio, row.ratio_q3 = _quartiles(ratios)


def _quartiles(values: list[float]) -> list[float]:
    return torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
