"""Transitions by name."""

import pytest
import torch
from reference import losses as reference

from softtargets import noise


@pytest.mark.parametrize("num_classes", [2, 3, 10, 97])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0])
def test_exclusive_noise_flips_to_the_others_alike(rate: float, num_classes: int) -> None:
    made = noise.symmetric(rate, num_classes)
    expected = torch.tensor(reference.symmetric_transition(rate, num_classes), dtype=torch.float64)
    torch.testing.assert_close(made.to_dense(), expected, rtol=0, atol=1e-15)
    assert float(made.noise_rate()) == pytest.approx(rate, abs=1e-14)
    noise.Transition.wrap(made.to_dense())  # is accepted where it came from


def test_trap_22_inclusive_and_exclusive_are_said_and_the_rate_is_what_it_is() -> None:
    exclusive, inclusive = noise.symmetric(0.5, 10), noise.symmetric(0.5, 10, inclusive=True)
    assert float(exclusive.noise_rate()) == pytest.approx(0.5)
    assert float(inclusive.noise_rate()) == pytest.approx(0.45)
    assert exclusive.redraw == pytest.approx(0.5 * 10 / 9)
    assert inclusive.redraw == 0.5
    same = noise.symmetric(0.5 * 9 / 10, 10)
    torch.testing.assert_close(same.to_dense(), inclusive.to_dense(), rtol=0, atol=1e-15)


def test_limits() -> None:
    assert torch.equal(noise.symmetric(0, 3).to_dense(), torch.eye(3, dtype=torch.float64))
    nothing = noise.symmetric(1.0, 4, inclusive=True).to_dense()
    torch.testing.assert_close(nothing, torch.full((4, 4), 0.25, dtype=torch.float64))


def test_the_rate_under_a_class_prior() -> None:
    pair = torch.tensor([[0.6, 0.4], [0.0, 1.0]])
    assert float(noise.Transition.wrap(pair).noise_rate()) == pytest.approx(0.2)
    weighted = noise.Transition.wrap(pair).noise_rate(torch.tensor([0.9, 0.1]))
    assert float(weighted) == pytest.approx(0.36)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), torch.tensor(2.0)])
def test_a_rate_is_a_fraction(rate: float, inclusive: bool) -> None:
    with pytest.raises(ValueError, match=r"rate: in \[0, 1\]; got (-0.1|1.1|nan|2); choose a value between 0 and 1"):
        noise.symmetric(rate, 3, inclusive=inclusive)


def test_classes() -> None:
    with pytest.raises(ValueError, match="num_classes: at least 2; got 1; a classifier needs two classes or more"):
        noise.symmetric(0.1, 1)
    with pytest.raises(TypeError, match=r"num_classes: an int of at least 2; got 3.0"):
        noise.symmetric(0.1, 3.0)  # pyright: ignore[reportArgumentType]
