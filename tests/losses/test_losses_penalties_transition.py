"""The volume of a transition as a penalty: against a number by hand and the slow loop."""

import math

import pytest
import torch
from reference import penalties as slow
from torch import Tensor

from softtargets import losses, noise

NOISY = torch.tensor(
    [[0.7, 0.3, 0.0, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 0.6, 0.4], [0.05, 0.05, 0.0, 0.9]], dtype=torch.float64
)


def test_the_volume_agrees_with_the_slow_loop_and_forgets_the_sign() -> None:
    for transition in (NOISY, NOISY[torch.tensor([1, 0, 2, 3])]):
        expected = math.log(abs(slow.determinant(transition.tolist())))
        value = losses.volume_penalty(transition)
        assert value.shape == ()
        assert float(value) == pytest.approx(expected, abs=1e-12)
    assert losses.volume_penalty(torch.eye(3).bfloat16()).dtype == torch.float32


def test_limits_of_the_volume() -> None:
    assert float(losses.volume_penalty(torch.eye(3))) == 0
    for rate in (0.1, 0.5, 1.0):
        transition = noise.symmetric(rate, 4)
        expected = (4 - 1) * math.log(abs(1 - float(transition.redraw)))
        assert float(losses.volume_penalty(transition)) == pytest.approx(expected, abs=1e-12)
        assert float(losses.volume_penalty(transition.to_dense())) == pytest.approx(expected, abs=1e-12)
    assert float(losses.volume_penalty(torch.full((4, 4), 0.25))) == -math.inf


def test_the_gradient_of_the_volume() -> None:
    matrix = NOISY.clone().requires_grad_()
    (made,) = torch.autograd.grad(losses.volume_penalty(matrix), matrix)
    torch.testing.assert_close(made, torch.linalg.inv(NOISY).T, rtol=0, atol=1e-12)
    scores = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def volume(s: Tensor) -> Tensor:
        return losses.volume_penalty(s.softmax(-1))

    assert torch.autograd.gradcheck(volume, scores)
    assert torch.autograd.gradgradcheck(volume, scores)


def test_by_hand() -> None:
    noisy = torch.tensor([[0.75, 0.25], [0.5, 0.5]], dtype=torch.float64)
    assert float(losses.volume_penalty(noisy)) == pytest.approx(math.log(0.25), abs=1e-15)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"transition: rows \(clean class\) that sum to 1; got 2 in row 0; divide"):
        losses.volume_penalty(2 * torch.eye(3))
