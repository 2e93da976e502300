"""Generalized cross entropy and mean absolute error: numbers by hand, slow loops, special cases."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from reference import robust as reference
from small_batch import LABELS, RATES, K, N, every_reduction, logits_of, same, with_or_without_weights
from torch import Tensor

from softtargets import losses

# p = (1/2, 1/4, 1/4)
HALF = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
FIRST, SECOND = torch.tensor([0]), torch.tensor([1])


def slow(loss: Any, *numbers: float) -> list[float]:
    return [loss(z, y, *numbers) for z, y in zip(logits_of().tolist(), LABELS.tolist(), strict=True)]


def all_labels(loss: Any, **settings: Any) -> Tensor:
    """Return (N, K): the losses of all examples, were their labels all k."""
    return torch.stack([loss(logits_of(), torch.full((N,), k), **settings) for k in range(K)], -1)


def test_numbers_by_hand() -> None:
    assert float(losses.generalized_cross_entropy(HALF, SECOND, q=0.5)) == pytest.approx((1 - 0.5) / 0.5, abs=1e-15)
    assert float(losses.mean_absolute_error(HALF, FIRST)) == pytest.approx(0.5, abs=1e-15)


@pytest.mark.parametrize("q", [0.0, 1e-3, 0.3, 0.7, 1.0])
def test_generalized_agrees_with_the_slow_loop(q: float) -> None:
    found = losses.generalized_cross_entropy(logits_of(), LABELS, q=q)
    # at 1e-3 the loop, which subtracts from 1, is the one that errs
    assert found.tolist() == pytest.approx(slow(reference.generalized, q), abs=1e-12)
    each = losses.generalized_cross_entropy(logits_of(), LABELS, q=torch.full((N,), q, dtype=torch.float64))
    torch.testing.assert_close(each, found, rtol=0, atol=1e-15)


def test_mean_absolute_error_agrees_with_the_slow_loop() -> None:
    found = losses.mean_absolute_error(logits_of(), LABELS)
    assert found.tolist() == pytest.approx(slow(reference.mean_absolute_error), abs=1e-12)


def test_a_small_q_is_exact() -> None:
    # the next term of the series: -log p (1 + q log p / 2)
    log_prob = -losses.cross_entropy(logits_of(), LABELS)
    for q in (1e-9, 1e-30, 1e-300):
        found = losses.generalized_cross_entropy(logits_of(), LABELS, q=q)
        torch.testing.assert_close(found, -log_prob * (1 + q * log_prob / 2), rtol=1e-14, atol=0)
    single = losses.generalized_cross_entropy(logits_of().float(), LABELS, q=1e-9)
    torch.testing.assert_close(single.double(), -log_prob, rtol=1e-6, atol=0)


@every_reduction
@with_or_without_weights
def test_limits_of_generalized(reduction: str, weight: Tensor | None) -> None:
    for q, limit in (
        (0.0, partial(losses.cross_entropy, targets=LABELS)),
        (1.0, partial(losses.mean_absolute_error, targets=LABELS)),
    ):
        for given in (q, torch.tensor(q), torch.full((N,), q)):
            loss = partial(losses.generalized_cross_entropy, targets=LABELS, q=given)
            same(reduction, weight, loss, limit)


def test_a_q_for_every_example_and_one_that_learns() -> None:
    found = losses.generalized_cross_entropy(logits_of(), LABELS, q=RATES)
    rows = zip(logits_of().tolist(), LABELS.tolist(), RATES.tolist(), strict=True)
    assert found.tolist() == pytest.approx([reference.generalized(z, y, q) for z, y, q in rows], abs=1e-12)
    q = RATES[1:].clone().requires_grad_()
    logits, labels = logits_of()[1:].requires_grad_(), LABELS[1:]
    assert torch.autograd.gradcheck(
        lambda z, q: losses.generalized_cross_entropy(z, labels, q=q), (logits, q.detach() * 0.9)
    )
    q = (q.detach() * 0.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda q: losses.generalized_cross_entropy(logits.detach(), labels, q=q), q)


def test_generalized_weighs_the_gradient_of_cross_entropy_by_a_power_of_p() -> None:
    logits = logits_of().requires_grad_()
    (found,) = torch.autograd.grad(losses.generalized_cross_entropy(logits, LABELS, q=0.7).sum(), logits)
    cross = losses.cross_entropy(logits, LABELS)
    (expected,) = torch.autograd.grad(cross.sum(), logits)
    torch.testing.assert_close(found, expected * (-0.7 * cross.detach()).exp()[:, None], rtol=0, atol=1e-14)


def test_limits_of_mean_absolute_error() -> None:
    flat = losses.mean_absolute_error(torch.full((N, K), 7.0).double(), LABELS)
    torch.testing.assert_close(flat, torch.full((N,), 1 - 1 / K).double(), rtol=0, atol=1e-15)
    total = all_labels(losses.mean_absolute_error).sum(-1)
    torch.testing.assert_close(total, torch.full((N,), K - 1.0).double(), rtol=0, atol=1e-14)


def test_a_small_mean_absolute_error_keeps_its_digits() -> None:
    logits = torch.tensor([[40.0, 0.0, 1.0]])  # 1 - p is 1.6e-17 here; in float32, 1 - softmax is 0
    expected = math.exp(-40) * (1 + math.e)
    assert float(losses.mean_absolute_error(logits, FIRST)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.generalized_cross_entropy(logits, FIRST, q=1.0)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.focal_loss(logits, FIRST, gamma=1.0)) == pytest.approx(expected**2, rel=1e-5)


def test_a_masked_label_costs_a_bounded_loss_its_bound() -> None:
    logits = torch.tensor([[-torch.inf, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    for value, bound in (
        (losses.generalized_cross_entropy(logits, FIRST, q=0.5), 2.0),
        (losses.mean_absolute_error(logits, FIRST), 1.0),
        (losses.reverse_cross_entropy(logits, FIRST), -math.log(1e-4)),
        (losses.generalized_cross_entropy(logits, FIRST, q=0.0), math.inf),
    ):
        assert float(value.detach()) == pytest.approx(bound)
        assert bool(torch.autograd.grad(value.sum(), logits)[0].isfinite().all())


WRONG = {
    "q": (
        lambda: losses.generalized_cross_entropy(HALF, FIRST, q=1.5),
        r"q: in \[0, 1\]; got 1.5; choose a value between 0 and 1",
    ),
    "q of examples": (
        lambda: losses.generalized_cross_entropy(HALF, FIRST, q=torch.tensor([math.nan])),
        r"q: in \[0, 1\]; got nan at row 0",
    ),
    "q of others": (
        lambda: losses.generalized_cross_entropy(logits_of(), LABELS, q=torch.zeros(K)),
        r"q: a number or shape \(6,\), one per example; got shape \(4,\); reshape q",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()
