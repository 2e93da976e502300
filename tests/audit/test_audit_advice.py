"""Every rule of what an audit recommends, at its edges."""

from dataclasses import replace

import pytest
import torch

from softtargets.audit.advice import AdviceInputs, advise, asymmetry_of
from softtargets.audit.evidence import Agreement
from softtargets.audit.results import IntervalEstimate, PairedCheck
from softtargets.matrices import Transition
from softtargets.noise import TransitionInterval

MUCH = IntervalEstimate(0.36, 0.3, 0.4)
INPUTS = AdviceInputs(
    MUCH,
    told=True,
    suspects=50,
    accuracy=0.95,
    asymmetry=0.1,
    condition=2.0,
    sure=0.1,
    agreement=Agreement(0.7, 0.1, 0.0),
)


@pytest.mark.parametrize(
    ("rate", "condition", "sure", "action"),
    [
        ((0.03, 0.0099, 0.05), 2.0, 0.9, "keep"),
        ((0.03, 0.0101, 0.05), 2.0, 0.9, "drop and relabel"),
        ((0.25, 0.2, 0.3), 2.0, 0.5, "drop and relabel"),
        ((0.25, 0.2, 0.3), 2.0, 0.49, "compare corrections"),
        ((0.26, 0.2, 0.3), 2.0, 0.9, "compare corrections"),
        ((0.26, 0.2, 0.3), 20.1, 0.9, "compare corrections"),
        ((0.80, 0.7, 0.9), 20.0, 0.9, "compare corrections"),
    ],
)
@pytest.mark.parametrize("asymmetry", [0.0, 1.0])
def test_every_rule_of_the_advice(rate, condition, sure, action, asymmetry):
    inputs = replace(INPUTS, noise_rate=IntervalEstimate(*rate), asymmetry=asymmetry, condition=condition, sure=sure)
    advice = advise(inputs)
    assert advice.action == action
    assert f"{100 * rate[0]:.1f} %" in advice.reason[0]
    assert {*rate, asymmetry, condition, sure, 50, 0.95, 0.7, 0.1, 0.0} == set(advice.evidence.values())


def test_nothing_is_recommended_without_suspects_or_if_the_rate_cannot_be_told():
    nothing = advise(replace(INPUTS, suspects=0))
    assert nothing.action == "keep"
    assert nothing.reason == (
        "The estimated noise rate is 36.0 %. No label is probably wrong; the range ends at 40.0 %.",
        "Train on the labels as they are.",
    )
    untold = advise(replace(INPUTS, told=False))
    assert untold.action == "keep"
    assert "lies between 30.0 % and 40.0 %" in untold.reason[0]
    assert "too weak" not in untold.reason[0]
    weak = advise(replace(INPUTS, told=False, accuracy=0.5))
    assert "It is too weak to judge: its estimated accuracy is 50.0 %." in weak.reason[0]
    few = replace(INPUTS, told=False, noise_rate=IntervalEstimate(0.4, 0.0, 0.47), agreement=Agreement(0.42, 0.1, 0.0))
    assert (
        "It may be too weak to judge: if 0.0 % of the labels are wrong, its accuracy is about 42.0 %."
        in (advise(few).reason[0])
    )


def checked(low: float, high: float) -> PairedCheck:
    return PairedCheck(IntervalEstimate((low + high) / 2, low, high), accuracy=0.7, dropped=0.2, rows=1000)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("low_rate", [0.0, 0.2])
def test_labels_are_dropped_where_training_without_them_is_shown_to_help_and_only_there(told, low_rate):
    inputs = replace(INPUTS, told=told, noise_rate=IntervalEstimate(0.22, low_rate, 0.3), sure=0.9)
    helps = advise(replace(inputs, check=checked(0.001, 0.021)))
    assert helps.action == "drop and relabel"
    assert "20.0 % of the labels that are most probably wrong helps" in helps.reason[0]
    assert "changes by +1.1 points (95 % interval +0.1 to +2.1)" in helps.reason[0]
    assert (helps.evidence["Lower end of the gain"], helps.evidence["Upper end of the gain"]) == (0.001, 0.021)
    elsewhere = "compare corrections" if told and low_rate else "keep"
    undecided = advise(replace(inputs, check=checked(-0.001, 0.021)))
    assert undecided.action == elsewhere
    assert "makes no difference that can be told" in undecided.reason[0]
    harms = advise(replace(inputs, check=checked(-0.02, -0.001)))
    assert harms.action == elsewhere
    assert "most probably wrong harms" in harms.reason[0]


def test_a_check_that_was_not_made_is_explained():
    advice = advise(replace(INPUTS, unchecked="predictions were given."))
    assert advice.reason[-1] == (
        "It was not checked whether training without the suspects helps: predictions were given."
    )
    guess = replace(INPUTS, unchecked="predictions were given.", agreement=Agreement(0.1, 0.1, 0.5))
    assert not any("not checked" in sentence for sentence in advise(guess).reason)


def test_asymmetry_decides_the_words_alone():
    said = [advise(replace(INPUTS, asymmetry=value)).reason[1] for value in (0.09, 0.1, 0.49, 0.5)]
    assert "Wrong labels do not detectably go to particular classes (asymmetry 0.09)" in said[0]
    assert "Wrong labels partly go to particular classes (asymmetry 0.10)" in said[1]
    assert "Wrong labels partly go to particular classes (asymmetry 0.49)" in said[2]
    assert "Wrong labels mostly go to particular classes (asymmetry 0.50)" in said[3]


@pytest.mark.parametrize("rate", [0.3, 0.9])
def test_corrections_are_to_be_compared_and_what_is_in_the_way_of_one_is_said(rate):
    much = replace(INPUTS, noise_rate=IntervalEstimate(rate, rate, rate))
    assert "forward correction with the estimated T, which is well-conditioned (2.0)" in advise(much).reason[2]
    singular = advise(replace(much, condition=300.0)).reason[2]
    unknown = advise(replace(much, rare=("owl",))).reason[2]
    assert "ill-conditioned (300), so a correction would amplify the errors" in singular
    assert "T is not estimated for every class" in unknown
    for reason in (singular, unknown):
        assert "Compare label smoothing and robust losses with cross entropy" in reason


def test_predictions_that_a_guess_may_match_are_no_ground_for_anything():
    few = replace(INPUTS, noise_rate=IntervalEstimate(0.0, 0.0, 0.0))
    assert advise(replace(few, agreement=Agreement(0.105, 0.1, 0.009))).action == "keep"
    advice = advise(replace(few, agreement=Agreement(0.105, 0.1, 0.011)))
    assert advice.action == "get better predictions"
    assert "10.5 %" in advice.reason[0]
    assert "10.0 %" in advice.reason[0]
    assert "in the order of the classes" in advice.reason[1]


@pytest.mark.parametrize("rate", [0.005, 0.1, 0.36])
def test_classes_with_few_labels_are_named_whatever_the_advice_and_never_corrected(rate):
    inputs = replace(INPUTS, noise_rate=IntervalEstimate(rate, rate, rate), sure=0.9)
    advice = advise(replace(inputs, rare=("barn\nowl", "bat")))
    assert advice.reason[-1] == "T is not estimated for these classes, which have fewer than 10 labels: barn owl, bat."
    assert advice.action == {0.005: "keep", 0.1: "drop and relabel", 0.36: "compare corrections"}[rate]
    assert "T is not estimated for these" not in " ".join(advise(inputs).reason)
    many = advise(replace(inputs, rare=tuple(f"c{k}" for k in range(13)))).reason[-1]
    assert "c9 and 3 more." in many


def interval(transition: Transition, width: float = 0.0, prior: torch.Tensor | None = None) -> TransitionInterval:
    matrix = transition.to_dense()
    rate = float(transition.noise_rate(prior))
    low, high = ((matrix + side * width).clamp(0, 1) for side in (-1, 1))
    return TransitionInterval(transition, low, high, rate, rate, rate, 0.95)


def uniform(size: int) -> torch.Tensor:
    return torch.full((size,), 1 / size, dtype=torch.float64)


@pytest.mark.parametrize("size", [3, 5, 10, 100])
def test_asymmetry_of_pair_flips_is_1_and_of_symmetric_noise_0_whatever_the_number_of_classes(size):
    pair = Transition(size, matrix=0.6 * torch.eye(size) + 0.4 * torch.eye(size).roll(1, 1))
    assert asymmetry_of(interval(pair), uniform(size)) == pytest.approx(1.0)
    assert asymmetry_of(interval(Transition.symmetric(0.4, size)), uniform(size)) == pytest.approx(0.0, abs=1e-12)
    assert asymmetry_of(interval(Transition.symmetric(0.0, size)), uniform(size)) == 0.0


def test_asymmetry_is_what_goes_to_particular_classes_beyond_chance():
    pair = Transition(5, matrix=0.6 * torch.eye(5) + 0.4 * torch.eye(5).roll(1, 1))
    assert asymmetry_of(interval(pair, 0.1), uniform(5)) == pytest.approx(2 / 3)  # (0.3 - 0.1) / (0.4 - 0.1)
    lone = torch.eye(5)
    lone[0] = torch.tensor([0.5, 0.5, 0, 0, 0])
    assert asymmetry_of(interval(Transition(5, matrix=lone)), uniform(5)) == 1.0


def test_asymmetry_of_two_classes_is_how_far_their_rates_surely_differ():
    def of(first: float, second: float, width: float = 0.0) -> float:
        matrix = torch.tensor([[1 - first, first], [second, 1 - second]], dtype=torch.float64)
        return asymmetry_of(interval(Transition(2, matrix=matrix), width), uniform(2))

    assert of(0.3, 0.3) == pytest.approx(0.0, abs=1e-12)
    assert of(0.3, 0.1) == of(0.1, 0.3) == pytest.approx(0.5)
    assert of(0.4, 0.0) == pytest.approx(1.0)
    assert of(0.3, 0.1, 0.05) == pytest.approx(0.25)
    assert of(0.3, 0.1, 0.2) == 0.0
