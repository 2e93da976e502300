"""Drawing noisy labels: the compiled kernels give the bits of their twins, for any number of threads."""

import functools
import math

import pytest
import torch
from torch import Tensor

from softtargets import noise
from softtargets._native import noisy_labels as tested
from softtargets._native.library import function
from softtargets.noise import Transition

SIZES = (2, 3, 10, 57)

pytestmark = pytest.mark.skipif(function("deal_labels") is None, reason="the compiled kernels are not in use")


def transition(kind: str, size: int) -> Transition:
    if kind == "superclass":
        return noise.superclass_flip(0.4, torch.arange(size) // 2)
    if kind == "dense":
        return noise.random_transition(0.3, size, generator=torch.Generator().manual_seed(1))
    return {"symmetric": noise.symmetric, "pair": noise.pair_flip}.get(kind, _identity)(0.4, size)


def _identity(rate: float, size: int) -> Transition:
    return Transition.identity(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("kind", ["symmetric", "pair", "superclass", "dense", "identity"])
def test_the_kernel_draws_what_the_twin_draws(monkeypatch, kind: str, exact: bool, size: int) -> None:
    labels = torch.randint(size, (20_011,), generator=torch.Generator().manual_seed(size))
    labels[labels == 1] = 0  # one class has no examples
    given = transition(kind, size)
    draw = functools.partial(noise.corrupt, labels, given, exact=exact)
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(draw(generator=torch.Generator().manual_seed(5)))
    torch.set_num_threads(before)
    monkeypatch.setattr(tested, "function", _nothing)
    expected = draw(generator=torch.Generator().manual_seed(5))
    for one in found:
        assert torch.equal(one.noisy_labels, expected.noisy_labels)
        assert torch.equal(one.transition.to_dense(), expected.transition.to_dense())


def _below(number: float) -> float:
    return math.nextafter(number, 0)


def _nothing(name: str) -> None:
    return None


@pytest.mark.parametrize("native", [True, False])
def test_draws_at_the_bounds_of_the_shares(monkeypatch, native: bool) -> None:
    if not native:
        monkeypatch.setattr(tested, "function", _nothing)
    share = torch.tensor([[0.25, 0.25], [0.5, 0.0], [0.0, 0.0]], dtype=torch.float64)
    others = tested.OtherClasses(3, share, torch.tensor([[1, 2], [0, 2], [0, 1]]))
    stays = torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64)
    draws = [0.0, _below(0.5), 0.5, 0.75, _below(1.0), 1.0, 1.5, _below(2.0), 2.0, _below(3.0)]
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
    noisy, cells = tested.draw_labels(labels, others, stays, torch.tensor(draws, dtype=torch.float64))
    assert noisy.tolist() == [0, 0, 1, 2, 2, 1, 0, 0, 2, 2]
    assert cells.tolist() == [[2, 1, 2], [2, 1, 0], [0, 0, 2]]


def test_counts_that_are_not_those_of_the_labels_are_refused() -> None:
    others = tested.OtherClasses(2, torch.tensor([[0.5], [0.5]], dtype=torch.float64), torch.tensor([[1], [0]]))
    numbers: list[Tensor] = [torch.tensor([9, 1]), torch.tensor([1, 0]), torch.zeros(2, dtype=torch.float64)]
    with pytest.raises(ValueError, match="counts"):
        tested.deal_labels(torch.tensor([0, 1]), others, *numbers, torch.arange(2, dtype=torch.int32))  # pyright: ignore[reportArgumentType, reportCallIssue]
