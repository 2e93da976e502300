"""Verdicts in words: units of differences and of values, and numbers that are exact."""

from dataclasses import replace

from softtargets.studies.page import files
from softtargets.studies.records import Verdict
from softtargets.studies.wording import word


def _claimed(results, metric, weights, **changes):
    """Return the wording of a verdict whose claim is a contrast of one metric."""
    term = results.study.claims[0].terms[0]
    terms = tuple(term.changed(metric=metric, weight=weight) for weight in weights)
    claim = results.study.claims[0].changed(terms=terms)
    return word(replace(results.verdicts[0], claim=claim, **changes))


def test_a_difference_of_percentages_is_in_points_and_a_percentage_in_percent(results):
    difference = _claimed(results, "test.accuracy", (1.0, -1.0))
    assert (difference.estimate, difference.unit, difference.found) == (
        "+3.12",
        "points",
        "+3.12 points, +1.51 to +4.73",
    )
    value = _claimed(results, "test.accuracy", (1.0,))
    assert (value.estimate, value.unit, value.condition) == ("3.12", "%", "> 0 %")


def test_differences_of_epochs_and_nats_carry_their_units(results):
    epochs = _claimed(results, "epochs.validation98", (1.0, -1.0), estimate=-3.0, low=-5.5, high=-0.5)
    assert epochs.found == "−3.0 epochs, −5.5 to −0.5"
    nats = _claimed(results, "test.nll", (1.0, -1.0), estimate=0.25, low=0.125, high=0.375)
    assert nats.found == "+0.250 nats, +0.125 to +0.375"
    fraction = _claimed(results, "test.ece15", (1.0, -1.0), estimate=0.25, low=0.125, high=0.375)
    assert fraction.found == "+0.250, +0.125 to +0.375"


def test_an_exact_number_has_no_interval(results):
    claim = results.study.claims[0].changed(terms=(), exact="separator.noisy", relation="<")
    verdict = Verdict(claim, "reproduced", estimate=-0.603, low=-0.603, high=-0.603)
    row = word(verdict)
    assert (row.estimate, row.interval, row.condition, row.unit) == ("−0.603", "exact", "< 0", "")
    assert row.found == "−0.603, exact"
    assert "n =" not in row.evidence
    html = files.build(replace(results, verdicts=(verdict,), outputs=("table3",)))["index.html"].decode()
    assert "−0.603</data></b> exact" in html
    assert "<i>exact</i> number was computed without training" in html


def test_an_interval_wider_than_what_is_possible_is_not_printed(results):
    """Two seeds: a difference of accuracies lies between -100 and 100 points, an interval of 5,156 says nothing."""
    wide = {"estimate": -0.01, "low": -25.79, "high": 25.77, "n": 2, "name": "inconclusive"}
    difference = _claimed(results, "test.accuracy", (1.0, -1.0), **wide)
    assert (difference.interval, difference.found) == ("not enough seeds", "−1.00 points, not enough seeds")
    assert (
        _claimed(results, "test.accuracy", (1.0,), **{**wide, "low": -0.4, "high": 0.6}).interval == "not enough seeds"
    )
    assert _claimed(results, "test.accuracy", (1.0, -1.0), **{**wide, "low": -0.9, "high": 0.9}).interval.startswith(
        "["
    )
    assert _claimed(results, "test.nll", (1.0, -1.0), **wide).interval == "[−25.790, +25.770]"


def test_the_page_prints_no_such_interval_anywhere(results):
    wide = [
        replace(verdict, low=-25.79, high=25.77, n=2, name="inconclusive") if verdict.n else verdict
        for verdict in results.verdicts
    ]
    html = files.build(replace(results, verdicts=tuple(wide)))["index.html"].decode()
    assert " points, not enough seeds</span>" in html
    assert "2,579" not in html
    assert "2,577" not in html
