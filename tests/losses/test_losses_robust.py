"""Robust losses: hand-worked numbers, slow loops, end points and what makes each of them robust."""

import math
from functools import partial
from typing import Any, cast

import pytest
import torch
from reference import robust as reference
from torch import Tensor

from softtargets import losses

N, K = 6, 4
LABELS = torch.tensor([2, 0, 3, 1, 2, 2])
# p = (1/2, 1/4, 1/4)
HALF = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
FIRST, SECOND = torch.tensor([0]), torch.tensor([1])
RATES = torch.linspace(0, 1, N, dtype=torch.float64)

under_every_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
with_and_without_weights = pytest.mark.parametrize(
    "weight", [None, torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)]
)


def logits_of(seed: int = 0, scale: float = 2.0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


def slow(loss: Any, *numbers: float) -> list[float]:
    return [loss(z, y, *numbers) for z, y in zip(logits_of().tolist(), LABELS.tolist(), strict=True)]


def all_labels(loss: Any, **settings: Any) -> Tensor:
    """Return (N, K): the losses of all examples, were their labels all k."""
    return torch.stack([loss(logits_of(), torch.full((N,), k), **settings) for k in range(K)], -1)


def same(reduction: str, weight: Tensor | None, loss: Any, limit: Any, atol: float = 1e-14) -> None:
    """Require two functions of logits to agree in value and gradient."""
    made: list[Tensor] = []
    for of in (loss, limit):
        logits = logits_of().requires_grad_()
        value = losses.reduce(of(logits), cast(Any, reduction), weight=weight)
        made.append(torch.cat([value.reshape(-1), torch.autograd.grad(value.sum(), logits)[0].reshape(-1)]).detach())
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=atol)


def test_numbers_by_hand() -> None:
    assert float(losses.generalized_cross_entropy(HALF, SECOND, q=0.5)) == pytest.approx((1 - 0.5) / 0.5, abs=1e-15)
    assert float(losses.mean_absolute_error(HALF, FIRST)) == pytest.approx(0.5, abs=1e-15)
    reverse = losses.reverse_cross_entropy(HALF, SECOND, log_floor=0.01)
    assert float(reverse) == pytest.approx(0.75 * math.log(100), abs=1e-14)
    symmetric = losses.symmetric_cross_entropy(HALF, SECOND, cross_entropy_weight=6.0, reverse_weight=0.1)
    assert float(symmetric) == pytest.approx(12 * math.log(2) + 0.1 * 0.75 * math.log(1e4), abs=1e-14)
    relaxed = losses.label_relaxation(HALF, SECOND, smoothing=0.5)  # 1/2 log 2 + 1/2 log 2/3
    assert float(relaxed) == pytest.approx(0.5 * math.log(4 / 3), abs=1e-15)
    assert float(losses.label_relaxation(HALF, FIRST, smoothing=0.6)) == 0


@pytest.mark.parametrize("q", [0.0, 1e-3, 0.3, 0.7, 1.0])
def test_generalized_agrees_with_the_slow_loop(q: float) -> None:
    found = losses.generalized_cross_entropy(logits_of(), LABELS, q=q)
    # at 1e-3 the loop, which subtracts from 1, is the one that errs
    assert found.tolist() == pytest.approx(slow(reference.generalized, q), abs=1e-12)
    each = losses.generalized_cross_entropy(logits_of(), LABELS, q=torch.full((N,), q, dtype=torch.float64))
    torch.testing.assert_close(each, found, rtol=0, atol=1e-15)


def test_the_others_agree_with_the_slow_loops() -> None:
    logits = logits_of()
    assert losses.mean_absolute_error(logits, LABELS).tolist() == pytest.approx(
        slow(reference.mean_absolute_error), abs=1e-12
    )
    for floor in (1e-4, 1e-2, 1.0):
        found = losses.reverse_cross_entropy(logits, LABELS, log_floor=floor)
        assert found.tolist() == pytest.approx(slow(reference.reverse, floor), abs=1e-12)
        found = losses.symmetric_cross_entropy(logits, LABELS, log_floor=floor)
        assert found.tolist() == pytest.approx(slow(reference.symmetric, 0.1, 1.0, floor), abs=1e-12)


def test_a_small_q_is_exact() -> None:
    # the next term of the series: -log p (1 + q log p / 2)
    log_prob = -losses.cross_entropy(logits_of(), LABELS)
    for q in (1e-9, 1e-30, 1e-300):
        found = losses.generalized_cross_entropy(logits_of(), LABELS, q=q)
        torch.testing.assert_close(found, -log_prob * (1 + q * log_prob / 2), rtol=1e-14, atol=0)
    single = losses.generalized_cross_entropy(logits_of().float(), LABELS, q=1e-9)
    torch.testing.assert_close(single.double(), -log_prob, rtol=1e-6, atol=0)


@under_every_reduction
@with_and_without_weights
def test_limits_of_generalized(reduction: str, weight: Tensor | None) -> None:
    for q, limit in (
        (0.0, partial(losses.cross_entropy, targets=LABELS)),
        (1.0, partial(losses.mean_absolute_error, labels=LABELS)),
    ):
        for given in (q, torch.tensor(q), torch.full((N,), q)):
            loss = partial(losses.generalized_cross_entropy, labels=LABELS, q=given)
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
    assert float(losses.focal(logits, FIRST, gamma=1.0)) == pytest.approx(expected**2, rel=1e-5)


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


@under_every_reduction
@with_and_without_weights
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


@pytest.mark.parametrize("smoothing", [0.0, 1e-3, 0.1, 0.5, 0.9, 1.0])
def test_relaxation_agrees_with_the_projection_of_the_paper(smoothing: float) -> None:
    found = losses.label_relaxation(logits_of(), LABELS, smoothing=smoothing)
    assert found.tolist() == pytest.approx(slow(reference.relaxed, smoothing), abs=1e-12)


def test_a_relaxation_for_every_example() -> None:
    found = losses.label_relaxation(logits_of(), LABELS, smoothing=RATES)
    rows = zip(logits_of().tolist(), LABELS.tolist(), RATES.tolist(), strict=True)
    assert found.tolist() == pytest.approx([reference.relaxed(z, y, a) for z, y, a in rows], abs=1e-12)
    a = torch.full((N,), 0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: losses.label_relaxation(logits_of(), LABELS, smoothing=a), a)


@under_every_reduction
@with_and_without_weights
def test_limits_of_relaxation(reduction: str, weight: Tensor | None) -> None:
    for none in (0.0, torch.zeros(N)):
        same(
            reduction,
            weight,
            lambda z, a=none: losses.label_relaxation(z, LABELS, smoothing=a),
            lambda z: losses.cross_entropy(z, LABELS),
        )
    for whole in (1.0, torch.ones(N)):
        same(
            reduction,
            weight,
            lambda z, a=whole: losses.label_relaxation(z, LABELS, smoothing=a),
            lambda z: 0 * z.sum(-1),
            atol=0,
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_label_that_is_probable_enough_has_no_loss_and_no_gradient(dtype: torch.dtype) -> None:
    # p_label = .9, .91, .89 and nearly 1, in a grid of images
    odds = torch.tensor([9.0, 0.91 / 0.09, 0.89 / 0.11, 1e30]).log()
    odds[0] += 1e-5
    logits = torch.stack([odds, torch.zeros(4)], 0).to(dtype).view(1, 2, 2, 2).requires_grad_()
    labels = torch.zeros(1, 2, 2, dtype=torch.int64)
    found = losses.label_relaxation(logits, labels, class_dim=1)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    enough = torch.tensor([[True, True], [False, True]]) if dtype != torch.bfloat16 else found.detach()[0] == 0
    assert found.shape == (1, 2, 2)
    assert torch.equal(found[0] == 0, enough)
    assert bool((gradient[0, :, enough] == 0).all())
    assert bool((gradient[0, :, ~enough] != 0).all())


def test_the_gradient_of_relaxation_is_p_less_the_projected_target() -> None:
    logits = logits_of().requires_grad_()
    (gradient,) = torch.autograd.grad(losses.label_relaxation(logits, LABELS).sum(), logits)
    probs = logits.detach().softmax(-1)
    onehot = torch.nn.functional.one_hot(LABELS, K).double()
    others = probs * (1 - onehot)
    target = 0.9 * onehot + 0.1 * others / others.sum(-1, keepdim=True)
    reached = (probs * onehot).sum(-1, keepdim=True) >= 0.9
    torch.testing.assert_close(gradient, torch.where(reached, 0.0, probs - target), rtol=0, atol=1e-14)


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
        r"cross_entropy_weight: in \[0, inf\]; got -1; choose 0 or more",
    ),
    "other weight": (
        lambda: losses.symmetric_cross_entropy(HALF, FIRST, reverse_weight=-1.0),
        "reverse_weight: .*; got -1; choose 0 or more",
    ),
    "smoothing": (
        lambda: losses.label_relaxation(HALF, FIRST, smoothing=-0.1),
        r"smoothing: in \[0, 1\]; got -0.1; choose a value between 0 and 1",
    ),
    "smoothing of others": (
        lambda: losses.label_relaxation(logits_of(), LABELS, smoothing=torch.zeros(2)),
        r"smoothing: a number or shape \(6,\), one per example; got shape \(2,\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_cross_entropy_weight_of_0_hides_a_masked_label() -> None:
    z = torch.tensor([[-math.inf, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    loss = losses.symmetric_cross_entropy(z, torch.tensor([0]), cross_entropy_weight=0.0)
    assert loss.tolist() == pytest.approx([math.log(1e4)])
    assert torch.autograd.grad(loss.sum(), z)[0].tolist() == [[0, 0, 0]]
