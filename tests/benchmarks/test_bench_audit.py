"""The benchmark of the audit: halves, cases, goals and the page."""

import math

import numpy as np
import pytest
import torch

from benchmarks import audit, audit_cases
from benchmarks.audit_cases import SETS, Case


def test_sources_are_in_one_half_and_the_halves_are_fixed():
    halves = audit_cases.halves()
    assert set(halves) == set(SETS.values())
    assert sorted(halves.values()).count("development") == 5
    assert halves["digits"] == halves["banking77"] == "development"
    assert halves["cifar10"] == halves["clinc150"] == "confirmation"
    assert len(SETS) >= 12


@pytest.mark.parametrize("kind", audit_cases.KINDS)
def test_transitions_have_their_rate_and_leave_the_right_label_the_most_frequent(kind):
    found = audit_cases.make_transition(kind, 0.3, 5, torch.Generator().manual_seed(0))
    assert found is not None
    assert float(found.noise_rate()) == pytest.approx(0.3)
    matrix = found.to_dense()
    assert bool((matrix.diagonal() > matrix.clone().fill_diagonal_(0).max(1).values).all())


def test_pairs_of_two_classes_and_transitions_that_are_not_found_are_left_out():
    generator = torch.Generator().manual_seed(0)
    assert audit_cases.make_transition("pair", 0.3, 2, generator) is None
    assert audit_cases.make_transition("class-dependent", 0.6, 2, generator) is None


def case(**changes) -> dict:
    found = {
        "case": "digits_symmetric_15_strong",
        "true": 0.15,
        "estimate": 0.16,
        "low": 0.12,
        "high": 0.18,
        "told": True,
        "cleanlab": 0.12,
        "calibration_error": 0.02,
        "first_difference": 3.0,
        "f1_ours": 0.8,
        "f1_cleanlab": 0.79,
        "auroc": 0.95,
        "auroc_best": 0.954,
        "action": "drop and relabel",
    }
    return {**found, **changes}


def test_goals_of_one_case():
    assert all(audit.reached(case()).values())
    missed = case(low=0.155, estimate=0.19, calibration_error=0.06, first_difference=-11.0, f1_ours=0.7, auroc=0.9)
    assert not any(audit.reached(missed).values())
    clean = case(true=0.0, f1_ours=None, auroc=None, action="compare corrections")
    assert set(audit.reached(clean)) == {"range", "point", "calibration", "first", "clean"}
    assert not audit.reached(clean)["clean"]


def test_the_page_holds_the_goals_and_all_cases():
    text = audit.page([case(), case(case="digits_clean_00_weak", low=0.2)], "development", {"device": "a CPU"})
    assert text.startswith("# Estimates of an audit where the truth is known, development half\n")
    assert "| range contains the true rate | 90% | 50% | 0% | – | 100% | **missed** |" in text
    assert "| median width of the range, points | 8 (strong) | 2.0 | -2.0 | nan | 6.0 | met |" in text
    assert "| digits_symmetric_15_strong | 0.150 | 0.160 |" in text


def test_measures_by_hand():
    wrong = np.array([True, False, True, False])
    assert audit.f1(np.array([True, True, False, False]), wrong) == pytest.approx(0.5)
    assert audit.f1(wrong, np.zeros(4, dtype=bool)) is None
    # bins: .05 with one right label, .95 with a wrong one, .55 with one of each
    error = audit.calibration_error(np.array([0.95, 0.05, 0.55, 0.55]), wrong)
    assert error == pytest.approx((0.05 + 0.05 + 0.1) / 4)


def test_a_case_is_judged_by_its_arrays(tmp_path):
    labels = np.arange(300) % 3
    given = np.where(np.arange(300) % 10 == 0, (labels + 1) % 3, labels)
    probs = (0.8 * np.eye(3)[labels] + 0.2 / 3).astype(np.float32)
    one = Case("digits", "pair", 0.1, "strong", tmp_path)
    np.savez(tmp_path / f"{one.name}.npz", probs=probs, given=given, clean=labels)
    np.savez(tmp_path / f"{one.name}.cleanlab.npz", count=25, issues=given != labels)
    found = audit.judge(one)
    assert found["true"] == pytest.approx(0.1)
    assert found["low"] < 0.1 < found["high"]
    assert found["cleanlab"] == pytest.approx(25 / 300)
    assert found["f1_ours"] == found["f1_cleanlab"] == 1
    assert found["auroc"] == found["auroc_best"] == 1
    assert not math.isnan(found["calibration_error"])
