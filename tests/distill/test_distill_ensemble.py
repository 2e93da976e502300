"""Ensembles of teachers: slow loop, limits, excluded classes, and use as one teacher."""

from typing import Any

import pytest
import torch
from reference import distill as slow
from torch import Tensor

from softtargets import distill

M, N, K = 3, 5, 4
INF = torch.inf
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
MEMBERS = torch.randn(M, N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2
WEIGHTS = [1.0, 2.0, 5.0]
both = pytest.mark.parametrize("average", ["probs", "logits"])


@both
@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS, torch.tensor(WEIGHTS), [1, 2, 5]])
def test_agrees_with_the_slow_loop(average: Any, temperature: float, weights: Any) -> None:
    values = distill.ensemble(MEMBERS, weights=weights, average=average, temperature=temperature)
    used = [1.0] * M if weights is None else WEIGHTS
    for i in range(N):
        expected = slow.ensemble([MEMBERS[m, i].tolist() for m in range(M)], used, average, temperature)
        assert values[i].tolist() == pytest.approx(expected, abs=1e-12)
    listed = distill.ensemble(list(MEMBERS), weights=weights, average=average, temperature=temperature)
    assert torch.equal(listed, values)


@both
def test_one_member_and_equal_ones_are_that_member(average: Any) -> None:
    expected = (MEMBERS[1] / 2).log_softmax(-1)
    for members, weights in (
        (MEMBERS[1:2], None),
        ([MEMBERS[1]] * 3, WEIGHTS),
        (MEMBERS, [0.0, 4.0, 0.0]),
    ):
        values = distill.ensemble(members, weights=weights, average=average, temperature=2.0)
        torch.testing.assert_close(values, expected, **CLOSE)


@both
def test_it_is_a_teacher_whose_probabilities_at_its_temperature_are_the_average(average: Any) -> None:
    student = MEMBERS[0] + 1.0
    student[:, 0] -= 2.0
    log_probs = distill.ensemble(MEMBERS, average=average, temperature=2.0)
    # softened once by the ensemble, and again to the same by T times the result
    at_one = distill.kd_loss(student / 2, log_probs)
    at_two = distill.kd_loss(student, 2 * log_probs, temperature=2.0, scale="none")
    torch.testing.assert_close(at_one, at_two, **CLOSE)


def test_temperature_commutes_with_the_average_of_logits_alone() -> None:
    def hot_then_average(average: Any) -> Tensor:
        return distill.ensemble(MEMBERS, average=average, temperature=3.0)

    def average_then_hot(average: Any) -> Tensor:
        return (distill.ensemble(MEMBERS, average=average) / 3).log_softmax(-1)

    torch.testing.assert_close(hot_then_average("logits"), average_then_hot("logits"), **CLOSE)
    assert float((hot_then_average("probs") - average_then_hot("probs")).abs().max()) > 1e-2


def test_a_class_that_one_member_excludes_stays_in_the_mean_of_probabilities_alone() -> None:
    members = torch.tensor([[[0.0, 0.0, -INF]], [[0.0, 0.0, 0.0]]], dtype=torch.float64)
    probs = distill.ensemble(members).exp()
    torch.testing.assert_close(probs, torch.tensor([[5 / 12, 5 / 12, 1 / 6]], dtype=torch.float64), **CLOSE)
    geometric = distill.ensemble(members, average="logits").exp()
    torch.testing.assert_close(geometric, torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64), **CLOSE)
    unheard = distill.ensemble(members, average="logits", weights=[0.0, 1.0]).exp()
    torch.testing.assert_close(unheard, torch.full((1, 3), 1 / 3, dtype=torch.float64), **CLOSE)


@both
def test_improbable_classes_keep_their_log_probabilities(average: Any) -> None:
    members = torch.tensor([[[0.0, -1000.0]], [[0.0, -1000.0]]])
    assert distill.ensemble(members, average=average).tolist() == [[0.0, -1000.0]]


@both
def test_no_gradient_goes_to_the_members_and_half_precision_becomes_float32(average: Any) -> None:
    members = MEMBERS.bfloat16().requires_grad_()
    values = distill.ensemble(members, average=average)
    assert not values.requires_grad
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.double(), distill.ensemble(members.double(), average=average), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("members", "settings", "error", "message"),
    [
        ([], {}, ValueError, "logits: one member or more"),
        (MEMBERS[0, 0], {}, ValueError, r"logits: one member or more, .* got shape \(4,\)"),
        ([MEMBERS[0], MEMBERS[0, :2]], {}, ValueError, r"logits: one shape, \(5, 4\); got \(2, 4\)"),
        ([MEMBERS[0].long()], {}, TypeError, "logits: a floating-point tensor"),
        (MEMBERS, {"average": "prob"}, ValueError, "average: .* did you mean 'probs'"),
        (MEMBERS, {"weights": [1.0, 2.0]}, ValueError, r"weights: one number for each of 3 members; got shape \(2,\)"),
        (MEMBERS, {"weights": [1.0, -2.0, 1.0]}, ValueError, "weights: .* got -2 at member 1"),
        (MEMBERS, {"weights": [1.0, 1.0, float("nan")]}, ValueError, "weights: .* got nan at member 2"),
        (MEMBERS, {"weights": [0.0, 0.0, 0.0]}, ValueError, "weights: a weight above 0; got 0 for every member"),
    ],
)
def test_what_is_refused(members: Any, settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        distill.ensemble(members, **settings)
