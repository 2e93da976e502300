"""The registry of methods: candidates are specifications, and what data rule out."""

import pytest

from softtargets._errors import InputError
from softtargets.compare.methods import BASELINE, METHODS, ComparedMethod, DataFacts, chosen_methods, compared
from softtargets.runs.spec import RunSpec

IMAGES = DataFacts(images=True, tokens=False)
TABLE = DataFacts(images=False, tokens=False)
TOKENS = DataFacts(images=False, tokens=True)
VOTES = DataFacts(images=False, tokens=False, votes=True)


def test_the_methods_of_the_comparison_are_registered():
    assert next(iter(METHODS)) == BASELINE
    assert set(METHODS) == {
        "cross_entropy",
        "temperature",
        "label_smoothing",
        "mixup",
        "cutmix",
        "bootstrapping",
        "confidence_penalty",
        "focal",
        "max_suppression",
        "negative_smoothing",
        "generalized_cross_entropy",
        "early_learning",
        "forward",
        "ensemble",
        "majority",
        "pseudo_counts",
    }


@pytest.mark.parametrize("name", METHODS)
def test_candidates_are_objectives_that_differ(name):
    candidates = METHODS[name].candidates()
    assert candidates
    parsed = [
        RunSpec.parse({"model": {"name": "mlp"}, "training": {"epochs": 1}, "objective": dict(one.objective)})
        for one in candidates
    ]
    assert len({run.objective.model_dump_json() for run in parsed}) == len(candidates)
    assert len({one.label for one in candidates}) == len(candidates)
    assert {one.method for one in candidates} == {name}


def test_data_rule_methods_out():
    assert "cutmix" in chosen_methods(None, IMAGES)[0]
    methods, reasons = chosen_methods(None, TABLE)
    assert "cutmix" not in methods
    assert reasons == {"cutmix": "it needs images"}
    assert set(chosen_methods(None, TOKENS)[1]) == {"mixup", "cutmix"}


def test_votes_rule_methods_of_classes_out_and_bring_methods_of_their_own():
    methods, reasons = chosen_methods(None, VOTES)
    assert {"majority", "pseudo_counts", "label_smoothing", "mixup"} < set(methods)
    assert set(reasons) == {"cutmix", "early_learning", "forward"}
    assert reasons["early_learning"] == "it needs one class for each row, and the labels are votes"
    assert not {"majority", "pseudo_counts"} & {*chosen_methods(None, TABLE)[0], *chosen_methods(None, TABLE)[1]}
    with pytest.raises(InputError, match=r"the data allow; got 'pseudo_counts' \(it needs labels that are votes\)"):
        chosen_methods(("pseudo_counts",), TABLE)


def test_methods_that_the_user_named_are_in_the_order_of_the_registry():
    assert chosen_methods(("ensemble", "mixup", BASELINE), TABLE)[0] == ("mixup", "ensemble")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("mixp",), "did you mean 'mixup'"),
        (("mixup", "mixup"), "'mixup' twice"),
        (("cutmix",), r"'cutmix' \(it needs images\)"),
        (("cross_entropy",), "at least one method beside the baseline"),
        ((), "at least one method beside the baseline"),
    ],
)
def test_methods_that_cannot_be_compared_are_named(names, message):
    with pytest.raises(InputError, match=message):
        chosen_methods(names, TABLE)


def test_forward_correction_needs_noise():
    forward = METHODS["forward"]
    assert forward.refused(TABLE) is None
    noisy, clean = DataFacts(False, False, ""), DataFacts(False, False, "the rate is 0 %")
    assert forward.refused(noisy) is None
    assert forward.refused(clean) == "it needs label noise: the rate is 0 %"


def test_a_name_is_registered_once():
    with pytest.raises(InputError, match="'mixup' for Other"):

        @compared("mixup", place=0)
        class Other(ComparedMethod):
            pass
