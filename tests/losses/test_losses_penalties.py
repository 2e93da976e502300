"""Penalties: against hand-worked numbers and the slow loop."""

import math

import pytest
import torch
from reference import losses as reference

from softtargets import losses


def pair(seed: int = 0, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 4, dtype=torch.float64, generator=generator) * scale
    return logits, torch.randn(5, 4, dtype=torch.float64, generator=generator).softmax(-1) * 0.9


def test_early_learning_by_hand() -> None:
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)  # p = (1/2, 1/4, 1/4)
    running = torch.tensor([[0.8, 0.1, 0.1]], dtype=torch.float64)
    assert float(losses.early_learning_penalty(logits, running)) == pytest.approx(math.log(1 - 0.45), abs=1e-15)


def test_early_learning_agrees_with_the_slow_loop() -> None:
    logits, running = pair()
    expected = [reference.early_learning(z, t) for z, t in zip(logits.tolist(), running.tolist(), strict=True)]
    assert losses.early_learning_penalty(logits, running).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.0, 2.0, 1.0, 1.0]).double()])
def test_limits_without_a_belief_there_is_no_penalty(reduction: str, weight: torch.Tensor | None) -> None:
    logits = pair()[0].requires_grad_()
    penalty = losses.early_learning_penalty(logits, torch.zeros(5, 4))
    value = losses.reduce(penalty, reduction, weight=weight)  # pyright: ignore[reportArgumentType]
    assert bool((value == 0).all())
    assert bool((torch.autograd.grad(value.sum(), logits)[0] == 0).all())


def test_gradcheck_and_the_gradient_of_the_paper() -> None:
    logits, running = pair()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: losses.early_learning_penalty(z, running), logits)
    (gradient,) = torch.autograd.grad(losses.early_learning_penalty(logits, running).sum(), logits)
    probs = logits.detach().softmax(-1)
    agreement = (probs * running).sum(-1, keepdim=True)
    # d/dz_k log(1 - <p, t>) = -p_k (t_k - <p, t>) / (1 - <p, t>)
    torch.testing.assert_close(gradient, -probs * (running - agreement) / (1 - agreement), rtol=0, atol=1e-14)


def test_the_belief_gets_no_gradient() -> None:
    logits, running = pair()
    running.requires_grad_()
    penalty = losses.early_learning_penalty(logits.requires_grad_(), running).sum()
    assert torch.autograd.grad(penalty, running, allow_unused=True)[0] is None


def test_the_floor() -> None:
    sure = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    penalty = losses.early_learning_penalty(sure, torch.tensor([[1.0, 0.0, 0.0]]))
    assert float(penalty.detach()) == pytest.approx(math.log(1e-4), rel=1e-6)
    assert bool(torch.autograd.grad(penalty.sum(), sure)[0].isfinite().all())
    higher = losses.early_learning_penalty(sure, torch.tensor([[1.0, 0.0, 0.0]]), eps=0.1)
    assert float(higher.detach()) == pytest.approx(math.log(0.1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_the_plain_path(dtype: torch.dtype) -> None:
    logits, running = pair(4)
    half = logits.to(dtype)
    truth = losses.early_learning_penalty(half.double(), running)
    plain = torch.log(1 - (half.softmax(-1) * running.to(dtype)).sum(-1))
    ours = losses.early_learning_penalty(half, running)
    assert ours.dtype == torch.float32
    assert float((ours.double() - truth).abs().max()) <= float((plain.double() - truth).abs().max()) + 1e-6


def test_a_masked_logit_has_no_part() -> None:
    logits = torch.tensor([[0.5, -torch.inf, 0.1]], dtype=torch.float64, requires_grad=True)
    penalty = losses.early_learning_penalty(logits, torch.tensor([[0.3, 0.3, 0.4]], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(penalty.sum(), logits)
    assert float(penalty.detach()) == pytest.approx(reference.early_learning([0.5, 0.1], [0.3, 0.4]), abs=1e-14)
    assert gradient[0, 1] == 0
    assert bool(gradient.isfinite().all())


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"running_targets: shape \(5, 4\); got \(5,\); align them"):
        losses.early_learning_penalty(torch.zeros(5, 4), torch.zeros(5))
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor; got dtype torch.int64"):
        losses.early_learning_penalty(torch.zeros(5, 4, dtype=torch.int64), torch.zeros(5, 4))
