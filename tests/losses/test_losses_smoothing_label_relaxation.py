"""Label relaxation: numbers by hand, the paper's projection, special cases."""

import math
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


def test_numbers_by_hand() -> None:
    relaxed = losses.label_relaxation_loss(HALF, SECOND, smoothing=0.5)  # 1/2 log 2 + 1/2 log 2/3
    assert float(relaxed) == pytest.approx(0.5 * math.log(4 / 3), abs=1e-15)
    assert float(losses.label_relaxation_loss(HALF, FIRST, smoothing=0.6)) == 0


@pytest.mark.parametrize("smoothing", [0.0, 1e-3, 0.1, 0.5, 0.9, 1.0])
def test_relaxation_agrees_with_the_projection_of_the_paper(smoothing: float) -> None:
    found = losses.label_relaxation_loss(logits_of(), LABELS, smoothing=smoothing)
    assert found.tolist() == pytest.approx(slow(reference.relaxed, smoothing), abs=1e-12)


def test_a_relaxation_for_every_example() -> None:
    found = losses.label_relaxation_loss(logits_of(), LABELS, smoothing=RATES)
    rows = zip(logits_of().tolist(), LABELS.tolist(), RATES.tolist(), strict=True)
    assert found.tolist() == pytest.approx([reference.relaxed(z, y, a) for z, y, a in rows], abs=1e-12)
    a = torch.full((N,), 0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: losses.label_relaxation_loss(logits_of(), LABELS, smoothing=a), a)


@every_reduction
@with_or_without_weights
def test_limits_of_relaxation(reduction: str, weight: Tensor | None) -> None:
    for none in (0.0, torch.zeros(N)):
        same(
            reduction,
            weight,
            lambda z, a=none: losses.label_relaxation_loss(z, LABELS, smoothing=a),
            lambda z: losses.cross_entropy(z, LABELS),
        )
    for whole in (1.0, torch.ones(N)):
        same(
            reduction,
            weight,
            lambda z, a=whole: losses.label_relaxation_loss(z, LABELS, smoothing=a),
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
    found = losses.label_relaxation_loss(logits, labels, class_dim=1)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    enough = torch.tensor([[True, True], [False, True]]) if dtype != torch.bfloat16 else found.detach()[0] == 0
    assert found.shape == (1, 2, 2)
    assert torch.equal(found[0] == 0, enough)
    assert bool((gradient[0, :, enough] == 0).all())
    assert bool((gradient[0, :, ~enough] != 0).all())


def test_the_gradient_of_relaxation_is_p_less_the_projected_target() -> None:
    logits = logits_of().requires_grad_()
    (gradient,) = torch.autograd.grad(losses.label_relaxation_loss(logits, LABELS).sum(), logits)
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
        r"cross_entropy_weight: at least 0; got -1; choose 0 or more",
    ),
    "other weight": (
        lambda: losses.symmetric_cross_entropy(HALF, FIRST, reverse_weight=-1.0),
        "reverse_weight: .*; got -1; choose 0 or more",
    ),
    "smoothing": (
        lambda: losses.label_relaxation_loss(HALF, FIRST, smoothing=-0.1),
        r"smoothing: in \[0, 1\]; got -0.1; choose a value between 0 and 1",
    ),
    "smoothing of others": (
        lambda: losses.label_relaxation_loss(logits_of(), LABELS, smoothing=torch.zeros(2)),
        r"smoothing: a number or shape \(6,\), one per example; got shape \(2,\)",
    ),
}


WRONG = {
    "smoothing": (
        lambda: losses.label_relaxation_loss(HALF, FIRST, smoothing=-0.1),
        r"smoothing: in \[0, 1\]; got -0.1; choose a value between 0 and 1",
    ),
    "smoothing of others": (
        lambda: losses.label_relaxation_loss(logits_of(), LABELS, smoothing=torch.zeros(2)),
        r"smoothing: a number or shape \(6,\), one per example; got shape \(2,\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_nan_logits_give_nan() -> None:
    logits = torch.tensor([[torch.nan, 0.0, 1.0], [5.0, 0.0, 0.0]])
    found = losses.label_relaxation_loss(logits, torch.tensor([0, 0]))
    assert bool(found[0].isnan())
    assert float(found[1]) == 0
