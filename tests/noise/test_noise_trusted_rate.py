"""The noise rate from relabelled examples: by hand, and how often its interval covers the truth."""

import pytest
import torch

from benchmarks.simulated import seeded
from softtargets import noise
from softtargets._errors import InputError


def test_constant_probabilities_give_the_share_of_the_trusted_ones():
    found = noise.trusted_noise_rate(torch.full((1000,), 0.7), torch.arange(100), torch.arange(100) < 13)
    assert found.estimate == pytest.approx(0.13)
    # half width: 1.96 sqrt((100 * .13 * .87 + 2) / 100 * .9 / 100)
    assert found.high - found.estimate == pytest.approx(1.959964 * ((11.31 + 2) / 100 * 0.9 / 100) ** 0.5)
    assert (found.num_trusted, found.num_wrong) == (100, 13)
    assert isinstance(found, noise.TrustedNoiseRate)
    assert "13 of 100 wrong" in repr(found)


def test_probabilities_that_are_right_narrow_the_interval():
    wrong = torch.arange(2000) % 5 == 0
    rows = torch.randperm(2000, generator=seeded(0))[:200]
    blind = noise.trusted_noise_rate(torch.full((2000,), 0.5), rows, wrong[rows])
    seeing = noise.trusted_noise_rate(0.9 * wrong.double() + 0.05, rows, wrong[rows])
    assert seeing.estimate == pytest.approx(0.2, abs=0.01)
    assert seeing.high - seeing.low < 0.5 * (blind.high - blind.low)


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.15, 0.4])
@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_the_interval_covers_whether_or_not_the_probabilities_are_biased(rate, bias):
    generator, covered, runs = seeded(1), 0, 300
    for _ in range(runs):
        wrong = torch.rand(3000, generator=generator) < rate
        probability = (0.6 * wrong + bias * torch.rand(3000, generator=generator)).double()
        rows = torch.randperm(3000, generator=generator)[:150]
        found = noise.trusted_noise_rate(probability, rows, wrong[rows])
        covered += found.low <= float(wrong.double().mean()) <= found.high
    assert covered >= 0.92 * runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": torch.arange(19)}, "rows: at least 20 different rows"),
        ({"rows": torch.zeros(20, dtype=torch.int64)}, "rows: at least 20 different rows"),
        ({"rows": torch.arange(20) + 40}, "rows: "),
        ({"wrong": torch.ones(19, dtype=torch.bool)}, "wrong: bool, shape"),
        ({"wrong": torch.ones(20)}, "wrong: bool, shape"),
        ({"wrong_probability": torch.full((50,), 1.5)}, "wrong_probability: "),
        ({"wrong_probability": torch.ones(50, 1)}, "wrong_probability: shape"),
        ({"confidence": 1.0}, "confidence: "),
    ],
)
def test_errors_name_the_argument(arguments, message):
    valid = {"wrong_probability": torch.full((50,), 0.1), "rows": torch.arange(20), "wrong": torch.arange(20) < 2}
    with pytest.raises(InputError, match=message):
        noise.trusted_noise_rate(**{**valid, **arguments})
