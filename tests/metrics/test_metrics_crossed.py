"""The mean over seeds and examples: by hand, special cases, errors, and the coverage of its intervals."""

import math

import pytest
import torch

from softtargets.metrics.crossed import crossed_mean

REPLICATES = 500


def test_mean_squares_by_hand():
    found = crossed_mean(torch.tensor([[0.0, 1.0, 2.0], [4.0, 3.0, 5.0]]))
    # rows 1 and 4, columns 2, 2 and 3.5, all 2.5; A = 3 * 4.5, B = 2 * 1.5 / 2, R = 1 / 2 * sum of rest^2
    rest = [-0.5, 0.5, 0.0, 0.5, -0.5, 0.0]
    mean_squares = 13.5, 1.5, sum(value**2 for value in rest) / 2
    total = mean_squares[0] + mean_squares[1] - mean_squares[2]
    assert found.mean == 2.5
    assert found.standard_error == pytest.approx(math.sqrt(total / 6))
    spread = mean_squares[0] ** 2 + mean_squares[1] ** 2 / 2 + mean_squares[2] ** 2 / 2
    assert found.freedom == pytest.approx(max(total**2 / spread, 1.0))


def test_values_that_do_not_depend_on_the_seed_have_the_error_of_a_mean_over_examples():
    examples = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = crossed_mean(examples.expand(3, 50))
    assert found.standard_error == pytest.approx(float(examples.std()) / math.sqrt(50))
    assert found.freedom == pytest.approx(49)


def test_values_that_do_not_depend_on_the_example_have_the_error_of_a_mean_over_seeds():
    seeds = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    found = crossed_mean(seeds[:, None].expand(3, 40))
    assert found.standard_error == pytest.approx(float(seeds.std()) / math.sqrt(3))
    assert found.freedom == pytest.approx(2)


def test_equal_methods_have_no_difference():
    found = crossed_mean(torch.zeros(3, 20))
    assert (found.mean, found.standard_error, found.p_value()) == (0.0, 0.0, 1.0)
    assert found.interval(0.05) == (0.0, 0.0)


def test_the_interval_excludes_zero_exactly_if_the_p_value_is_below_the_level():
    draws = torch.randn(4, 30, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.25
    found = crossed_mean(draws)
    p_value = found.p_value()
    assert found.interval(p_value * 1.01)[0] > 0 > found.interval(p_value * 0.99)[0]


@pytest.mark.parametrize(
    ("values", "error", "named"),
    [
        (torch.zeros(1, 5), ValueError, "2 seeds"),
        (torch.zeros(5), ValueError, "2 seeds"),
        (torch.zeros(2, 1), ValueError, "2 examples"),
        (torch.tensor([[0.0, math.nan], [0.0, 0.0]]), ValueError, "finite"),
        (torch.zeros(2, 5, dtype=torch.int64), TypeError, "int64"),
        ([[0.0, 1.0], [1.0, 2.0]], TypeError, "list"),
    ],
)
def test_bad_values_are_named(values, error, named):
    with pytest.raises(error, match=named):
        crossed_mean(values)


def _covered(seeds: int, examples: int, effects: tuple[float, float, float], *, discrete: bool) -> float:
    """Return how often the 95 % interval holds the true mean, 0."""
    generator = torch.Generator().manual_seed(seeds * examples)
    of_seed, of_example, rest = effects

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    hits = 0
    for _ in range(REPLICATES):
        values = of_seed * drawn(seeds, 1) + of_example * drawn(1, examples) + rest * drawn(seeds, examples)
        if discrete:
            # right minus wrong of two methods: -1, 0 or 1
            values = (values > 1.5).double() - (values < -1.5).double()
        low, high = crossed_mean(values).interval(0.05)
        hits += low <= 0 <= high
    return hits / REPLICATES


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(
    ("examples", "effects", "discrete"),
    [
        (300, (0.01, 0.0, 0.1), False),  # seeds have most of the variance of the mean
        (300, (0.0, 0.2, 0.1), False),
        (300, (0.0, 0.0, 0.3), False),
        (2000, (0.01, 0.4, 0.5), False),  # seeds and examples have equal parts
        (300, (0.1, 0.6, 0.8), True),
        (1000, (0.05, 0.6, 0.8), True),
    ],
)
def test_intervals_cover_with_few_seeds(seeds, examples, effects, discrete):
    assert _covered(seeds, examples, effects, discrete=discrete) >= 0.93


def test_an_error_over_the_seeds_alone_would_not_cover_new_examples():
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(200):
        values = 0.2 * torch.randn(1, 300, generator=generator) + 0.05 * torch.randn(5, 300, generator=generator)
        means = values.mean(1)
        hits += abs(float(means.mean())) <= 2.776 * float(means.std()) / math.sqrt(5)
    assert hits / 200 < 0.5
