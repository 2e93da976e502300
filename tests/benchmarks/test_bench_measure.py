"""What the harness does with contenders that fail, err or overwrite."""

from collections.abc import Callable

import pytest
import torch

from benchmarks import meter
from benchmarks.cases import Problem
from benchmarks.contenders import Contender, Loss, Skipped
from benchmarks.measure import measure


def _problem(*contenders: Contender) -> Problem:
    leaf = torch.ones(4, 5, requires_grad=True)
    return Problem(
        "smoothing", "4×5", (leaf,), (4, 5), (Contender("torch", lambda: lambda z: z.exp().mean()), *contenders)
    )


def test_a_contender_that_raises_is_a_row() -> None:
    def broken(z: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of order\nfor long")

    def absent() -> Loss:
        raise Skipped("not here")

    good = Contender("good", lambda: lambda z: z.exp().mean())
    problem = _problem(Contender("broken", lambda: broken, goals=("large",)), Contender("absent", absent), good)
    rows = {row.contender: row for row in measure(problem, rounds=2)}
    assert rows["broken"].note == "failed: RuntimeError: out of order"
    assert rows["broken"].ratio is None
    assert rows["absent"].note == "skipped: not here"
    assert rows["good"].note == ""
    assert rows["good"].rounds == 2


def test_a_wrong_contender_is_seen_and_a_copy_is_given_to_one_that_overwrites() -> None:
    def over(z: torch.Tensor) -> torch.Tensor:
        return z.exp_().mean()

    problem = _problem(Contender("wrong", lambda: lambda z: z.mean()), Contender("over", lambda: over, overwrites=True))
    rows = {row.contender: row for row in measure(problem, rounds=2)}
    assert rows["wrong"].loss_error == pytest.approx(torch.e - 1)
    assert rows["over"].loss_error == pytest.approx(0, abs=1e-6)
    assert problem.inputs[0].detach().eq(1).all()


def test_times_in_which_the_gpu_waited_for_the_host_give_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []

    def seconds(call: Callable[[], object], device: torch.device, host: float) -> meter.Spent:
        waited.clear()
        call()
        return meter.Spent(1.0, not waited)

    def slow(z: torch.Tensor) -> torch.Tensor:
        waited.append("for the host")
        return z.exp().mean()

    monkeypatch.setattr(meter, "seconds", seconds)
    contenders = (
        Contender("slow", lambda: slow, goals=("large",)),
        Contender("good", lambda: lambda z: z.exp().mean()),
    )
    rows = {row.contender: row for row in measure(_problem(*contenders), rounds=3)}
    assert (rows["slow"].ratio, rows["slow"].ms, rows["slow"].behind) == (None, 1e3, 3)
    assert rows["slow"].host_bound
    assert rows["good"].ratio == 1.0
    assert not rows["good"].host_bound
    problem = Problem("smoothing", "4×5", _problem().inputs, (4, 5), contenders)
    assert [row.ratio for row in measure(problem, rounds=3)] == [None, None], "the reference is host-bound"
