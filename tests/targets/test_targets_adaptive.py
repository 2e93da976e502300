"""Schedules, and smoothing that depends on confidence or margin."""

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch

from softtargets import targets
from softtargets.targets import LinearSchedule, SigmoidSchedule

PROBS = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.2, 0.6], [1.0, 0.0, 0.0]], dtype=torch.float64)
LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 3.0, 1.0], [1.0, 1.0, 0.0], [30.0, 0.0, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2, 0, 0])


def test_a_ramp_is_linear_between_its_epochs() -> None:
    ramp = LinearSchedule(0.1, 0.2, begin=2, until=6)
    assert [ramp(epoch) for epoch in range(8)] == pytest.approx([0.1, 0.1, 0.1, 0.125, 0.15, 0.175, 0.2, 0.2])
    assert ramp(2.5) == pytest.approx(0.1125)
    down = LinearSchedule(1.0, 0.0, begin=0, until=4)
    assert [down(epoch) for epoch in range(5)] == [1, 0.75, 0.5, 0.25, 0]


def test_the_ends_are_exact() -> None:
    ramp = LinearSchedule(0.1, 0.3, begin=10, until=40)
    assert {ramp(epoch) for epoch in (-1, 0, 10)} == {0.1}
    assert {ramp(epoch) for epoch in (40, 41, 1000)} == {0.3}
    step = LinearSchedule(0.0, 1.0, begin=3, until=3)
    assert [step(epoch) for epoch in (2, 3, 4)] == [0, 1, 1]


def test_a_ramp_has_no_state() -> None:
    ramp = LinearSchedule(0.1, 0.2, begin=0, until=1)
    assert ramp == LinearSchedule(0.1, 0.2, begin=0, until=1)
    with pytest.raises(FrozenInstanceError):
        ramp.start = 0.5  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="until: at least begin, 3; got 2; swap begin and until"):
        LinearSchedule(0.0, 1.0, begin=3, until=2)


def test_a_ramp_smooths() -> None:
    ramp = LinearSchedule(0.0, 0.3, begin=0, until=10)
    assert targets.smooth(LABELS, ramp(5)).to_dense(3)[0].tolist() == pytest.approx([0.9, 0.05, 0.05])


def test_a_schedule_in_fractions_refuses_epochs() -> None:
    schedule = LinearSchedule(0.1, 0.2, begin=0.25, until=0.75, unit="fraction")
    assert [schedule(now) for now in (0, 0.25, 0.5, 1)] == pytest.approx([0.1, 0.1, 0.15, 0.2])
    with pytest.raises(ValueError, match=r"^now: a fraction of the training, in \[0, 1\]; got 5; divide the epoch by"):
        schedule(5)
    with pytest.raises(ValueError, match=r"^until: a fraction of the training, in \[0, 1\]; got 40; "):
        LinearSchedule(0.1, 0.2, begin=0.25, until=40, unit="fraction")


def test_a_maximum_per_example_is_one_number_each() -> None:
    maximum = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    rates = targets.smoothing_from_confidence(PROBS, maximum=maximum)
    torch.testing.assert_close(rates, maximum * targets.smoothing_from_confidence(PROBS, maximum=1.0))
    rates = targets.smoothing_from_margin(LOGITS, maximum=maximum, margin=10.0)
    torch.testing.assert_close(rates, maximum * targets.smoothing_from_margin(LOGITS, maximum=1.0, margin=10.0))
    for call in (
        lambda: targets.smoothing_from_confidence(PROBS, maximum=maximum[:, None]),
        lambda: targets.smoothing_from_margin(LOGITS, maximum=maximum[:, None], margin=10.0),
    ):
        message = r"^maximum: a number or shape \(4,\), one per example; got shape \(4, 1\); use maximum.squeeze"
        with pytest.raises(ValueError, match=message):
            call()


def test_smoothing_follows_the_confidence() -> None:
    rates = targets.smoothing_from_confidence(PROBS, maximum=0.3)
    assert rates.tolist() == pytest.approx([0.3 * (p - 1 / 3) * 1.5 for p in (0.7, 0.6, 0.6, 1.0)], abs=1e-15)
    of_labels = targets.smoothing_from_confidence(PROBS, maximum=0.3, labels=LABELS)
    assert of_labels.tolist() == pytest.approx([0.3 * 0.55, 0.3 * 0.4, 0, 0.3], abs=1e-15)
    made = targets.smooth(LABELS, of_labels)
    assert made.to_dense(3)[3].tolist() == pytest.approx([0.8, 0.1, 0.1])


def test_the_uniform_is_not_smoothed_and_the_certain_fully() -> None:
    uniform = torch.full((2, 4), 0.25)
    assert targets.smoothing_from_confidence(uniform, maximum=0.5).tolist() == [0, 0]
    assert targets.smoothing_from_confidence(torch.eye(4)[:2], maximum=0.5).tolist() == [0.5, 0.5]


def test_smoothing_follows_the_margin() -> None:
    rates = targets.smoothing_from_margin(LOGITS, maximum=0.2, margin=10.0)
    assert rates.tolist() == pytest.approx([0.03, 0.04, 0, 0.2])
    of_labels = targets.smoothing_from_margin(LOGITS, maximum=0.2, margin=10.0, labels=LABELS)
    assert of_labels.tolist() == pytest.approx([0.03, 0, 0, 0.2])
    torch.testing.assert_close(
        targets.smoothing_from_margin(LOGITS + 100, maximum=0.2, margin=10.0), rates, rtol=0, atol=1e-12
    )


def test_a_tie_or_a_label_behind_gives_0_and_the_margin_the_maximum() -> None:
    logits = torch.tensor([[1.0, 1.0], [0.0, 5.0], [4.0, 0.0], [9.0, 0.0]])
    rates = targets.smoothing_from_margin(logits, maximum=0.5, margin=4.0, labels=torch.tensor([0, 0, 0, 0]))
    assert rates.tolist() == [0, 0, 0.5, 0.5]


def test_masked_logits_are_no_rivals() -> None:
    logits = torch.tensor([[1.0, 0.0, -torch.inf], [1.0, -torch.inf, -torch.inf]])
    assert targets.smoothing_from_margin(logits, maximum=1.0, margin=2.0).tolist() == [0.5, 1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_any_shape_and_precision_without_gradient(dtype: torch.dtype) -> None:
    probs, logits = PROBS.to(dtype).reshape(2, 2, 3), LOGITS.to(dtype).reshape(2, 2, 3)
    for scores in (probs, logits):
        scores.requires_grad_()
    a = targets.smoothing_from_confidence(probs, maximum=0.3, labels=LABELS.view(2, 2))
    b = targets.smoothing_from_margin(logits, maximum=0.3, margin=1.0, labels=LABELS.view(2, 2))
    for rates in (a, b):
        assert rates.shape == (2, 2)
        assert rates.dtype == torch.float32
        assert not rates.requires_grad
        assert bool(((rates >= 0) & (rates <= 0.3)).all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: targets.smoothing_from_confidence(LOGITS, maximum=0.3),
            r"probs: probabilities that sum to 1; got 1.5 at row 0; use logits.softmax\(-1\)",
        ),
        (lambda: targets.smoothing_from_confidence(PROBS, maximum=1.3), r"maximum: in \[0, 1\]; got 1.3"),
        (
            lambda: targets.smoothing_from_confidence(PROBS, maximum=0.3, labels=LABELS[:2]),
            r"labels: shape \(4,\); got \(2,\)",
        ),
        (lambda: targets.smoothing_from_confidence(PROBS[:, :1], maximum=0.3), r"probs: shape \(..., K\) with K >= 2"),
        (
            lambda: targets.smoothing_from_margin(LOGITS, maximum=0.3, margin=0.0),
            "margin: a finite number above 0; got 0",
        ),
        (
            lambda: targets.smoothing_from_margin(LOGITS[:, :2], maximum=0.3, margin=1.0, labels=LABELS),
            "labels: .* below 2.*; got 2 at row 1",
        ),
        (lambda: targets.smoothing_from_margin(LABELS, maximum=0.3, margin=1.0), "logits: a floating-point tensor"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_the_sigmoid_ramp_is_that_of_laine_and_aila() -> None:
    """Their code: exp(-5 p^2) with p = 1 - epoch / length, for epochs from 0 to the length; the weight starts at 0."""
    schedule = SigmoidSchedule(0.0, 30.0, begin=0, until=80)
    for epoch in range(1, 120):
        p = 1 - max(0.0, epoch) / 80
        expected = 30 * math.exp(-p * p * 5) if epoch < 80 else 30.0
        assert schedule(epoch) == pytest.approx(expected, rel=1e-12)
    assert schedule(0) == 0
    down = SigmoidSchedule(2.0, 1.0, begin=0.25, until=0.75, unit="fraction")
    assert [down(0.25), down(0.5), down(0.75)] == pytest.approx([2.0, 2 - math.exp(-1.25), 1.0])


def test_a_sigmoid_ramp_checks_what_a_linear_one_does() -> None:
    assert SigmoidSchedule(0.0, 1.0, 0, 1) != LinearSchedule(0.0, 1.0, 0, 1)
    with pytest.raises(ValueError, match="until: at least begin, 3"):
        SigmoidSchedule(0.0, 1.0, begin=3, until=2)
    with pytest.raises(ValueError, match="now: a fraction of the training"):
        SigmoidSchedule(0.0, 1.0, begin=0, until=1, unit="fraction")(1.5)
