"""The consistency loss: against a loop, its gradient, and rows that are left out."""

import math

import pytest
import torch
from torch import Tensor

from softtargets.distill import consistency_loss

N, K = 6, 4
generator = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (2 * torch.randn(N, K, generator=generator, dtype=torch.float64) for _ in range(2))


def _softmax(z: list[float]) -> list[float]:
    weights = [math.exp(value - max(z)) for value in z]
    return [weight / sum(weights) for weight in weights]


def _loop(student: Tensor, teacher: Tensor) -> list[float]:
    pairs = zip(student.tolist(), teacher.tolist(), strict=True)
    return [
        sum((p - q) ** 2 for p, q in zip(_softmax(z), _softmax(v), strict=True)) / student.shape[-1] for z, v in pairs
    ]


def test_it_is_the_mean_squared_distance_of_the_probabilities() -> None:
    assert consistency_loss(STUDENT, TEACHER).tolist() == pytest.approx(_loop(STUDENT, TEACHER), rel=1e-12)
    # as in the authors' code: mse_loss of softmaxes, summed, divided by the number of classes
    total = torch.nn.functional.mse_loss(STUDENT.softmax(1), TEACHER.softmax(1), reduction="sum") / K
    torch.testing.assert_close(consistency_loss(STUDENT, TEACHER, reduction="sum"), total)


def test_its_gradient_is_that_of_the_student_alone() -> None:
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    consistency_loss(student, teacher, reduction="mean").backward()
    assert teacher.grad is None
    assert torch.autograd.gradcheck(lambda z: consistency_loss(z, TEACHER), STUDENT.clone().requires_grad_())


def test_equal_probabilities_give_zero_and_shifts_change_nothing() -> None:
    assert consistency_loss(STUDENT, STUDENT + 3).abs().max() < 1e-30
    torch.testing.assert_close(consistency_loss(STUDENT - 7, TEACHER), consistency_loss(STUDENT, TEACHER))
    extreme = torch.tensor([[1e4, 0.0, -1e4]])
    assert consistency_loss(extreme, extreme.flip(1)).tolist() == pytest.approx([2 / 3])


def test_rows_may_be_left_out() -> None:
    mask = torch.tensor([True, False, True, True, False, True])
    bad = TEACHER.masked_fill(~mask[:, None], torch.nan)
    found = consistency_loss(STUDENT, bad, mask=mask)
    expected = consistency_loss(STUDENT, TEACHER)
    torch.testing.assert_close(found, expected.masked_fill(~mask, 0.0))
    mean = consistency_loss(STUDENT, bad, mask=mask, reduction="mean")
    torch.testing.assert_close(mean, expected[mask].mean())


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="teacher_logits"):
        consistency_loss(STUDENT, TEACHER[:, :2])
    with pytest.raises(TypeError, match="student_logits"):
        consistency_loss(torch.zeros(3, dtype=torch.int64), TEACHER)
