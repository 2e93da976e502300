"""The focal losses and Poly-1: hand-worked numbers, slow loops, end points, the edges of their definitions."""

import math
from typing import Any, cast

import pytest
import torch
from reference import robust as reference
from torch import Tensor

from softtargets import losses

N, K = 6, 4
LABELS = torch.tensor([2, 0, 3, 1, 2, 2])
HALF = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)  # p = (1/2, 1/4, 1/4)
FIRST, SECOND = torch.tensor([0]), torch.tensor([1])
GAMMAS = torch.linspace(0, 5, N, dtype=torch.float64)

under_every_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
with_and_without_weights = pytest.mark.parametrize(
    "weight", [None, torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)]
)
both = pytest.mark.parametrize("loss", [losses.focal_loss, losses.dual_focal_loss])


def logits_of(seed: int = 0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2


def slow(loss: Any, *numbers: float) -> list[float]:
    return [loss(z, y, *numbers) for z, y in zip(logits_of().tolist(), LABELS.tolist(), strict=True)]


def same(reduction: str, weight: Tensor | None, loss: Any, limit: Any, logits_at: Tensor | None = None) -> None:
    """Require two functions of logits to agree in value and gradient."""
    made: list[Tensor] = []
    for of in (loss, limit):
        logits = (logits_of() if logits_at is None else logits_at.clone()).requires_grad_()
        value = losses.reduce(of(logits), cast(Any, reduction), weight=weight)
        made.append(torch.cat([value.reshape(-1), torch.autograd.grad(value.sum(), logits)[0].reshape(-1)]).detach())
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=1e-14)


def test_numbers_by_hand() -> None:
    assert float(losses.focal_loss(HALF, SECOND, gamma=2.0)) == pytest.approx(9 / 16 * 2 * math.log(2), abs=1e-15)
    # p_j is 1/4 beside the label's 1/2, and nothing below 1/4
    assert float(losses.dual_focal_loss(HALF, FIRST, gamma=2.0)) == pytest.approx(9 / 16 * math.log(2), abs=1e-15)
    assert float(losses.dual_focal_loss(HALF, SECOND, gamma=2.0)) == pytest.approx(9 / 16 * 2 * math.log(2), abs=1e-15)
    low = losses.sample_dependent_focal_loss(HALF, SECOND, threshold=0.3, gamma_low=2.0)
    assert float(low) == pytest.approx(9 / 16 * 2 * math.log(2), abs=1e-15)
    high = losses.sample_dependent_focal_loss(HALF, FIRST, threshold=0.3, gamma_high=1.0)
    assert float(high) == pytest.approx(0.5 * math.log(2), abs=1e-15)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 3.0, 5.0])
def test_agrees_with_the_slow_loops(gamma: float) -> None:
    found = losses.focal_loss(logits_of(), LABELS, gamma=gamma)
    assert found.tolist() == pytest.approx(slow(reference.focal, gamma), abs=1e-12)
    found = losses.dual_focal_loss(logits_of(), LABELS, gamma=gamma)
    assert found.tolist() == pytest.approx(slow(reference.dual_focal, gamma), abs=1e-12)
    for threshold in (0.0, 0.2, 0.7, 1.0):
        found = losses.sample_dependent_focal_loss(logits_of(), LABELS, gamma_high=gamma, threshold=threshold)
        expected = slow(reference.sample_dependent_focal, 5.0, gamma, threshold)
        assert found.tolist() == pytest.approx(expected, abs=1e-12)


@both
def test_a_gamma_for_every_example_and_one_that_learns(loss: Any) -> None:
    each = reference.focal if loss is losses.focal_loss else reference.dual_focal
    rows = zip(logits_of().tolist(), LABELS.tolist(), GAMMAS.tolist(), strict=True)
    found = loss(logits_of(), LABELS, gamma=GAMMAS)
    assert found.tolist() == pytest.approx([each(z, y, gamma) for z, y, gamma in rows], abs=1e-12)
    learned = (GAMMAS + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda gamma: loss(logits_of(), LABELS, gamma=gamma), learned)


@both
@under_every_reduction
@with_and_without_weights
def test_trap_12_gamma_0_is_cross_entropy_with_weights_too(loss: Any, reduction: str, weight: Tensor | None) -> None:
    for none in (0.0, torch.zeros(N)):
        same(reduction, weight, lambda z, g=none: loss(z, LABELS, gamma=g), lambda z: losses.cross_entropy(z, LABELS))


def test_trap_12_weights_of_classes_are_those_of_torch() -> None:
    class_weight = torch.tensor([1.0, 0.5, 20.0, 3.0], dtype=torch.float64)
    found = losses.reduce(losses.focal_loss(logits_of(), LABELS, gamma=0.0), weight=class_weight[LABELS])
    expected = torch.nn.functional.cross_entropy(logits_of(), LABELS, weight=class_weight)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


@under_every_reduction
@with_and_without_weights
def test_limits_of_the_threshold_and_of_a_label_below_all_others(reduction: str, weight: Tensor | None) -> None:
    for threshold, gamma in ((0.0, 3.0), (1.0, 5.0)):
        same(
            reduction,
            weight,
            lambda z, t=threshold: losses.sample_dependent_focal_loss(z, LABELS, threshold=t),
            lambda z, g=gamma: losses.focal_loss(z, LABELS, gamma=g),
        )
    lowest = logits_of().scatter(-1, LABELS[:, None], -9.0)
    same(
        reduction,
        weight,
        lambda z: losses.dual_focal_loss(z, LABELS, gamma=3.0),
        lambda z: losses.focal_loss(z, LABELS, gamma=3.0),
        lowest,
    )


def test_the_threshold_itself_is_high() -> None:
    logits = torch.zeros(1, 2, dtype=torch.float64)  # p = 1/2
    found = losses.sample_dependent_focal_loss(logits, FIRST, threshold=0.5, gamma_low=1.0, gamma_high=2.0)
    assert float(found) == pytest.approx(math.log(2) / 4, abs=1e-15)


@both
@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("top", [10.0, 30.0, 88.0, 200.0, 1e4])
def test_the_gradient_is_finite_where_the_label_is_certain(loss: Any, gamma: float, top: float) -> None:
    single = torch.tensor([[top, 0.0, 1.0]], requires_grad=True)
    double = single.detach().double().requires_grad_()
    found = [loss(z, FIRST, gamma=gamma) for z in (single, double)]
    gradients = [
        torch.autograd.grad(v.sum(), z, create_graph=True)[0] for v, z in zip(found, (single, double), strict=True)
    ]
    seconds = torch.autograd.grad(gradients[0].square().sum(), single)[0]
    assert bool(gradients[0].isfinite().all())
    assert bool(seconds.isfinite().all())
    torch.testing.assert_close(found[0].double(), found[1], rtol=1e-4, atol=1e-40)
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=1e-4, atol=1e-40)


WRONG = {
    "gamma": (lambda: losses.focal_loss(HALF, FIRST, gamma=-1.0), r"gamma: at least 0; got -1; choose 0 or more"),
    "gamma of examples": (
        lambda: losses.dual_focal_loss(HALF, FIRST, gamma=torch.tensor([-2.0])),
        r"gamma: at least 0; got -2 at row 0; choose 0 or more",
    ),
    "gamma of others": (
        lambda: losses.focal_loss(logits_of(), LABELS, gamma=torch.ones(K)),
        r"gamma: a number or shape \(6,\), one per example; got shape \(4,\); reshape gamma",
    ),
    "low": (lambda: losses.sample_dependent_focal_loss(HALF, FIRST, gamma_low=-1.0), "gamma_low: .*; got -1; choose 0"),
    "high": (
        lambda: losses.sample_dependent_focal_loss(HALF, FIRST, gamma_high=-1.0),
        "gamma_high: .*; got -1; choose 0",
    ),
    "threshold": (
        lambda: losses.sample_dependent_focal_loss(HALF, FIRST, threshold=20),
        r"threshold: in \[0, 1\]; got 20; choose a value between 0 and 1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("twice", [False, True], ids=["fast", "differentiable"])
@pytest.mark.parametrize("loss", [losses.focal_loss, losses.dual_focal_loss, losses.sample_dependent_focal_loss])
def test_trap_04_a_masked_label_has_the_gradient_of_cross_entropy(loss: Any, twice: bool) -> None:
    made = []
    for of in (loss, losses.cross_entropy):
        z = torch.tensor([[-math.inf, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
        value = of(z, FIRST)
        assert value.tolist() == [math.inf]
        made.append(torch.autograd.grad(value.sum(), z, create_graph=twice)[0])
    torch.testing.assert_close(made[0], made[1])


@pytest.mark.parametrize("loss", [losses.focal_loss, losses.dual_focal_loss, losses.sample_dependent_focal_loss])
def test_a_weight_of_0_hides_a_masked_label(loss: Any) -> None:
    z = torch.tensor([[-math.inf, 1.0, 2.0], [0.0, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    value = losses.reduce(loss(z, torch.tensor([0, 0])), weight=torch.tensor([0.0, 1.0]))
    (gradient,) = torch.autograd.grad(value, z)
    assert gradient[0].tolist() == [0, 0, 0]
    assert bool(gradient.isfinite().all())


@both
def test_a_gamma_that_learns_has_a_finite_gradient_at_a_masked_label(loss: Any) -> None:
    gamma = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    z = torch.tensor([[-math.inf, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(loss(z, FIRST, gamma=gamma).sum(), gamma)[0].item() == 0


def slow_poly1(logits: list[float], label: int, epsilon: float, terms: int = 4000) -> float:
    """Sum the series that Poly-1 is defined by, its first coefficient raised by epsilon."""
    exponentials = [math.exp(z - max(logits)) for z in logits]
    missing = 1 - exponentials[label] / sum(exponentials)
    return epsilon * missing + sum(missing**j / j for j in range(1, terms))


@pytest.mark.parametrize("epsilon", [-1.0, -0.5, 0.0, 1.0, 2.0, 7.5])
def test_poly1_is_its_series(epsilon: float) -> None:
    assert float(losses.poly1_loss(HALF, FIRST, epsilon=epsilon)) == pytest.approx(math.log(2) + epsilon / 2, abs=1e-15)
    mild = logits_of() / 4  # where the series converges fast
    expected = [slow_poly1(z, y, epsilon) for z, y in zip(mild.tolist(), LABELS.tolist(), strict=True)]
    assert losses.poly1_loss(mild, LABELS, epsilon=epsilon).tolist() == pytest.approx(expected, abs=1e-12)


@under_every_reduction
@with_and_without_weights
def test_poly1_special_cases(reduction: str, weight: Tensor | None) -> None:
    same(
        reduction,
        weight,
        lambda z: losses.poly1_loss(z, LABELS, epsilon=0.0),
        lambda z: losses.cross_entropy(z, LABELS),
    )
    same(
        reduction,
        weight,
        lambda z: losses.poly1_loss(z, LABELS, epsilon=GAMMAS),
        lambda z: losses.cross_entropy(z, LABELS) + GAMMAS * losses.mean_absolute_error(z, LABELS),
    )


def test_poly1_scales_the_gradient_of_cross_entropy() -> None:
    logits = logits_of().requires_grad_()
    (found,) = torch.autograd.grad(losses.poly1_loss(logits, LABELS, epsilon=3.0).sum(), logits)
    (plain,) = torch.autograd.grad(losses.cross_entropy(logits, LABELS).sum(), logits)
    probs = logits.detach().softmax(-1).gather(1, LABELS[:, None])
    torch.testing.assert_close(found, (1 + 3 * probs) * plain, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_poly1_is_finite_at_extreme_logits(size: float) -> None:
    logits = torch.tensor([[size, -size], [-size, size]], dtype=torch.float64, requires_grad=True)
    value = losses.poly1_loss(logits, torch.tensor([0, 0]), epsilon=-1.0)
    assert value.tolist() == [0.0, 2 * size - 1]
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient.tolist() == [[0.0, 0.0], [-1.0, 1.0]]


def test_poly1_refuses_an_epsilon_below_minus_one() -> None:
    with pytest.raises(ValueError, match=r"epsilon.*-1\.5"):
        losses.poly1_loss(logits_of(), LABELS, epsilon=-1.5)
