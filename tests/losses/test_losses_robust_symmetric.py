"""Symmetric and reverse cross entropy: numbers by hand, slow loops, special cases."""

import math
from typing import Any

import pytest
import torch
from reference import robust as reference
from small_batch import N, every_reduction, logits_of, same, with_or_without_weights
from torch import Tensor

from softtargets import losses

# p = (1/2, 1/4, 1/4)
HALF = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([2, 0, 3, 1, 2, 2])
FIRST, SECOND = torch.tensor([0]), torch.tensor([1])


def slow(loss: Any, *numbers: float) -> list[float]:
    return [loss(z, y, *numbers) for z, y in zip(logits_of().tolist(), LABELS.tolist(), strict=True)]


def test_numbers_by_hand() -> None:
    reverse = losses.reverse_cross_entropy(HALF, SECOND, log_floor=0.01)
    assert float(reverse) == pytest.approx(0.75 * math.log(100), abs=1e-14)
    symmetric = losses.symmetric_cross_entropy(HALF, SECOND, cross_entropy_weight=6.0, reverse_weight=0.1)
    assert float(symmetric) == pytest.approx(12 * math.log(2) + 0.1 * 0.75 * math.log(1e4), abs=1e-14)


@pytest.mark.parametrize("floor", [1e-4, 1e-2, 1.0])
def test_agrees_with_the_slow_loops(floor: float) -> None:
    found = losses.reverse_cross_entropy(logits_of(), LABELS, log_floor=floor)
    assert found.tolist() == pytest.approx(slow(reference.reverse, floor), abs=1e-12)
    found = losses.symmetric_cross_entropy(logits_of(), LABELS, log_floor=floor)
    assert found.tolist() == pytest.approx(slow(reference.symmetric, 0.1, 1.0, floor), abs=1e-12)


@every_reduction
@with_or_without_weights
def test_limits_of_reverse_and_symmetric(reduction: str, weight: Tensor | None) -> None:
    same(
        reduction,
        weight,
        lambda z: losses.reverse_cross_entropy(z, LABELS, log_floor=math.exp(-1)),
        lambda z: losses.mean_absolute_error(z, LABELS),
    )
    same(
        reduction,
        weight,
        lambda z: losses.symmetric_cross_entropy(z, LABELS, reverse_weight=0.0, cross_entropy_weight=6.0),
        lambda z: 6 * losses.cross_entropy(z, LABELS),
    )
    same(
        reduction,
        weight,
        lambda z: losses.symmetric_cross_entropy(z, LABELS, cross_entropy_weight=0.0, reverse_weight=0.1),
        lambda z: 0.1 * losses.reverse_cross_entropy(z, LABELS),
    )
    same(reduction, weight, lambda z: losses.reverse_cross_entropy(z, LABELS, log_floor=1.0), lambda z: 0 * z.sum(-1))


def test_reverse_is_9_2103_times_mean_absolute_error() -> None:
    ratio = losses.reverse_cross_entropy(logits_of(), LABELS) / losses.mean_absolute_error(logits_of(), LABELS)
    assert ratio.tolist() == pytest.approx([9.2103] * N, abs=5e-5)


def test_a_cross_entropy_weight_of_0_hides_a_masked_label() -> None:
    z = torch.tensor([[-math.inf, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    loss = losses.symmetric_cross_entropy(z, torch.tensor([0]), cross_entropy_weight=0.0)
    assert loss.tolist() == pytest.approx([math.log(1e4)])
    assert torch.autograd.grad(loss.sum(), z)[0].tolist() == [[0, 0, 0]]


WRONG = {
    "floor": (
        lambda: losses.reverse_cross_entropy(HALF, FIRST, log_floor=0.0),
        r"log_floor: in \[1e-30, 1\]; got 0; choose a value between 1e-30 and 1",
    ),
    "floor of the sum": (
        lambda: losses.symmetric_cross_entropy(HALF, FIRST, log_floor=2.0),
        r"log_floor: in \[1e-30, 1\]; got 2",
    ),
    "weight": (
        lambda: losses.symmetric_cross_entropy(HALF, FIRST, cross_entropy_weight=-1.0),
        r"cross_entropy_weight: at least 0; got -1; choose 0 or more",
    ),
    "other weight": (
        lambda: losses.symmetric_cross_entropy(HALF, FIRST, reverse_weight=-1.0),
        "reverse_weight: .*; got -1; choose 0 or more",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()
