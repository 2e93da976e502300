"""Smoothing as shrinkage: Lukasik's Eq. 7 solved on both sides, and Theorem 1, with what it leaves out."""

import math

import pytest
import torch
from torch import Tensor

from softtargets import losses
from softtargets.analysis import smoothed_least_squares

N, D, K = 40, 6, 4
INPUTS = torch.randn(N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
CENTRED = INPUTS - INPUTS.mean(0)
LABELS = torch.randint(K, (N,), generator=torch.Generator().manual_seed(1))


def _right_side(inputs: Tensor, smoothing: float) -> Tensor:
    """Eq. 7 as printed: their W is D x L."""
    gram = inputs.T @ inputs
    hot = torch.eye(K, dtype=torch.float64)[LABELS]
    best = torch.linalg.solve(gram, inputs.T @ hot)
    return (1 - smoothing) * best + smoothing / K * torch.linalg.solve(gram, inputs.T @ torch.ones(N, K).double())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("inputs", [INPUTS, CENTRED], ids=["uncentred", "centred"])
def test_equation_7(inputs: Tensor, smoothing: float) -> None:
    weight = smoothed_least_squares(inputs, LABELS, smoothing=smoothing, num_classes=K)
    torch.testing.assert_close(weight.T, _right_side(inputs, smoothing), rtol=0, atol=1e-13)


def test_on_centred_inputs_it_is_pure_shrinkage_and_else_it_is_not() -> None:
    for inputs, pure in ((CENTRED, True), (INPUTS, False)):
        plain = smoothed_least_squares(inputs, LABELS, smoothing=0.0, num_classes=K)
        smoothed = smoothed_least_squares(inputs, LABELS, smoothing=0.3, num_classes=K)
        assert torch.allclose(smoothed, 0.7 * plain, rtol=0, atol=1e-13) is pure
        assert torch.equal((inputs @ plain.T).argmax(1), (inputs @ smoothed.T).argmax(1))


def test_it_is_the_minimiser() -> None:
    weight = smoothed_least_squares(INPUTS, LABELS, smoothing=0.2, num_classes=K).requires_grad_()
    target = 0.8 * torch.eye(K, dtype=torch.float64)[LABELS] + 0.2 / K
    (INPUTS @ weight.T - target).square().sum().backward()
    assert weight.grad is not None
    assert float(weight.grad.abs().max()) < 1e-12


def test_below_full_rank_it_is_the_solution_of_least_norm() -> None:
    inputs = torch.cat([CENTRED, CENTRED[:, :1]], 1)
    weight = smoothed_least_squares(inputs, LABELS, smoothing=0.2, num_classes=K)
    torch.testing.assert_close(weight[:, 0], weight[:, -1], rtol=0, atol=1e-13)
    torch.testing.assert_close(
        inputs @ weight.T, CENTRED @ smoothed_least_squares(CENTRED, LABELS, smoothing=0.2, num_classes=K).T
    )


def _regularizer(weight: Tensor, inputs: Tensor = INPUTS) -> Tensor:
    """Eq. 8 of a linear model, (K * D) weights."""
    return losses.smoothing_regularizer(inputs @ weight.reshape(K, -1).T).mean()


def test_theorem_1_zero_is_a_minimiser() -> None:
    zero = torch.zeros(K * D, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(_regularizer(zero), zero)
    least = _regularizer(zero.detach())
    assert float(least) == pytest.approx(K * math.log(K))
    assert float(slope.abs().max()) < 1e-15
    for seed in range(20):
        other = torch.randn(K * D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        assert float(_regularizer(other)) > float(least) + 0.1
        assert float(_regularizer(1e-3 * other)) > float(least)


def test_theorem_1_zero_is_not_the_only_minimiser() -> None:
    """The theorem calls it unique where the inputs have rank above L. Equal rows cost nothing, whatever the inputs."""
    assert int(torch.linalg.matrix_rank(INPUTS)) > K
    alike = torch.randn(D, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).repeat(K)
    assert float(_regularizer(alike)) == pytest.approx(K * math.log(K), abs=1e-13)


@pytest.mark.parametrize("rank", [D, K + 1, 2])
def test_theorem_1_what_is_unique_are_the_differences_of_rows_on_the_span_of_the_inputs(rank: int) -> None:
    mix = torch.randn(rank, D, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    inputs = INPUTS[:, :rank] @ mix
    zero = torch.zeros(K * D, dtype=torch.float64)
    curvature = torch.autograd.functional.hessian(lambda weight: _regularizer(weight, inputs), zero)
    assert isinstance(curvature, Tensor)
    values = torch.linalg.eigvalsh(curvature)
    assert int((values > 1e-8).sum()) == (K - 1) * rank  # and above 0 in K D directions if the theorem were right
    assert float(values.min()) > -1e-12


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"smoothing: in \[0, 1\]; got 1.5"):
        smoothed_least_squares(INPUTS, LABELS, smoothing=1.5, num_classes=K)
    with pytest.raises(ValueError, match=r"labels: shape \(40,\); got \(3,\)"):
        smoothed_least_squares(INPUTS, LABELS[:3], smoothing=0.1, num_classes=K)
    with pytest.raises(ValueError, match=r"inputs: finite numbers; got nan at index \(0, 1\)"):
        smoothed_least_squares(torch.tensor([[0.0, float("nan")]]), LABELS[:1], smoothing=0.1, num_classes=K)
    with pytest.raises(ValueError, match=r"inputs: shape \(N, D\)"):
        smoothed_least_squares(INPUTS[0], LABELS, smoothing=0.1, num_classes=K)
