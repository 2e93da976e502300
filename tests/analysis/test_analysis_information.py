"""Mutual information: cases of known value, the corrected formula in a slow loop, bounds, intervals and no scatter."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from softtargets.analysis import MutualInformation, mutual_information


def _exact(means: Tensor) -> float:
    """The model's information at these very means and a deviation of 1: two draws with that mean and variance."""
    means = means.double()
    return mutual_information(torch.stack([means - 0.5**0.5, means + 0.5**0.5], 1)).uncorrected


def _random(means: Tensor, draws: int, seed: int) -> MutualInformation:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(means), draws, dtype=torch.float64, generator=generator)
    return mutual_information(means.double()[:, None] + noise)


def _normal(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize("distance", [0.01, 0.5, 1, 2, 3, 4, 5, 6.8, 8, 10, 20, 100])
def test_two_normals_at_a_distance(distance: float) -> None:
    """The integral of the binary-input Gaussian channel: log 2 - E[log(1 + exp(-d^2 / 2 - d Z))]."""

    def integrand(z: float) -> float:
        exponent = -distance * distance / 2 - distance * z
        return _normal(z) * (max(exponent, 0) + math.log1p(math.exp(-abs(exponent))))

    lost, error = quad(integrand, -12, 12, epsabs=1e-12, limit=500, points=[max(-distance / 2, -11.0)])
    assert error < 1e-10
    assert _exact(torch.tensor([0.0, distance])) == pytest.approx(math.log(2) - lost, abs=1e-8)


def test_many_means_by_integrating_the_mixture() -> None:
    """Entropy of the mixture less that of the normal, on an interval beyond which less than 1e-15 lies."""
    means = torch.randn(12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    centres = means.tolist()

    def entropy(y: float) -> float:
        density = sum(_normal(y - m) for m in centres) / 12
        return -density * math.log(density)

    low, high = min(centres) - 10, max(centres) + 10
    whole, error = quad(entropy, low, high, epsabs=1e-12, limit=500, points=sorted(centres))
    assert error < 1e-9
    assert _exact(means) == pytest.approx(whole - 0.5 * math.log(2 * math.pi * math.e), abs=1e-8)


@pytest.mark.parametrize("signal", [0.2, 1.0, 4.0])
def test_normal_means_give_the_capacity_of_the_gaussian_channel(signal: float) -> None:
    quantiles = torch.special.ndtri((torch.arange(300, dtype=torch.float64) + 0.5) / 300)
    means = quantiles * math.sqrt(signal) / quantiles.square().mean().sqrt()
    assert _exact(means) == pytest.approx(0.5 * math.log1p(signal), abs=1e-3)


def test_the_ends() -> None:
    assert _exact(torch.zeros(50)) == pytest.approx(0, abs=1e-13)
    assert _exact(torch.arange(50) * 60.0) == math.log(50)
    assert _exact(torch.tensor([-40.0, 40.0]).repeat(300)) == pytest.approx(math.log(2), abs=1e-12)


def test_differences_that_lie_further_apart_than_a_number_reaches() -> None:
    draws = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    far = draws / draws.abs().max() * 1.7e308
    assert mutual_information(far).uncorrected == pytest.approx(mutual_information(draws).uncorrected, abs=1e-12)
    assert mutual_information(draws).uncorrected > 0.05


def test_the_mended_formula_in_a_slow_loop() -> None:
    draws = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    draws = draws + torch.tensor([0.0, 0, 1, 3, 3, 8, 9])[:, None]
    rows = draws.tolist()
    means = [sum(row) / 5 for row in rows]
    variance = sum((y - m) ** 2 for row, m in zip(rows, means, strict=True) for y in row) / (7 * 4)
    total = 0.0
    for row, own in zip(rows, means, strict=True):
        for y in row:
            mixture = sum(math.exp(-((y - m) ** 2) / (2 * variance)) for m in means)
            total += math.log(7) - (y - own) ** 2 / (2 * variance) - math.log(mixture)
    found = mutual_information(draws)
    assert found.sampled == pytest.approx(total / 35, abs=1e-13)
    assert found.ceiling == math.log(7)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1.0, 1e6, 1e250])
@pytest.mark.parametrize("draws", [2, 3, 10])
def test_always_between_0_and_log_n(scale: float, draws: int) -> None:
    generator = torch.Generator().manual_seed(draws)
    for spread in (0.0, 0.3, 3.0, 1e6):
        means = spread * torch.randn(9, 1, dtype=torch.float64, generator=generator)
        noise = torch.randn(9, draws, dtype=torch.float64, generator=generator)
        found = mutual_information(scale * (means + noise.pow(3)))  # heavy tails, far from normal
        assert 0 <= found.low <= found.value <= found.high <= found.ceiling
        assert 0 <= found.uncorrected <= found.ceiling
        assert found.sampled <= found.ceiling + 1e-12
        assert math.isfinite(found.standard_error)


def test_shift_scale_order_and_sign_change_nothing() -> None:
    draws = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    draws = draws + 0.8 * torch.arange(8)[:, None]
    expected = vars(mutual_information(draws))
    for other in (draws * 7, draws - 3, -draws, draws.flip(0), draws.flip(1)):
        assert vars(mutual_information(other)) == pytest.approx(expected, abs=1e-12)


def test_without_scatter_it_is_the_entropy_of_equal_differences() -> None:
    """Also where a mean of equal floats rounds: 0.1 + 0.1 + 0.1 is no 3 * 0.1."""
    draws = torch.tensor([0.1, 0.1, 0.3, 0.7], dtype=torch.float64)[:, None].expand(4, 7)
    found = mutual_information(draws)
    entropy = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
    assert found.value == found.uncorrected == pytest.approx(entropy)
    assert found.sampled == pytest.approx(entropy)
    assert found.standard_error == 0
    assert mutual_information(torch.ones(5, 3)).value == pytest.approx(0, abs=1e-15)
    assert mutual_information(torch.arange(5.0)[:, None].expand(5, 3)).value == math.log(5)


def test_a_scatter_of_rounding_size_is_as_good_as_none() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.arange(5.0)[:, None] + 1e-9 * torch.randn(5, 4, dtype=torch.float64, generator=generator)
    found = mutual_information(draws)
    assert found.value == pytest.approx(math.log(5), abs=1e-13)
    assert found.standard_error == pytest.approx(0, abs=1e-6)


def test_few_draws_look_like_information_and_the_correction_takes_it_off() -> None:
    found = _random(torch.zeros(300), 5, seed=0)
    assert found.uncorrected == pytest.approx(0.5 * math.log(1 + 1 / 5), abs=0.03)
    assert found.sampled > 0.07
    assert found.value < 0.03
    assert found.low == 0
    many = _random(torch.zeros(300), 100, seed=0)
    assert many.uncorrected == pytest.approx(0.5 / 100, abs=0.002)


CASES = {
    "one cluster": torch.zeros(40),
    "two near": torch.tensor([0.0, 1.0]).repeat(20),
    "two": torch.tensor([0.0, 3.0]).repeat(20),
    "two far": torch.tensor([0.0, 40.0]).repeat(20),
    "many": 0.5 * torch.arange(40),
}


@pytest.mark.parametrize("name", CASES)
def test_intervals_hold_the_true_value_and_corrected_values_centre_on_it(name: str) -> None:
    means = CASES[name]
    truth = _exact(means)
    found = [_random(means, 20, seed) for seed in range(60)]
    # of 60 intervals at 95 %, fewer than 50 hold it once in 1,000 times
    assert sum(f.low - 1e-9 <= truth <= f.high + 1e-9 for f in found) >= 50
    values = torch.tensor([f.value for f in found], dtype=torch.float64)
    assert abs(float(values.mean()) - truth) < 0.006
    assert abs(sum(f.sampled for f in found) / 60 - truth) > abs(float(values.mean()) - truth)
    # values cut at 0 scatter less
    assert float(values.std()) < 1.4 * sum(f.standard_error for f in found) / 60


def test_confidence_widens() -> None:
    draws = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    draws = draws + torch.arange(20)[:, None]
    found = mutual_information(draws, confidence=0.6827)
    assert found.high - found.value == pytest.approx(found.standard_error, rel=1e-4)
    assert found.value - found.low == pytest.approx(found.standard_error, rel=1e-4)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = torch.randn(23, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2
    expected = vars(mutual_information(draws))
    monkeypatch.setattr("softtargets.analysis._information._NUMBERS", 1)
    assert vars(mutual_information(draws)) == pytest.approx(expected, abs=1e-13)


def test_half_precision_counts_as_what_it_holds() -> None:
    draws = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert mutual_information(draws) == mutual_information(draws.double())


def test_errors() -> None:
    for shape in ((5,), (1, 5), (5, 1)):
        with pytest.raises(ValueError, match=r"differences: shape \(N, S\), N >= 2 examples and S >= 2 augmentations"):
            mutual_information(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"differences: finite numbers; got inf at index \(1, 0\)"):
        mutual_information(torch.tensor([[0.0, 1.0], [float("inf"), 1.0]]))
    with pytest.raises(ValueError, match=r"confidence: in \[0.5, 0.999\]; got 1"):
        mutual_information(torch.zeros(2, 2), confidence=1.0)
    with pytest.raises(TypeError, match="differences: a floating-point tensor"):
        mutual_information(torch.zeros(2, 2, dtype=torch.int64))
