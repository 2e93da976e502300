"""Equivalent smoothing: slow loop, limits, masks and errors."""

import math
from typing import Any

import pytest
import torch
from reference import distill as slow

from softtargets import distill, targets

N, K = 6, 5
LABELS = torch.tensor([2, 0, 3, 1, 4, 0])
MASK = torch.tensor([True, False, True, True, False, True])
TEACHER = torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_agrees_with_the_slow_loop(temperature: float) -> None:
    expected = slow.equivalent_smoothing(TEACHER.tolist(), LABELS.tolist(), temperature)
    found = distill.equivalent_smoothing(TEACHER, LABELS, temperature=temperature)
    assert found.shape == ()
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(expected, abs=1e-14)
    halves = TEACHER.reshape(2, 3, K), LABELS.reshape(2, 3)
    assert float(distill.equivalent_smoothing(*halves, temperature=temperature)) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("smoothing", [0.1, 0.6, 1.0])
def test_smoothed_targets_give_their_smoothing(smoothing: float) -> None:
    probs = targets.smooth(LABELS, torch.tensor(smoothing, dtype=torch.float64)).to_dense(K)
    assert float(distill.equivalent_smoothing(probs.log(), LABELS)) == pytest.approx(smoothing, abs=1e-12)


def test_it_goes_from_0_to_1_with_the_temperature_of_a_teacher_that_is_right() -> None:
    sure = 50.0 * torch.nn.functional.one_hot(LABELS, K).double()
    found = [float(distill.equivalent_smoothing(sure, LABELS, temperature=t)) for t in (1.0, 8.0, 16.0, 1e6)]
    assert found == sorted(found)
    # too small for 1 - p
    assert found[0] == pytest.approx(K * math.exp(-50.0), rel=1e-12, abs=0)
    assert found[-1] == pytest.approx(1.0, abs=1e-4)
    wrong = distill.equivalent_smoothing(sure, (LABELS + 1) % K)
    assert float(wrong) == pytest.approx(K / (K - 1), abs=1e-12)


def test_rows_that_do_not_count_have_no_part() -> None:
    teacher = TEACHER.clone()
    teacher[~MASK] = math.nan
    found = distill.equivalent_smoothing(teacher, LABELS.masked_fill(~MASK, -100), mask=MASK)
    assert float(found) == pytest.approx(float(distill.equivalent_smoothing(TEACHER[MASK], LABELS[MASK])), abs=1e-14)


def test_half_precision_and_gradients() -> None:
    half = TEACHER.bfloat16().requires_grad_()
    found = distill.equivalent_smoothing(half, LABELS)
    assert not found.requires_grad
    assert float(found) == pytest.approx(float(distill.equivalent_smoothing(half.double(), LABELS)), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((TEACHER.long(), LABELS), {}, TypeError, "teacher_logits: a floating-point tensor"),
        ((TEACHER, LABELS + 1), {}, ValueError, "labels: .* below 5.* got 5 at row 4"),
        ((TEACHER, LABELS[:2]), {}, ValueError, r"labels: shape \(6,\)"),
        ((TEACHER, LABELS), {"mask": MASK[:2]}, ValueError, r"mask: shape \(6,\)"),
        (
            (TEACHER, LABELS),
            {"mask": torch.zeros(N, dtype=torch.bool)},
            ValueError,
            "labels: at least one example that is not left out",
        ),
        ((TEACHER[:0], LABELS[:0]), {}, ValueError, "labels: at least one example that is not left out; got none"),
    ],
)
def test_what_is_refused(arguments: Any, settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        distill.equivalent_smoothing(*arguments, **settings)
