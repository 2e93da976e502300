"""The study `alternatives`: what is compared, and that the claims are contrasts of arms that differ in the method."""

import pytest

from softtargets.studies.catalog import list_studies

STUDY = next(study for study in list_studies() if study.name == "alternatives")


def test_every_method_of_the_article_is_an_arm_or_a_measure_of_one():
    names = {arm.objective["name"] for arm in STUDY.arms.values()}
    assert {"cross_entropy", "mixup", "bootstrapping", "prior_smoothing", "localized_smoothing"} <= names
    assert {"confidence_smoothing", "confidence_penalty", "disturb_label", "distillation"} <= names
    assert {"test.ece15", "test.ece15.scaled"} <= set(STUDY.outputs["methods"].metrics)
    assert set(STUDY.outputs["methods"].arms) == {name for name in STUDY.arms if not name.startswith("student")}


@pytest.mark.parametrize("claim", STUDY.claims, ids=lambda claim: claim.id)
def test_a_claim_is_a_contrast_whose_weights_sum_to_zero(claim):
    assert sum(term.weight for term in claim.terms) == 0
    assert len({(term.arm, term.metric) for term in claim.terms}) == len(claim.terms)


def test_the_answer_names_claims_that_exist():
    assert STUDY.answer is not None
    known = {claim.id for claim in STUDY.claims}
    assert {name for group in STUDY.answer.groups for name in group.claims} <= known
    assert sum(claim.primary for claim in STUDY.claims) == 4
