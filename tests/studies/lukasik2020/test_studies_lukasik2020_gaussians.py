"""Lukasik's Fig. 5 without a sample: optimal by another quadrature, closed limits, samples, and the claim itself."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit

from softtargets.studies.lukasik2020.gaussians import (
    SMOOTHINGS,
    Separator,
    figure5,
    least_step,
    noisy,
    separators,
    smoothing_limit,
)

PENALTIES = (0.0, 0.001, 0.01, 0.1, 1.0, 10.0)
FOUND = {(s.arm, s.level): s for s in separators(SMOOTHINGS, PENALTIES)}
ROOT_2 = math.sqrt(2)


def _intercept(found: Separator) -> float:
    return found.bias * found.slope


@pytest.mark.parametrize("found", FOUND.values(), ids=lambda s: f"{s.arm} {s.level}")
def test_the_gradient_is_0_by_adaptive_quadrature(found: Separator) -> None:
    """Both entries along (1, 1) / sqrt(2); across it the weight is 0, and data and labels are independent there."""
    smoothing = found.level if found.arm == "LS" else 0.0
    gradient = [0.0, 0.0]
    for centre, positive in ((ROOT_2, 1.0), (-ROOT_2, 0.05)):
        target = (1 - smoothing) * positive + smoothing / 2

        def density(t: float, centre: float = centre) -> float:
            return math.exp(-((t - centre) ** 2) / 0.02) / (0.1 * math.sqrt(2 * math.pi)) / 2

        def slope(t: float, density=density, target: float = target) -> float:
            return density(t) * (float(expit(found.slope * t + _intercept(found))) - target)

        gradient[0] += quad(lambda t, slope=slope: slope(t) * t, centre - 1, centre + 1, epsabs=1e-13)[0]
        gradient[1] += quad(slope, centre - 1, centre + 1, epsabs=1e-13)[0]
    if found.arm != "LS":
        gradient[0] += found.level * found.slope
    if found.arm == "L2 with intercept":
        gradient[1] += found.level * _intercept(found)
    assert gradient == pytest.approx([0, 0], abs=1e-9)


def test_the_line_is_normalised_and_its_distance_is_its_bias() -> None:
    for found in FOUND.values():
        assert found.w1 == found.w2 == pytest.approx(1 / ROOT_2)
        foot = found.distance / ROOT_2
        assert found.w1 * foot + found.w2 * foot + found.bias == pytest.approx(0, abs=1e-12)
        assert found.slope > 0


def test_level_0_is_one_line() -> None:
    assert FOUND["LS", 0.0].distance == FOUND["L2", 0.0].distance == FOUND["L2 with intercept", 0.0].distance


def test_far_limits() -> None:
    smoothed, _, both = separators((1 - 1e-6,), (1e6,))
    assert smoothed.distance == pytest.approx(-2.01 * 0.05 / (0.95 * ROOT_2), rel=1e-4)
    assert both.distance == pytest.approx(-0.05 / (0.95 * ROOT_2), rel=1e-4)
    # with the intercept free its logit is that of the share of positives, and the line is gone
    (far,) = (s for s in separators((), (1e6,)) if s.arm == "L2")
    assert far.distance < -1e4
    assert _intercept(far) == pytest.approx(math.log(0.525 / 0.475), rel=1e-3)


@pytest.mark.parametrize("left", [1e-9, 1e-12, 1e-15])
def test_smoothing_next_to_1_is_at_its_limit(left: float) -> None:
    """Probabilities and targets are then next to 1/2, and it is how far from it that counts."""
    (found,) = separators((1 - left,), ())
    assert found.distance == pytest.approx(smoothing_limit(), rel=1e-6)
    assert found.slope > 0


def test_smoothing_brings_the_separator_back_towards_the_origin_but_not_to_it() -> None:
    """The paper's claim, with numbers: from -.603 by way of -.186 (.1) and -.089 (.5) to -.075 (.9)."""
    distances = [FOUND["LS", smoothing].distance for smoothing in SMOOTHINGS]
    assert distances == sorted(distances)
    expected = [-0.6027, -0.1860, -0.1340, -0.1105, -0.0971, -0.0886, -0.0829, -0.0791, -0.0766, -0.0753]
    assert distances == pytest.approx(expected, abs=5e-5)
    assert distances[-1] < -0.07


def test_an_l2_penalty_does_the_same_only_where_the_intercept_is_penalised_too() -> None:
    both = [FOUND["L2 with intercept", penalty].distance for penalty in PENALTIES]
    assert both == sorted(both)
    assert both == pytest.approx([-0.6027, -0.4329, -0.2289, -0.0864, -0.0451, -0.0381], abs=5e-5)
    weights = [FOUND["L2", penalty].distance for penalty in PENALTIES]
    assert weights == pytest.approx([-0.6027, -0.4782, -0.2967, -0.1662, -0.2446, -1.5677], abs=5e-5)


def test_slopes_shrink() -> None:
    for arm in ("LS", "L2", "L2 with intercept"):
        slopes = [s.slope for s in FOUND.values() if s.arm == arm]
        assert slopes == sorted(slopes, reverse=True)


@pytest.mark.parametrize(
    ("arm", "level", "penalty"), [("LS", 0.0, 0.0), ("LS", 0.5, 0.0), ("L2", 0.0, 0.1), ("L2", 0.0, 1.0)]
)
def test_agrees_with_logistic_regression_of_a_large_sample(arm: str, level: float, penalty: float) -> None:
    from sklearn.linear_model import LogisticRegression

    random, size = np.random.default_rng(0), 200_000
    clean = random.integers(2, size=size)
    inputs = (2 * clean - 1)[:, None] + 0.1 * random.standard_normal((size, 2))
    observed = np.where(random.random(size) < 0.05, 1, clean)
    # each example once with its label, once with the other, weighed by the smoothed target
    weight = np.concatenate([np.full(size, 1 - level / 2), np.full(size, level / 2)])
    keep = weight > 0
    fit = LogisticRegression(C=1 / (penalty * size) if penalty else np.inf, tol=1e-8)
    fit.fit(np.concatenate([inputs, inputs])[keep], np.concatenate([observed, 1 - observed])[keep], weight[keep])
    weights, intercept = np.asarray(fit.coef_)[0], float(np.asarray(fit.intercept_)[0])
    slope = float(np.linalg.norm(weights))
    expected = FOUND[arm, level if arm == "LS" else penalty]
    assert weights / slope == pytest.approx([1 / ROOT_2, 1 / ROOT_2], abs=0.05)
    assert -intercept / slope == pytest.approx(expected.distance, abs=0.02)
    assert slope == pytest.approx(expected.slope, rel=0.03)


def test_what_is_drawn_holds_what_is_tested_here() -> None:
    drawn = {(s.arm, s.level): s for s in figure5()}
    assert {place: found for place, found in FOUND.items() if place in drawn} == FOUND
    assert len(drawn) == len(SMOOTHINGS) + 2 * 10


def test_numbers_of_claims() -> None:
    assert noisy() == FOUND["LS", 0.0].distance
    assert least_step("LS") == FOUND["LS", 0.9].distance - FOUND["LS", 0.8].distance
    # from 3 to 10 the intercept's own line draws it away by more than a unit; a penalty on it too never does
    assert least_step("L2") == pytest.approx(FOUND["L2", 10.0].distance + 0.5309, abs=5e-5)
    assert 0 < least_step("L2 with intercept") < 0.003
    assert smoothing_limit() == pytest.approx(separators((1 - 1e-6,), ())[0].distance, rel=1e-5)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"smoothings: each in \[0, 1\); got 1.0; choose smoothings below 1"):
        separators((0.0, 1.0), ())
    with pytest.raises(ValueError, match=r"penalties: each finite and at least 0; got -1.0"):
        separators((), (0.1, -1.0))
