"""Distillation of hidden states: hand-computed numbers, projections, masks and errors."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from softtargets import distill

N, WIDE, NARROW = 5, 4, 3
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
MASK = torch.tensor([True, False, True, True, False])
generator = torch.Generator().manual_seed(0)
TEACHER = torch.randn(N, WIDE, dtype=torch.float64, generator=generator)
SAME = torch.randn(N, WIDE, dtype=torch.float64, generator=generator)
STUDENT = torch.randn(N, NARROW, dtype=torch.float64, generator=generator)


def projection() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(NARROW, WIDE, dtype=torch.float64)


def test_it_is_the_mean_squared_difference_of_each_row() -> None:
    expected = [
        sum((a - b) ** 2 for a, b in zip(s, t, strict=True)) / WIDE
        for s, t in zip(SAME.tolist(), TEACHER.tolist(), strict=True)
    ]
    values = distill.hidden_state_loss(SAME, TEACHER)
    assert values.tolist() == pytest.approx(expected, abs=1e-14)
    torch.testing.assert_close(values.mean(), functional.mse_loss(SAME, TEACHER), **CLOSE)
    assert distill.hidden_state_loss(TEACHER, TEACHER).tolist() == [0.0] * N


def test_normalised_it_is_of_the_cosine_alone() -> None:
    cosine = functional.cosine_similarity(SAME, TEACHER, dim=-1)
    torch.testing.assert_close(
        distill.hidden_state_loss(SAME, TEACHER, normalize=True), 2 * (1 - cosine) / WIDE, **CLOSE
    )
    scaled = distill.hidden_state_loss(5 * SAME, 0.1 * TEACHER, normalize=True)
    torch.testing.assert_close(scaled, 2 * (1 - cosine) / WIDE, **CLOSE)


@pytest.mark.parametrize("normalize", [False, True])
def test_projection_and_student_learn_and_the_teacher_does_not(normalize: bool) -> None:
    layer, student = projection(), STUDENT.clone().requires_grad_()
    teacher = TEACHER.clone().requires_grad_()
    values = distill.hidden_state_loss(student, teacher, projection=layer, normalize=normalize)
    torch.testing.assert_close(values, distill.hidden_state_loss(layer(STUDENT), TEACHER, normalize=normalize), **CLOSE)
    values.sum().backward()
    assert teacher.grad is None
    for learned in (student.grad, layer.weight.grad, layer.bias.grad):
        assert learned is not None
        assert bool((learned != 0).any())
    assert torch.autograd.gradcheck(
        lambda z: distill.hidden_state_loss(z, TEACHER, projection=layer, normalize=normalize),
        STUDENT.clone().requires_grad_(),
    )


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("junk", [0.0, math.nan, math.inf])
def test_rows_that_do_not_count_have_no_part(normalize: bool, junk: float) -> None:
    layer, student, teacher = projection(), STUDENT.clone(), TEACHER.clone()
    student[~MASK], teacher[~MASK] = junk, junk
    student.requires_grad_()
    values = distill.hidden_state_loss(student, teacher, projection=layer, normalize=normalize, mask=MASK)
    assert values[~MASK].tolist() == [0.0, 0.0]
    values.sum().backward()
    assert student.grad is not None
    assert layer.weight.grad is not None
    assert bool((student.grad[~MASK] == 0).all())
    alone = projection()
    expected = distill.hidden_state_loss(STUDENT[MASK], TEACHER[MASK], projection=alone, normalize=normalize)
    expected.sum().backward()
    torch.testing.assert_close(values[MASK], expected, **CLOSE)
    torch.testing.assert_close(layer.weight.grad, alone.weight.grad, **CLOSE)


def test_half_precision_is_projected_as_it_is_and_compared_in_float32() -> None:
    layer = projection().bfloat16()
    values = distill.hidden_state_loss(STUDENT.bfloat16(), TEACHER.half(), projection=layer)
    assert values.dtype == torch.float32
    expected = (layer(STUDENT.bfloat16()).float() - TEACHER.half().float()).square().mean(-1)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("student", "settings", "error", "message"),
    [
        (
            STUDENT,
            {},
            ValueError,
            r"student_hidden: shape \(5, 4\), as teacher_hidden; got \(5, 3\); pass projection=",
        ),
        (STUDENT, {"projection": lambda h: h}, ValueError, r"projection: shape \(5, 4\).* width of the teacher"),
        (SAME[:2], {}, ValueError, r"teacher_hidden: the examples of student_hidden, .* \(2, 4\); got shape \(5, 4\)"),
        (SAME.long(), {}, TypeError, "student_hidden: a floating-point tensor"),
        (SAME, {"mask": MASK.float()}, TypeError, "mask: a bool tensor"),
        (SAME, {"mask": MASK[:1]}, ValueError, r"mask: shape \(5,\)"),
    ],
)
def test_what_is_refused(student: torch.Tensor, settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        distill.hidden_state_loss(student, TEACHER, **settings)
