"""Numbers as text."""

import pytest

from softtargets.report import numbers
from softtargets.studies import labels
from softtargets.studies.records import Summary


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.8122, "percent", "81.22"),
        (1.0, "percent", "100.00"),
        (0.1114, "fraction", "0.111"),
        (2.345, "logits", "2.35"),
        (-0.5, "nats", "−0.500"),
        (-0.00001, "percent", "0.00"),
        (float("nan"), "percent", "not finite"),
        (None, "percent", "—"),
    ],
)
def test_a_number_has_the_digits_of_its_unit(value, unit, text):
    assert numbers.number(value, unit) == text


def test_a_difference_carries_its_sign_unless_it_rounds_to_zero():
    signed = [numbers.number(v, "percent", signed=True) for v in (0.01, -0.01, 0.00001)]
    assert signed == ["+1.00", "−1.00", "0.00"]


def test_one_seed_shows_no_deviation():
    assert labels.summary_text(Summary(0.5, 0.0, 1, 0.5, 0.5), "percent") == "50.00 (1)"


def test_an_unknown_metric_is_called_by_its_name():
    assert labels.heading("my.metric") == "my.metric"


def test_a_known_metric_is_headed_by_its_label_and_unit():
    assert labels.heading("test.accuracy") == "Test accuracy (%)"


@pytest.mark.parametrize(
    ("unit", "difference", "value"),
    [("percent", "points", "%"), ("nats", "nats", "nats"), ("epochs", "epochs", "epochs"), ("fraction", "", "")],
)
def test_a_difference_and_a_value_carry_their_units(unit, difference, value):
    assert (numbers.difference_unit(unit), numbers.value_unit(unit)) == (difference, value)


def test_what_the_lab_measures_analyses_and_traces_has_its_own_unit():
    units = {name: labels.measure(name).unit for name in ("epochs.validation98", "information", "nc4", "objective")}
    assert units == {"epochs.validation98": "epochs", "information": "nats", "nc4": "percent", "objective": "nats"}


def test_names_are_listed_as_in_a_sentence() -> None:
    cases = {(): "", ("a",): "a", ("a", "b"): "a and b", ("a", "b", "c"): "a, b and c"}
    assert {names: numbers.listed(names) for names in cases} == cases


@pytest.mark.parametrize(
    ("low", "high", "unit", "signed", "shown"),
    [
        (-0.00803, -0.0000537, "fraction", True, ("−0.008", "−0.00005")),
        (0.000004, 0.0131, "percent", True, ("+0.0004", "+1.31")),
        (0.0004, 0.02, "fraction", False, ("0.0004", "0.020")),
        (-0.0001, 0.02, "fraction", True, ("0.000", "+0.020")),
        (0.0, 0.02, "fraction", False, ("0.000", "0.020")),
    ],
)
def test_an_interval_that_excludes_0_does_not_end_at_it(low, high, unit, signed, shown):
    assert numbers.ends(low, high, unit, signed=signed) == shown
