"""The study `alternatives`: what is compared, and that the claims are contrasts of arms that differ in the method."""

import pytest

from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import expand

STUDY = read_study(find("alternatives"))


def test_every_method_of_the_article_is_an_arm_or_a_measure_of_one():
    names = {arm.objective["name"] for arm in STUDY.arms.values() if not arm.members}
    assert {"cross_entropy", "mixup", "bootstrapping", "prior_smoothing", "localized_smoothing"} <= names
    assert {"confidence_smoothing", "confidence_penalty", "disturb_label", "distillation"} <= names
    assert {"test.ece15", "test.ece15.scaled"} <= set(STUDY.outputs["methods"].metrics)
    shown = {name for name in STUDY.arms if not name.startswith(("student", "hard-"))}
    assert set(STUDY.outputs["methods"].arms) == shown - {"ensemble-2"}


def test_the_article_is_answered_for_ensembles_too():
    """(a) purpose, (c) calibration, (d) information, (e) cost, (f) noise."""
    ensembles = {name for name, arm in STUDY.arms.items() if arm.members}
    for output in ("methods", "gains", "cost", "information"):
        assert "ensemble" in STUDY.outputs[output].arms
    assert "student-of-ensemble" in STUDY.outputs["students"].arms
    assert "networks" in STUDY.outputs["cost"].metrics
    tested = {claim.id for claim in STUDY.claims if ensembles & {arm for term in claim.terms for arm in term.arms}}
    assert tested >= {"ensemble-improves", "ensemble-calibrates", "ensemble-robust", "ensemble-saturates"}
    assert "student-of-ensemble" in {
        arm for claim in STUDY.claims if claim.id == "ensemble-preserves" for term in claim.terms for arm in term.arms
    }


def test_ensembles_of_different_seeds_have_no_network_in_common():
    planned = expand(STUDY, "desk", ("cost",), seeds=8)
    networks = [item.run for item in planned if item.key.arm.startswith("hard")]
    assert len({run.model_dump_json() for run in networks}) == len(networks) == 5 * 6 * 8
    for item in planned:
        assert item.run.seeds.noise == item.seed


def test_the_ensemble_teaches_by_all_its_networks():
    planned = {
        (item.key.arm, item.key.noise): item.run for item in expand(STUDY, "desk", ("students", "cost"), seeds=1)
    }
    student = planned["student-of-ensemble", "fashion-clean"]
    names = ("hard", "hard-2", "hard-3", "hard-4", "hard-5")
    assert student.teachers == tuple(planned[name, "fashion-clean"] for name in names)


@pytest.mark.parametrize("claim", STUDY.claims, ids=lambda claim: claim.id)
def test_a_claim_is_a_contrast_whose_weights_sum_to_zero(claim):
    assert sum(term.weight for term in claim.terms) == 0
    assert len({(term.arm, term.metric) for term in claim.terms}) == len(claim.terms)


def test_the_answer_names_claims_that_exist():
    assert STUDY.answer is not None
    known = {claim.id for claim in STUDY.claims}
    assert {name for group in STUDY.answer.groups for name in group.claims} <= known
    assert sum(claim.primary for claim in STUDY.claims) == 5
