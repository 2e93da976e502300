"""The loss bound, and the entropy of noise that it is set to."""

import math
from typing import Any

import pytest
import torch
from reference import penalties as slow

from softtargets import losses, noise

CLOSE: Any = {"rtol": 0, "atol": 1e-15}
LOSSES = torch.tensor([0.25, 1.5, 0.5, 0.75], dtype=torch.float64)  # mean .75
NOISY = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.0, 0.5, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize("bound", [0.0, 0.5, 0.75, 2.0])
def test_the_bound_agrees_with_the_slow_loop(bound: float) -> None:
    value = losses.loss_bound(LOSSES, bound)
    assert value.shape == ()
    assert float(value) == pytest.approx(slow.flooded(LOSSES.tolist(), bound), abs=1e-15)
    assert float(value) >= bound
    tensor = losses.loss_bound(LOSSES, torch.tensor(bound, dtype=torch.float64))
    assert torch.equal(tensor, value)
    assert losses.loss_bound(LOSSES.float(), torch.tensor(bound, dtype=torch.float64)).dtype == torch.float32


def test_below_the_bound_the_gradient_turns_round() -> None:
    for bound, sign in ((0.5, 1.0), (2.0, -1.0)):
        leaf = LOSSES.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x, b=bound: losses.loss_bound(x, b), leaf)
        (gradient,) = torch.autograd.grad(losses.loss_bound(leaf, bound), leaf)
        torch.testing.assert_close(gradient, torch.full_like(LOSSES, sign / 4), **CLOSE)


def test_limits_of_the_bound_under_every_reduction_and_with_weights() -> None:
    assert float(losses.loss_bound(LOSSES, 0.0)) == 0.75
    assert float(losses.loss_bound(LOSSES, 0.5)) == 0.75
    # what is already reduced, by whatever weights and normaliser, is bounded as it is
    weight = torch.tensor([1.0, 0.0, 2.0, 1.0], dtype=torch.float64)
    risk = losses.reduce(LOSSES, weight=weight)
    assert float(losses.loss_bound(risk, 0.25)) == float(risk)
    assert float(losses.loss_bound(losses.reduce(LOSSES, "sum"), 4.0)) == 5.0
    assert float(losses.loss_bound(losses.reduce(LOSSES, "none"), 1.0)) == 1.25


def test_descent_stops_at_the_bound() -> None:
    logits = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1])
    for _ in range(500):
        risk = losses.loss_bound(losses.cross_entropy(logits, labels), 0.4)
        with torch.no_grad():
            logits -= 0.05 * torch.autograd.grad(risk, logits)[0]
    assert float(losses.cross_entropy(logits.detach(), labels).mean()) == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(("rate", "expected"), [(0.2, 0.940), (0.4, 1.552), (0.6, 1.991), (0.8, 2.258)])
def test_the_entropy_of_exclusive_symmetric_noise_over_ten_classes(rate: float, expected: float) -> None:
    assert float(losses.entropy_bound(noise.symmetric(rate, 10))) == pytest.approx(expected, abs=5e-4)
    closed = -(1 - rate) * math.log(1 - rate) - rate * math.log(rate / 9)
    assert float(losses.entropy_bound(noise.symmetric(rate, 10).to_dense())) == pytest.approx(closed, abs=1e-14)


def test_the_entropy_agrees_with_the_slow_loop() -> None:
    uniform, prior = [1 / 3] * 3, [0.5, 0.2, 0.3]
    value = losses.entropy_bound(NOISY)
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(slow.noise_entropy(NOISY.tolist(), uniform), abs=1e-15)
    weighed = losses.entropy_bound(NOISY, class_prior=torch.tensor(prior, dtype=torch.float64))
    assert float(weighed) == pytest.approx(slow.noise_entropy(NOISY.tolist(), prior), abs=1e-15)


def test_limits_of_the_entropy() -> None:
    assert float(losses.entropy_bound(torch.eye(3))) == 0
    nothing = noise.symmetric(1.0, 5, inclusive=True)
    assert float(losses.entropy_bound(nothing)) == pytest.approx(math.log(5), abs=1e-15)


def test_the_entropy_is_the_loss_of_a_model_that_knows_the_clean_label() -> None:
    sure = torch.full((3, 3), -1e4, dtype=torch.float64).fill_diagonal_(0.0)
    each = torch.stack([losses.forward_corrected_cross_entropy(sure, torch.full((3,), k), NOISY) for k in range(3)], -1)
    risk = torch.where(NOISY > 0, NOISY * each, 0.0).sum(-1).mean()
    torch.testing.assert_close(risk, losses.entropy_bound(NOISY), rtol=0, atol=1e-12)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"bound: at least 0; got -1; choose 0 or more"):
        losses.loss_bound(LOSSES, -1.0)
    with pytest.raises(ValueError, match=r"bound: one number; got shape \(2,\); call it once per group"):
        losses.loss_bound(LOSSES, torch.ones(2))
    with pytest.raises(TypeError, match=r"losses: a floating-point tensor; got dtype torch.int64"):
        losses.loss_bound(LOSSES.long(), 1.0)
    with pytest.raises(ValueError, match="class_prior: 3 classes; got 2; give one probability"):
        losses.entropy_bound(NOISY, class_prior=torch.tensor([0.5, 0.5]))
    with pytest.raises(ValueError, match="class_prior: a sum of 1; got 3; divide it by its sum"):
        losses.entropy_bound(NOISY, class_prior=torch.ones(3))
