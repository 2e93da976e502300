"""The answers of an evaluation: which numbers lead to which."""

import math
from dataclasses import replace

import pytest
from evaluate.evaluation_examples import make, with_metrics

from softtargets.evaluate.findings import calibration_tone, find
from softtargets.evaluate.results import EvaluationResults, Finding
from softtargets.evaluate.values import IntervalEnds, MetricDifference, MetricValue


@pytest.fixture(scope="module")
def results() -> EvaluationResults:
    return make(others=1, zeros=3)


def find_all(results: EvaluationResults) -> tuple[Finding, ...]:
    return find(results.models, results.differences, results.confidence)


@pytest.mark.parametrize(
    ("low", "high", "tone", "title"),
    [
        (0.001, 0.0199, "reproduced", "Calibrated to within 2 %"),
        (0.001, 0.0201, "inconclusive", "Undecided whether calibrated to within 2 %"),
        (0.0201, 0.05, "contradicted", "Not calibrated"),
    ],
)
def test_calibration_is_judged_by_the_whole_interval_of_ece(results, low, high, tone, title):
    ece = MetricValue("ece", (low + high) / 2, IntervalEnds(low, high))
    gap = MetricValue("overconfidence", 0.0, IntervalEnds(-0.01, 0.01))
    found = find_all(with_metrics(results, ece, gap))[0]
    assert found.tone == tone == calibration_tone(ece)
    assert found.title.startswith(title)
    assert "over-confident by" not in found.title


def test_without_an_interval_nothing_is_decided(results):
    bare = MetricValue("ece", 0.5, None, "No interval here.")
    found = find_all(with_metrics(results, bare))[0]
    assert found.tone == "inconclusive"
    assert found.sentences == ("ECE is 50.00 %. No interval here.",)


def test_the_side_of_miscalibration_is_told_where_it_is_sure(results):
    ece = MetricValue("ece", 0.08, IntervalEnds(0.07, 0.09))

    def title(gap: float) -> str:
        side = MetricValue("overconfidence", gap, IntervalEnds(gap - 0.02, gap + 0.02))
        return find_all(with_metrics(results, ece, side))[0].title

    assert title(0.07) == "Not calibrated: over-confident by 7.0 points overall."
    assert title(-0.07) == "Not calibrated: under-confident by 7.0 points overall."
    assert title(0.01) == "Not calibrated: neither over- nor under-confident overall."


@pytest.mark.parametrize(
    ("before", "after", "change", "title"),
    [
        (0.01, 0.01, 0.0, "Temperature scaling is not needed."),
        (0.10, 0.01, -0.09, "Temperature scaling corrects the calibration."),
        (0.10, 0.05, -0.05, "Temperature scaling helps, but may not be enough."),
        (0.10, 0.10, 0.0, "Temperature scaling does not help."),
    ],
)
def test_a_temperature_is_judged_by_what_it_changes(results, before, after, change, title):
    def near(value: float) -> MetricValue:
        return MetricValue("ece", value, IntervalEnds(value - 0.005, value + 0.005))

    results = with_metrics(results, near(before))
    scaled = results.main.temperature
    assert scaled is not None
    converged = (True, False, True, True, True)
    scaled = replace(scaled, metrics=(near(after),), changes=(near(change),), converged=converged)
    main = replace(results.main, temperature=scaled)
    found = find_all(replace(results, models=(main, *results.others)))[1]
    assert found.title == title
    assert f"ECE {100 * before:.2f} % → {100 * after:.2f} %" in found.sentences[0]
    assert found.sentences[0].endswith("In 1 of 5 folds the search for T did not converge.")


def test_a_model_is_better_where_a_real_difference_says_so(results):
    def compared(*differences: MetricDifference) -> tuple[str, str, str]:
        found = find_all(replace(results, differences=differences))[2]
        return found.tone, found.title, found.sentences[0]

    def of(metric: str, value: float, real: bool) -> MetricDifference:
        return MetricDifference(
            metric, "resnet-hard", value, IntervalEnds(value - 0.01, value + 0.01), 0.01, 0.03, real
        )

    assert compared(of("accuracy", 0.05, True), of("ece", -0.02, True), of("aurc", -0.1, False)) == (
        "reproduced",
        "Better than resnet-hard.",
        "Better: Accuracy (+5.00 points), ECE (−2.00 points). No significant difference: AURC.",
    )
    assert compared(of("nll", 0.2, True))[:2] == ("contradicted", "Worse than resnet-hard.")
    mixed = compared(of("accuracy", 0.05, True), of("nll", 0.2, True))
    assert mixed[1] == "Better than resnet-hard by some metrics, worse by others."
    assert mixed[2] == "Better: Accuracy (+5.00 points). Worse: NLL (+0.200 nats)."
    assert compared(of("accuracy", 0.05, False))[:2] == ("inconclusive", "No significant difference from resnet-hard.")
    infinite = MetricDifference("nll", "resnet-hard", math.inf, why="One of the two is infinite.")
    assert compared(infinite)[2] == "Not compared: NLL."
    assert infinite.verdict == "not compared"


def test_results_say_what_was_found_in_a_line() -> None:
    results = make()
    assert repr(results).startswith(f"EvaluationResults: {results.main.num_rows:,} rows of {results.main.name}, ")
    assert results.findings[0].title in repr(results)
    assert "\n" not in repr(results)
