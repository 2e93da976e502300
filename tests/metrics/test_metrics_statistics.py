"""Statistics against scipy, against numbers worked out by hand, and against each other."""

import math
import statistics
from typing import Any

import pytest
from scipy import stats

from softtargets.metrics.statistics import (
    ROUNDING,
    at_most,
    beta_binomial_range,
    correlation_interval,
    holm_adjusted,
    holm_levels,
    paired_t,
    paired_t_p_value,
    pearson,
    surely_below,
    wilson,
)

DIFFERENCES = [0.10, 0.11, 0.09, 0.10, 0.12]


def _mean_and_error(values: list[float]) -> tuple[float, float, int]:
    return float(stats.tmean(values)), float(stats.sem(values)), len(values)


def test_adjusted_p_values_keep_their_places_and_never_fall() -> None:
    assert holm_adjusted([0.03, 0.001, 0.04]) == pytest.approx([0.06, 0.003, 0.06])
    assert holm_adjusted([0.5, 0.9]) == [1.0, 1.0]
    assert holm_adjusted([]) == []


def test_levels_and_adjusted_p_values_reject_the_same() -> None:
    p_values = {"a": 0.011, "b": 0.02, "c": 0.001, "d": 0.3, "e": 0.04}
    by_level = {name for name, level in holm_levels(p_values, 0.05, len(p_values)).items() if p_values[name] <= level}
    adjusted = dict(zip(p_values, holm_adjusted(list(p_values.values())), strict=True))
    assert by_level == {name for name, p in adjusted.items() if p <= 0.05} == {"c", "a"}


def test_untested_hypotheses_of_the_family_count() -> None:
    assert holm_levels({"a": 0.001}, 0.05, family=10) == {"a": 0.05 / 10}


def test_the_t_interval_and_p_value_are_those_of_scipy() -> None:
    mean, error, n = _mean_and_error(DIFFERENCES)
    expected: Any = stats.ttest_1samp(DIFFERENCES, 0.0)
    interval = expected.confidence_interval(0.95)
    assert paired_t(mean, error, n, 0.05) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert paired_t_p_value(mean, error, n) == pytest.approx(expected.pvalue, rel=1e-12)


def test_the_p_value_is_the_level_at_the_end_of_the_interval() -> None:
    mean, error, n = _mean_and_error(DIFFERENCES)
    low, high = paired_t(mean, error, n, 0.01)
    assert paired_t_p_value(mean - low, error, n) == pytest.approx(0.01)
    assert paired_t_p_value(high - mean, error, n) == pytest.approx(0.01)


@pytest.mark.parametrize(("distance", "p"), [(0.05, 2.0**-5), (ROUNDING / 2, 1.0), (0.0, 1.0)])
def test_without_a_spread_the_signs_decide(distance: float, p: float) -> None:
    assert paired_t_p_value(distance, ROUNDING / 2, 6) == p


def test_the_interval_of_a_share_is_that_of_scipy() -> None:
    for count, total in ((0, 10), (3, 10), (10, 10), (617, 1000)):
        for level in (0.05, 0.01):
            expected = stats.binomtest(count, total).proportion_ci(1 - level, method="wilson")
            assert wilson(count, total, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_ends_of_a_share_are_exact() -> None:
    for total in range(1, 200):
        assert wilson(0, total, 0.05)[0] == 0.0
        assert wilson(total, total, 0.05)[1] == 1.0


def test_a_class_is_surely_below_where_chance_does_not_explain_it() -> None:
    assert surely_below([4, 4], [0, 4]) == [True, False]
    # 17 of 70 ways to place four right rows leave at most one in the first class
    assert surely_below([4, 4], [1, 3]) == [False, False]
    assert surely_below([5, 0], [1, 0]) == [False, False]


def test_a_class_below_is_tested_by_fisher_and_adjusted() -> None:
    totals, counts = [20, 30, 50], [8, 25, 45]
    tables = [[[c, t - c], [78 - c, 22 - t + c]] for t, c in zip(totals, counts, strict=True)]
    fisher: list[Any] = [stats.fisher_exact(table, alternative="less") for table in tables]
    p_values = [test.pvalue for test in fisher]
    least = min(p_values) * 3
    assert math.isclose(holm_adjusted(p_values)[0], least)
    assert surely_below(totals, counts, least * 1.001) == [True, False, False]
    assert surely_below(totals, counts, least * 0.999) == [False, False, False]


def test_the_hypergeometric_sum_is_that_of_scipy() -> None:
    for population, successes, drawn in [(8, 4, 4), (50, 3, 47), (1000, 990, 20), (10**7, 9 * 10**6, 10**6)]:
        mean = drawn * successes / population
        spread = (mean * (1 - successes / population) * (1 - drawn / population)) ** 0.5
        for deviation in (-40, -6, -3, -1, 0, 1, 3, 6, 40):
            count = int(mean + deviation * spread)
            wanted = float(stats.hypergeom.cdf(count, population, successes, drawn))
            found = at_most(count, population, successes, drawn)
            assert found == pytest.approx(wanted, rel=1e-6, abs=1e-14), (count, population, successes, drawn)


def test_all_or_none_is_certain() -> None:
    assert at_most(4, 8, 4, 4) == 1.0
    assert at_most(-1, 8, 4, 4) == 0.0
    assert at_most(0, 8, 6, 4) == 0.0


def test_a_correlation_is_that_of_scipy_and_a_constant_has_none() -> None:
    first, second = [0.3, 0.1, 0.7, 0.5, 0.2], [1.0, 1.4, 0.2, 0.9, 1.1]
    r, _ = stats.pearsonr(first, second)
    assert pearson(first, second) == pytest.approx(r)
    assert pearson(first, [0.1 + 0.2, 0.3, 0.3, 0.3, 0.3]) is None
    assert pearson([2.0] * 5, second) is None


def test_the_interval_of_a_correlation_is_that_of_scipy() -> None:
    first, second = [0.3, 0.1, 0.7, 0.5, 0.2], [1.0, 1.4, 0.2, 0.9, 1.1]
    found, r = stats.pearsonr(first, second), statistics.correlation(first, second)
    for level in (0.05, 0.2):
        expected = found.confidence_interval(1 - level)
        assert correlation_interval(r, 5, level) == pytest.approx((expected.low, expected.high))
    assert correlation_interval(-1.0, 5, 0.05) == (-1.0, -1.0)


@pytest.mark.parametrize(("total", "a", "b"), [(1, 2, 3), (10, 9, 1), (500, 90, 10), (100_000, 901.5, 99.5)])
@pytest.mark.parametrize("level", [0.05, 0.5])
def test_the_beta_binomial_range_is_scipys(total: int, a: float, b: float, level: float) -> None:
    law = stats.betabinom(total, a, b)
    low, high = beta_binomial_range(total, a, b, level)
    assert (low, high) == pytest.approx((law.ppf(level / 2) / total, law.ppf(1 - level / 2) / total), abs=1e-12)
    assert law.cdf(low * total - 1) <= level / 2 + 1e-9
    assert law.sf(high * total) <= level / 2 + 1e-9
