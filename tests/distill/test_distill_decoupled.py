"""DKD: slow loop, identity with plain distillation, limits and edge cases."""

import math
from typing import Any

import pytest
import torch
from reference import distill as slow

from softtargets import distill

N, K = 6, 5
INF = torch.inf
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
LABELS = torch.tensor([2, 0, 3, 1, 4, 0])
generator = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (torch.randn(N, K, dtype=torch.float64, generator=generator) * 2 for _ in range(2))


def parts(temperature: float) -> list[tuple[float, float]]:
    rows = zip(STUDENT.tolist(), TEACHER.tolist(), LABELS.tolist(), strict=True)
    return [slow.decoupled_parts(z, v, y, temperature) for z, v, y in rows]


@pytest.mark.parametrize(("target", "other", "temperature"), [(1.0, 8.0, 4.0), (1.0, 0.0, 1.0), (0.0, 2.0, 1.5)])
def test_agrees_with_the_slow_loop(target: float, other: float, temperature: float) -> None:
    values = distill.dkd_loss(
        STUDENT, TEACHER, LABELS, target_weight=target, other_weight=other, temperature=temperature
    )
    expected = [temperature**2 * (target * a + other * b) for a, b in parts(temperature)]
    assert values.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_defaults_are_the_authors() -> None:
    expected = [16 * (a + 8 * b) for a, b in parts(4.0)]
    assert distill.dkd_loss(STUDENT, TEACHER, LABELS).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_plain_distillation_weighs_the_others_by_what_the_teacher_leaves_them(temperature: float) -> None:
    whole = distill.kd_loss(STUDENT, TEACHER, temperature=temperature)
    target, others = (
        distill.dkd_loss(STUDENT, TEACHER, LABELS, target_weight=a, other_weight=1 - a, temperature=temperature)
        for a in (1.0, 0.0)
    )
    probs = (TEACHER / temperature).softmax(-1)
    left = 1 - probs.gather(-1, LABELS[:, None])[:, 0]
    torch.testing.assert_close(whole, target + left * others, **CLOSE)


def test_two_classes_have_no_others() -> None:
    student, teacher, labels = STUDENT[:, :2], TEACHER[:, :2], LABELS % 2
    others = distill.dkd_loss(student, teacher, labels, target_weight=0.0, temperature=2.0)
    torch.testing.assert_close(others, torch.zeros_like(others), **CLOSE)
    whole = distill.kd_loss(student, teacher, temperature=2.0)
    torch.testing.assert_close(distill.dkd_loss(student, teacher, labels, temperature=2.0), whole, **CLOSE)


def test_the_others_are_heard_where_the_teacher_is_all_but_sure() -> None:
    # p_label differs from 1 by exp(-200): shares of the others are (3/4, 1/4) and (1/2, 1/2)
    teacher = torch.tensor([[200.0, math.log(3), 0.0]], dtype=torch.float64)
    student = torch.tensor([[200.0, 0.0, 0.0]], dtype=torch.float64)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    loss = distill.dkd_loss(student, teacher, torch.tensor([0]), other_weight=1.0, temperature=1.0)
    assert float(loss) == pytest.approx(expected, abs=1e-12)
    assert float(distill.kd_loss(student, teacher)) < 1e-15


def test_a_label_that_both_exclude_leaves_the_others() -> None:
    labels = torch.zeros(N, dtype=torch.int64)
    student, teacher = STUDENT.clone(), TEACHER.clone()
    student[:, 0], teacher[:, 0] = -INF, -INF
    values = distill.dkd_loss(student, teacher, labels, other_weight=1.0, temperature=2.0)
    expected = distill.kd_loss(STUDENT[:, 1:], TEACHER[:, 1:], temperature=2.0)
    torch.testing.assert_close(values, expected, **CLOSE)


@pytest.mark.parametrize("excluded", [0, 2])
def test_a_class_that_the_student_alone_excludes_is_refused(excluded: int) -> None:
    student = torch.zeros(2, 3)
    student[1, excluded] = -INF
    with pytest.raises(ValueError, match=f"student_logits: a finite logit .* got -inf for class {excluded} at row 1"):
        # 500 below the label: no probability at all, yet a share of the others
        distill.dkd_loss(student, torch.tensor([[500.0, 0.0, 0.0]] * 2), torch.tensor([0, 0]))
