"""Every rule of what an audit recommends, at its edges."""

import pytest
import torch

from softtargets.matrices import Transition
from softtargets.noise import TransitionInterval
from softtargets.report.audit_results import Interval
from softtargets.workflows.audit_advice import advise, asymmetry_of


@pytest.mark.parametrize(
    ("rate", "asymmetry", "condition", "sure", "action"),
    [
        ((0.02, 0.01, 0.029), 0.9, 2.0, 0.9, "keep"),
        ((0.02, 0.01, 0.031), 0.9, 2.0, 0.9, "drop and relabel"),
        ((0.25, 0.2, 0.3), 0.9, 2.0, 0.5, "drop and relabel"),
        ((0.25, 0.2, 0.3), 0.9, 2.0, 0.49, "correct with T"),
        ((0.26, 0.2, 0.3), 0.9, 2.0, 0.9, "correct with T"),
        ((0.26, 0.2, 0.3), 0.4, 20.0, 0.9, "correct with T"),
        ((0.26, 0.2, 0.3), 0.4, 20.1, 0.9, "smooth"),
        ((0.26, 0.2, 0.3), 0.39, 2.0, 0.9, "smooth"),
    ],
)
def test_every_rule_of_the_advice(rate, asymmetry, condition, sure, action):
    advice = advise(Interval(*rate), asymmetry, condition, sure, 10)
    assert advice.action == action
    assert f"{100 * rate[0]:.1f} %" in advice.reason[0]
    assert set(advice.evidence.values()) == {rate[0], rate[2], asymmetry, condition, sure}


def test_the_reason_to_smooth_names_what_is_in_the_way_of_a_correction():
    spread = advise(Interval(0.36, 0.3, 0.4), 0.1, 2.0, 0.1, 10).reason
    singular = advise(Interval(0.36, 0.3, 0.4), 0.9, 300.0, 0.1, 10).reason
    assert "asymmetry 0.10" in spread[0]
    assert "condition 300" in singular[0]
    assert "0.40" in spread[1]  # 0.36 * 10 / 9


def test_asymmetry_is_what_goes_to_particular_classes_beyond_chance():
    def interval(transition: Transition, width: float) -> TransitionInterval:
        matrix = transition.to_dense()
        rate = float(transition.noise_rate())
        low, high = ((matrix + side * width).clamp(0, 1) for side in (-1, 1))
        return TransitionInterval(transition, low, high, rate, rate, rate, 0.95)

    prior = torch.full((5,), 0.2, dtype=torch.float64)
    pair = Transition(5, matrix=0.6 * torch.eye(5) + 0.4 * torch.eye(5).roll(1, 1))
    assert asymmetry_of(interval(Transition.symmetric(0.4, 5), 0.0), prior) == pytest.approx(0.0, abs=1e-12)
    assert asymmetry_of(interval(pair, 0.0), prior) == pytest.approx(0.75)  # (0.4 - 0.1) / 0.4
    assert asymmetry_of(interval(pair, 0.1), prior) == pytest.approx(0.5)
    assert asymmetry_of(interval(Transition.symmetric(0.0, 5), 0.0), prior) == 0.0
