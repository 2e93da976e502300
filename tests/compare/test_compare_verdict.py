"""The verdict on simulated predictions: no wrong recommendations without a difference, and differences are found."""

import pytest
import torch
from compare.simulated_records import World

from softtargets.calibration import TemperatureScaling
from softtargets.compare.advice import JudgedMethod, advise
from softtargets.compare.measures import LEAST_WRONG, LEVEL, MEASURES, PRIMARY, TEMPERATURE_LEVEL
from softtargets.compare.methods import BASELINE
from softtargets.compare.results import CompareAdvice
from softtargets.compare.scores import scores_of
from softtargets.compare.verdict import MethodVerdict, judge, temperature_differences, wrong_rows

METHODS = ("a", "b", "c", "d", "e")


def measured(world: World, method: str, seeds: int, **settings: float) -> dict[str, torch.Tensor]:
    every = [scores_of(world.outputs(method, seed, **settings))[0] for seed in range(seeds)]
    return {name: torch.stack([scores[name] for scores in every]) for name in MEASURES}


def verdicts_of(scores: dict[str, dict[str, torch.Tensor]]) -> dict[str, MethodVerdict]:
    return judge(scores[BASELINE], {name: own for name, own in scores.items() if name != BASELINE})


def advice_of(scores: dict[str, dict[str, torch.Tensor]]) -> CompareAdvice:
    found = verdicts_of(scores)
    plain = scores[BASELINE]
    found[BASELINE] = MethodVerdict({}, temperature_differences(plain), wrong_rows=wrong_rows(plain))
    judged = {
        name: JudgedMethod(name, 1, {measure: float(values.mean()) for measure, values in own.items()}, found[name])
        for name, own in scores.items()
    }
    return advise(judged, temperature=True)


def test_the_shares_of_the_error_sum_to_it():
    assert sum(PRIMARY.values()) + TEMPERATURE_LEVEL == pytest.approx(LEVEL)


@pytest.mark.slow
def test_without_a_difference_at_most_one_in_twenty_data_sets_has_a_recommendation():
    large = World(98, rows=200_000).outputs("a", 0)
    calibrated = 1 / float(TemperatureScaling().fit(large.test_logits, large.test_labels).temperature)
    methods, temperatures = 0, 0
    for seed in range(200):
        world = World(seed, rows=300)
        scores = {name: measured(world, name, 3, sharpness=calibrated) for name in (BASELINE, *METHODS)}
        advice = advice_of(scores)
        methods += advice.method != BASELINE
        temperatures += advice.temperature
    assert methods + temperatures <= 10, (methods, temperatures)


# a mean margin with which a network predicts about 92 % of the rows correctly, and the margin of two more points
MARGIN, GAIN = 3.4, 0.28


def _true_gain() -> float:
    world = World(99, rows=100_000, margin=MARGIN)
    before, after = (world.outputs("a", 0, gain=own) for own in (0.0, GAIN))
    right = [float((one.test_logits.argmax(1) == one.test_labels).double().mean()) for one in (before, after)]
    return right[1] - right[0]


@pytest.mark.slow
def test_a_method_that_is_two_points_better_is_found():
    assert _true_gain() == pytest.approx(0.02, abs=0.002)
    found, others = 0, 0
    for seed in range(20):
        world = World(1000 + seed, rows=2000, margin=MARGIN)
        scores = {name: measured(world, name, 5) for name in (BASELINE, *METHODS[:3])}
        scores["better"] = measured(world, "better", 5, gain=GAIN)
        advised = advice_of(scores).method
        found += advised == "better"
        others += advised not in ("better", BASELINE)
    assert found >= 16
    assert others == 0


def test_an_over_confident_network_gets_a_temperature():
    world = World(5)
    scores = {BASELINE: measured(world, BASELINE, 3, sharpness=4.0), "a": measured(world, "a", 3, sharpness=4.0)}
    advice = advice_of(scores)
    assert advice.method == BASELINE
    assert advice.temperature
    assert "Use cross entropy and a temperature" in advice.headline


def test_a_calibrated_network_gets_no_temperature():
    helped = 0
    for seed in range(20):
        outputs = [World(seed).outputs(BASELINE, place) for place in range(3)]
        # at the temperature that is the best for this very validation split, the next one changes little
        every = [scores_of(one)[0] for one in outputs]
        scores = {name: torch.stack([own[name] for own in every]) for name in MEASURES}
        scores["nll"], scores["ece"] = scores["nll_scaled"], scores["ece_scaled"]
        helped += MethodVerdict({}, temperature_differences(scores)).temperature_helps
    assert helped == 0


def test_few_wrong_predictions_decide_accuracy_alone():
    """Methods without a difference whose temperatures make almost all NLL vanish: intervals alone would recommend."""
    world = World(5033, rows=360, validation=360, margin=7.0)
    scores = {name: measured(world, name, 5) for name in (BASELINE, "m6")}
    verdict = verdicts_of(scores)["m6"]
    assert verdict.differences["nll_scaled"].better
    assert verdict.wrong_rows == wrong_rows(*scores.values()) < LEAST_WRONG
    assert verdict.decided_by is None
    advice = advice_of(scores)
    assert (advice.method, advice.temperature) == (BASELINE, False)
    assert advice.sentences[0].startswith(f"Only {wrong_rows(scores[BASELINE])} test row")
    assert "Whether a temperature improves cross_entropy is undecided: NLL changes from" in advice.sentences[0]


def test_a_worse_method_is_said_to_be_worse_and_never_recommended():
    world = World(7, rows=1500)
    scores = {BASELINE: measured(world, BASELINE, 4), "worse": measured(world, "worse", 4, gain=-0.6)}
    verdict = verdicts_of(scores)["worse"]
    assert verdict.decided_by is None
    assert verdict.differences["accuracy"].worse
    assert "accuracy" in verdict.worse_in
    assert "Worse than cross entropy beyond chance: worse." in advice_of(scores).sentences


def test_a_gain_in_accuracy_with_a_loss_of_calibration_is_not_recommended():
    world = World(8, rows=2000)
    scores = {BASELINE: measured(world, BASELINE, 5), "mixed": measured(world, "mixed", 5, gain=0.4)}
    # its confidences are wrong in a way that no temperature repairs
    scores["mixed"]["ece_scaled"] = scores["mixed"]["ece_scaled"] + 0.05
    verdict = verdicts_of(scores)["mixed"]
    assert verdict.decided_by == "accuracy"
    assert verdict.worse_in == ("ece_scaled",)
    assert not verdict.recommended
    advice = advice_of(scores)
    assert advice.method == BASELINE
    assert any("but worse in ECE after a temperature" in sentence for sentence in advice.sentences)


def test_intervals_of_deciding_measures_agree_with_adjusted_p_values():
    world = World(11)
    scores = {name: measured(world, name, 3, gain=0.1 * place) for place, name in enumerate((BASELINE, *METHODS))}
    for verdict in verdicts_of(scores).values():
        for name, found in verdict.differences.items():
            assert found.low < found.estimate < found.high
            assert (found.adjusted is not None) == (name in PRIMARY)
            if found.adjusted is not None:
                assert (found.better or found.worse) == (found.adjusted < LEVEL)
                assert found.confidence > 0.96
            else:
                assert found.confidence == pytest.approx(0.95)


def test_differences_are_those_of_the_means():
    world = World(12)
    scores = {BASELINE: measured(world, BASELINE, 3), "a": measured(world, "a", 3)}
    found = verdicts_of(scores)["a"].differences
    for name in MEASURES:
        difference = float(scores["a"][name].mean() - scores[BASELINE][name].mean())
        assert found[name].estimate == pytest.approx(difference, abs=1e-12)
