"""DIST: slow loop, invariances of correlations, and the term shared by the batch."""

from typing import Any

import pytest
import torch
from reference import distill as slow
from torch import Tensor

from softtargets import distill

N, K = 6, 4
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
generator = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (torch.randn(N, K, dtype=torch.float64, generator=generator) * 2 for _ in range(2))


def authors(student: Tensor, teacher: Tensor, beta: float, gamma: float, tau: float) -> Tensor:
    """Return the mean loss by torch's correlations."""

    def one_minus(a: Tensor, b: Tensor) -> Tensor:
        rows = [torch.corrcoef(torch.stack([x, y]))[0, 1] for x, y in zip(a, b, strict=True)]
        return 1 - torch.stack(rows).mean()

    a, b = (student / tau).softmax(-1), (teacher / tau).softmax(-1)
    return tau**2 * (beta * one_minus(a, b) + gamma * one_minus(a.T, b.T))


@pytest.mark.parametrize(("inter", "intra", "temperature"), [(1.0, 1.0, 1.0), (2.0, 0.5, 3.0), (0.0, 1.0, 2.0)])
def test_agrees_with_the_slow_loop_and_with_torch(inter: float, intra: float, temperature: float) -> None:
    values = distill.dist_loss(STUDENT, TEACHER, inter_weight=inter, intra_weight=intra, temperature=temperature)
    rows, columns = slow.relational_parts(STUDENT.tolist(), TEACHER.tolist(), temperature)
    expected = [temperature**2 * (inter * row + intra * columns) for row in rows]
    # 1e-8 is added to the product of the norms
    assert values.tolist() == pytest.approx(expected, abs=1e-5, rel=1e-6)
    assert float(values.mean()) == pytest.approx(float(authors(STUDENT, TEACHER, inter, intra, temperature)), rel=1e-6)


def test_the_teachers_own_logits_have_nothing_to_learn() -> None:
    assert float(distill.dist_loss(TEACHER + 3, TEACHER).abs().max()) < 1e-6


def test_rows_do_not_see_a_factor_and_a_constant() -> None:
    probs = TEACHER.softmax(-1)
    student = (0.3 * probs + 0.7 / K).log()
    assert float(distill.dist_loss(student, TEACHER, intra_weight=0.0).abs().max()) < 1e-6
    assert float(distill.kd_loss(student, TEACHER).min()) > 1e-3


def test_opposite_orders_cost_the_most() -> None:
    teacher = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
    values = distill.dist_loss(-teacher, teacher, inter_weight=1.5, intra_weight=0.5, temperature=2.0)
    # two classes: p and 1 - p have the correlation -1, over rows as well
    assert values.tolist() == pytest.approx([4 * (1.5 * 2 + 0.5 * 2)] * 3, abs=1e-5)


def test_one_row_alone_has_classes_without_correlation() -> None:
    values = distill.dist_loss(STUDENT[:1], TEACHER[:1], inter_weight=0.0)
    assert values.tolist() == [1.0]
