"""Standardised logits: slow loop, invariances, and distillation on them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from reference import distill as slow
from reference.losses import cross_entropy
from torch import Tensor

from softtargets import distill

N, K = 6, 4
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
KD = distill.kd_loss
LABELS = torch.tensor([2, 0, 3, 1, 2, 0])
generator = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (torch.randn(N, K, dtype=torch.float64, generator=generator) * 2 for _ in range(2))


def test_agrees_with_the_slow_loop() -> None:
    rows = list(zip(STUDENT.tolist(), TEACHER.tolist(), LABELS.tolist(), strict=True))
    for z, row in zip(STUDENT.tolist(), distill.standardize(STUDENT, eps=0.0).tolist(), strict=True):
        assert row == pytest.approx(slow.standardized(z), abs=1e-12)
    expected = [
        slow.knowledge_distillation(
            slow.standardized(z),
            slow.standardized(v),
            [0.0] * K,
            kd_weight=9,
            label_weight=0,
            temperature=2,
            student_temperature=2,
        )
        # of the logits as they are
        + 0.1 * cross_entropy(z, slow.one_hot(y, K))
        for z, v, y in rows
    ]
    assert distill.standardized_kd_loss(STUDENT, TEACHER, LABELS).tolist() == pytest.approx(expected, abs=1e-5)


def test_trap_17_the_squared_temperature_stays_on_standardised_logits() -> None:
    found = distill.standardized_kd_loss(STUDENT, TEACHER, kd_weight=1.0, label_weight=0.0, temperature=3.0)
    plain = KD(distill.standardize(STUDENT), distill.standardize(TEACHER), temperature=3.0, scale="none")
    torch.testing.assert_close(found, 9 * plain, **CLOSE)


def test_standardised_logits_know_neither_scale_nor_shift() -> None:
    factors = torch.tensor([0.1, 1.0, 2.0, 5.0, 10.0, 0.5], dtype=torch.float64)[:, None]
    moved = factors * STUDENT + 7
    torch.testing.assert_close(distill.standardize(moved), distill.standardize(STUDENT), rtol=0, atol=1e-5)
    rows = distill.standardize(STUDENT, eps=0.0)
    torch.testing.assert_close(rows.std(-1), torch.ones(N, dtype=torch.float64), **CLOSE)
    torch.testing.assert_close(rows.mean(-1), torch.zeros(N, dtype=torch.float64), **CLOSE)
    assert float(distill.standardized_kd_loss(STUDENT, moved, label_weight=0.0).abs().max()) < 1e-5
    assert distill.standardize(torch.full((2, 3), 5.0)).tolist() == [[0.0] * 3] * 2
    leaf = torch.zeros(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(distill.standardize(leaf)[:, 0].sum(), leaf)
    assert bool(gradient.isfinite().all())


def test_standardised_distillation_is_weighted_distillation_of_standardised_logits() -> None:
    found = distill.standardized_kd_loss(STUDENT, TEACHER, kd_weight=2.0, label_weight=0.0, temperature=3.0)
    expected = 2 * KD(distill.standardize(STUDENT), distill.standardize(TEACHER), temperature=3.0)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_excluded_classes_stay_excluded_and_count_for_neither_moment() -> None:
    padded = distill.standardize(distill.pad_vocabulary(STUDENT, K + 2))
    torch.testing.assert_close(padded, distill.pad_vocabulary(distill.standardize(STUDENT), K + 2), **CLOSE)
    alone = torch.tensor([[3.0, -torch.inf, -torch.inf]])
    assert distill.standardize(alone).tolist() == [[0.0, -torch.inf, -torch.inf]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: distill.standardized_kd_loss(STUDENT, TEACHER), ValueError, "labels: .* or label_weight=0"),
        (lambda: distill.standardize(STUDENT[:, :1]), ValueError, "logits: .* K >= 2"),
        (lambda: distill.standardize(STUDENT, eps=-1.0), ValueError, "eps: .* got -1"),
        (lambda: distill.standardize(LABELS), TypeError, "logits: a floating-point tensor"),
    ],
)
def test_what_is_refused(call: Callable[[], Tensor], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
