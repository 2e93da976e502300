"""DisturbLabel: random labels whose expectation is label smoothing."""

import itertools
from typing import Any

import pytest
import torch

from softtargets import losses, noise, targets

LABELS = torch.tensor([2, 0, 1])


def test_trap_42_the_number_of_classes_is_recorded() -> None:
    made = targets.disturb_labels(LABELS, 0.5, num_classes=3)
    assert made.num_classes == 3
    with pytest.raises(ValueError, match="targets: 5 classes, as the logits; got 3"):
        losses.cross_entropy(torch.zeros(3, 5), made)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_expectation_is_label_smoothing_outcome_by_outcome(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    mean = torch.zeros(3, 3, dtype=torch.float64)
    for redrawn, other in itertools.product((False, True), range(3)):
        # a draw below the rate redraws: 0 always does where anything may, 1 never
        monkeypatch.setattr(torch, "rand", lambda *shape, r=redrawn, **_: torch.full(shape[0], 0.0 if r else 1.0))
        monkeypatch.setattr(torch, "randint", lambda _, shape, o=other, **__: torch.full(shape, o))
        chance = (rate if redrawn else 1 - rate) / 3
        if chance:
            mean += chance * targets.disturb_labels(LABELS, rate, num_classes=3).to_dense(3)
    torch.testing.assert_close(mean, targets.smooth(LABELS, rate).to_dense(3), rtol=0, atol=1e-15)


def test_the_draws_have_the_rates_of_inclusive_noise() -> None:
    number, rate = 60_000, 0.3
    labels = torch.arange(number) % 4
    drawn = targets.disturb_labels(labels, rate, num_classes=4, generator=torch.Generator().manual_seed(0)).to_dense(4)
    transition = noise.symmetric(rate, 4, inclusive=True).to_dense()
    for label in range(4):
        mean, expected = drawn[labels == label].mean(0), transition[label]
        deviation = (expected * (1 - expected) / (number / 4)).sqrt()
        assert bool(((mean - expected).abs() < 5 * deviation).all())


def test_the_gradient_is_that_of_label_smoothing_in_expectation() -> None:
    number = 40_000
    z = torch.tensor([[1.0, -0.5, 0.3]], dtype=torch.float64, requires_grad=True)
    labels = torch.zeros(number, dtype=torch.int64)
    drawn = targets.disturb_labels(labels, 0.4, num_classes=3, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(losses.cross_entropy(z.expand(number, 3), drawn).mean(), z)
    (expected,) = torch.autograd.grad(losses.cross_entropy(z, targets.smooth(labels[:1], 0.4)).mean(), z)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0.015)


def test_every_call_draws_anew_from_the_generator_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(50, dtype=torch.int64)
    first, second = (targets.disturb_labels(labels, 0.5, num_classes=5, generator=generator).labels for _ in range(2))
    again = targets.disturb_labels(labels, 0.5, num_classes=5, generator=torch.Generator().manual_seed(0)).labels
    assert first is not None
    assert second is not None
    assert again is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert labels.tolist() == [0] * 50, "the labels are left alone"


def test_a_rate_for_every_example_in_any_shape() -> None:
    rates = torch.zeros(100, 2)
    rates[:, 1] = 1
    drawn = targets.disturb_labels(torch.zeros(100, 2).long(), rates, num_classes=3).labels
    assert drawn is not None
    assert drawn.shape == (100, 2)
    assert drawn[:, 0].tolist() == [0] * 100
    assert set(drawn[:, 1].tolist()) == {0, 1, 2}


def test_no_disturbance_is_hard() -> None:
    made = targets.disturb_labels(LABELS, 0.0, num_classes=3)
    assert torch.equal(made.to_dense(3), targets.hard(LABELS).to_dense(3))
    assert made.labels is not None
    assert torch.equal(made.labels, LABELS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: targets.disturb_labels(LABELS, 1.5, num_classes=3), r"rate: in \[0, 1\]; got 1.5"),
        (lambda: targets.disturb_labels(LABELS, torch.zeros(2), num_classes=3), r"rate: a number or shape \(3,\)"),
        (lambda: targets.disturb_labels(LABELS, 0.1, num_classes=2), "labels: .* below 2.*; got 2 at row 0"),
        (lambda: targets.disturb_labels(LABELS, 0.1, num_classes=1), "num_classes: at least 2; got 1"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
