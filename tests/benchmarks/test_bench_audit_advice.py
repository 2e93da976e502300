"""The benchmark of the paired check: its cases and its page."""

import pytest

from benchmarks import audit_advice


def case(**changes) -> dict:
    found = {
        "case": "wine_symmetric_30_0",
        "true_rate": 0.3,
        "check": 0.02,
        "low": 0.01,
        "high": 0.03,
        "recommended": True,
        "left_out": 0.25,
        "true_gain": 0.04,
        "true_low": 0.01,
        "true_high": 0.07,
        "seconds": 12.3,
    }
    return {**found, **changes}


def test_a_small_table_is_judged_with_clean_and_with_flipped_labels():
    problem = audit_advice._table("wine", 0)
    assert len(problem.labels) + len(problem.test_labels) == 178
    assert len(problem.test_labels) == 59
    clean = audit_advice._judge("clean", problem, "clean", 0.0)
    assert clean["true_rate"] == 0
    assert not clean["recommended"]
    noisy = audit_advice._judge("noisy", problem, "symmetric", 0.3)
    assert 0.15 < noisy["true_rate"] < 0.45
    assert noisy["recommended"] == (noisy["low"] > 0)
    assert noisy["true_low"] <= noisy["true_gain"] <= noisy["true_high"]


def test_the_page_counts_recommendations_on_clean_labels_and_gains_elsewhere():
    cases = [
        case(),
        case(true_gain=-0.01, true_low=-0.03),
        case(recommended=False),
        case(true_rate=0.0, recommended=False),
    ]
    page = audit_advice.page(cases, {"device": "a machine"})
    assert "| leaving out is recommended on clean labels | 0 | 0 of 1 | met |" in page
    assert "| where it is recommended, the true gain is above 0 | 90% | 1 of 2 | **missed** |" in page
    assert "| it is recommended where the interval of the true gain is above 0 | – | 1 of 2 | – |" in page
    assert "| wine_symmetric_30_0 | 2.0 | 1.0 | 3.0 | 25.0 | 4.0 | 1.0 | 7.0 | yes | 12 |" in page
    wrongly = audit_advice.page([case(true_rate=0.0)], {})
    assert "| 0 | 1 of 1 | **missed** |" in wrongly


@pytest.mark.parametrize(("kind", "rate"), audit_advice.CONDITIONS)
def test_every_case_has_a_name_of_its_own(kind, rate, tmp_path):
    names = [name for name, _ in audit_advice._cases(tmp_path)]
    assert len(names) == len(set(names)) == 75
    assert f"digits_{kind}_{round(100 * rate):02d}_2" in names
