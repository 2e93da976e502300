"""The power of paired t intervals, against scipy's noncentral t and against simulated studies."""

import math

import numpy as np
import pytest
from scipy import stats

from softtargets.metrics.power import decision_power, pairs_needed, smallest_distance, upper_deviation
from softtargets.metrics.statistics import paired_t

DRAWS = 4000


def _within(share: float, expected: float, draws: int = DRAWS) -> bool:
    """Whether a simulated share agrees with a probability up to four standard errors."""
    return abs(share - expected) < 4 * math.sqrt(max(expected * (1 - expected), 1 / draws) / draws)


@pytest.mark.parametrize("n", [2, 3, 5, 20, 200])
@pytest.mark.parametrize("distance", [0.0, 0.1, 1.0, 5.0, 60.0])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_with_one_boundary_it_is_the_tail_of_the_noncentral_t_distribution(
    n: int, distance: float, level: float
) -> None:
    expected = stats.nct.sf(stats.t.isf(level / 2, n - 1), n - 1, distance * math.sqrt(n))
    for sign in (-1, 1):
        assert decision_power(0.3 + 2.0 * sign * distance, (0.3,), 2.0, n, level) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("expected", "boundaries"), [(0.4, (0.0,)), (-0.2, (0.5,)), (0.1, (-0.8, 0.8)), (1.1, (-0.5, 0.5))]
)
@pytest.mark.parametrize("n", [3, 8])
def test_simulated_intervals_lie_beside_the_boundaries_as_often_as_the_formula_says(expected, boundaries, n) -> None:
    draws = np.random.default_rng(n).normal(expected, 0.6, size=(DRAWS, n))
    decided = 0
    for row in draws:
        low, high = paired_t(float(row.mean()), float(row.std(ddof=1)) / math.sqrt(n), n, 0.05)
        if len(boundaries) == 2 and boundaries[0] < expected < boundaries[1]:
            decided += boundaries[0] < low and high < boundaries[1]
        else:
            nearest = min(boundaries, key=lambda b: abs(expected - b))
            decided += low > nearest if expected > nearest else high < nearest
    assert _within(decided / DRAWS, decision_power(expected, boundaries, 0.6, n, 0.05))


def test_the_upper_limit_covers_the_true_deviation_as_often_as_it_says() -> None:
    for n, confidence in ((2, 0.8), (4, 0.8), (4, 0.95)):
        observed = np.random.default_rng(n).normal(size=(DRAWS, n)).std(axis=1, ddof=1)
        share = float(np.mean([upper_deviation(float(sd), n, confidence) >= 1.0 for sd in observed]))
        assert _within(share, confidence)


def test_seeds_planned_from_a_pilot_reach_the_power_in_four_of_five_studies() -> None:
    """With the observed deviation of four pilot seeds in place of its upper limit it is less than half of them."""
    pilots = np.random.default_rng(3).normal(size=(300, 4)).std(axis=1, ddof=1)

    def reached(limit) -> float:
        needed = [pairs_needed(0.8, (0.0,), limit(float(sd)), 0.05) for sd in pilots]
        return float(np.mean([n is None or decision_power(0.8, (0.0,), 1.0, n, 0.05) >= 0.8 for n in needed]))

    assert _within(reached(lambda sd: upper_deviation(sd, 4)), 0.8, 300)
    assert reached(lambda sd: sd) < 0.5


def test_the_number_of_pairs_is_the_smallest_one() -> None:
    for expected, boundaries in ((0.5, (0.0,)), (0.0, (-0.5, 0.5)), (2.0, (-0.5, 0.5))):
        n = pairs_needed(expected, boundaries, 1.0, 0.01)
        assert n is not None
        assert decision_power(expected, boundaries, 1.0, n, 0.01) >= 0.8
        assert n == 2 or decision_power(expected, boundaries, 1.0, n - 1, 0.01) < 0.8


def test_nothing_decides_an_expectation_on_the_boundary_and_no_number_beyond_the_limit_is_returned() -> None:
    assert pairs_needed(0.1, (0.1,), 1.0, 0.05) is None
    assert pairs_needed(0.5, (-0.5, 0.5), 1.0, 0.05) is None
    assert pairs_needed(0.01, (0.0,), 1.0, 0.05) is None
    assert pairs_needed(0.01, (0.0,), 1.0, 0.05, most=100_000) == pytest.approx(78_490, rel=1e-3)


def test_equal_differences_need_as_many_pairs_as_equal_signs_are_significant() -> None:
    assert pairs_needed(0.1, (0.0,), 0.0, 0.05) == 6
    assert pairs_needed(0.1, (0.0,), 0.0, 0.01) == 8
    assert smallest_distance(0.0, 5, 0.05) == 0.0


@pytest.mark.parametrize("n", [2, 4, 30])
def test_the_smallest_distance_has_exactly_the_power(n: int) -> None:
    distance = smallest_distance(0.02, n, 0.01)
    assert decision_power(distance, (0.0,), 0.02, n, 0.01) == pytest.approx(0.8, abs=1e-6)
