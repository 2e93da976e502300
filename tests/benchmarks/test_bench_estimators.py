"""The table of estimators: what the goal asks of each where its assumption holds."""

import pytest

from benchmarks import estimators


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str, str, str], estimators.Found]:
    return {(one.noise, one.classes, one.probs, one.estimator): one for one in estimators.measured((30_000,), seeds=1)}


@pytest.mark.parametrize("name", ["anchor", "anchor_97", "anchor_counts", "confident_joint", "trusted"])
def test_classes_apart_and_exact_probabilities_meet_the_goal(found, name: str) -> None:
    assert found["asymmetric 40 %", "apart", "exact", name].mean <= estimators.GOAL


@pytest.mark.parametrize("probs", ["sharp", "flat"])
@pytest.mark.parametrize("name", ["anchor_counts", "confident_joint"])
def test_what_only_compares_probabilities_stands_what_is_not_calibrated(found, name: str, probs: str) -> None:
    assert found["asymmetric 40 %", "apart", probs, name].mean <= estimators.GOAL


def test_each_breaks_where_it_is_said_to(found) -> None:
    assert found["symmetric 40 %", "apart", "sharp", "anchor"].mean > 0.3
    assert found["symmetric 40 %", "near", "exact", "confident_joint"].mean > 0.1
    assert found["symmetric 40 %", "near", "exact", "trusted"].mean > 0.1
    assert found["symmetric 40 %", "apart", "exact", "dual_t"].mean > 0.1


def test_the_table_has_a_row_for_every_problem(found) -> None:
    text = estimators.table(list(found.values()))
    assert text.count("\n## ") == 3
    assert text.count("| 30,000 |") == 3 * 2 * 3
    assert all(name in text for name in estimators.ESTIMATORS)
