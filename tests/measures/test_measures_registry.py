"""What holds for every measure, taken from the registry."""

import math
from typing import get_args

import pytest
from measures.simulated import of_record, simulated
from measures.small_runs import on_texts, student, trained

from softtargets.measures import MEASURES, TRACES, Measure
from softtargets.measures.registry import GROUPS, NETWORK_TRACES, Unit, measure, network_measures
from softtargets.measures.subject import Subject

OF_RECORD = [name for name, one in MEASURES.items() if one.of is not None]
# of records with logits and labels
OF_LABELS = [name for name in OF_RECORD if not MEASURES[name].of_tokens]


@pytest.mark.parametrize("one", [*MEASURES.values(), *TRACES.values()], ids=lambda one: one.name)
def test_each_is_named_labelled_and_described(one: Measure) -> None:
    assert one in (MEASURES.get(one.name), TRACES.get(one.name))
    assert one.label == one.label.strip() != ""
    assert one.unit in get_args(Unit)
    assert one.describes == " ".join(one.describes.split())
    assert one.describes.endswith(".")
    # of a record, of the network, or a column of the history
    assert [one.of is not None, one.group is not None].count(True) == (one.name in MEASURES)
    assert one.group is None or one.group in GROUPS


@pytest.mark.parametrize(
    ("name", "span"), [("test.accuracy", 1.0), ("test.overconfidence", 2.0), ("test.ece15", 1.0), ("test.nll", None)]
)
def test_the_span_is_the_width_of_what_a_measure_can_be(name, span) -> None:
    assert MEASURES[name].span == span


def test_labels_are_of_one_measure_each() -> None:
    labels = [one.label for one in MEASURES.values()]
    assert len(set(labels)) == len(labels)


# The simulated record has 3 classes, about 20 training examples of each, a validation accuracy of at most 96 %, no
# pseudo-labels and no votes.
UNDEFINED = {
    *(name for name in MEASURES if ".votes." in name),
    "train.pseudo_labels",
    "train.pseudo_label_accuracy",
    "epochs.validation98",
    "test.top3_accuracy",
    "test.top5_accuracy",
    "test.many_shot_accuracy",
}


@pytest.mark.parametrize("name", OF_LABELS)
def test_a_simulated_record_has_a_finite_value(name) -> None:
    value = of_record(name, simulated())
    if name in UNDEFINED:
        assert value is None
    else:
        assert isinstance(value, float)
        assert math.isfinite(value)


@pytest.mark.parametrize("sizes", [{"validation": 0}, {"test": 0}, {"wrong": 0}], ids=str)
@pytest.mark.parametrize("name", OF_LABELS)
def test_without_a_split_or_without_noise_a_value_is_finite_or_none(name, sizes) -> None:
    value = of_record(name, simulated(**sizes))
    assert value is None or math.isfinite(value)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_computes_the_measures_that_name_it(group, store, subject, intents, request) -> None:
    if group == "cross_entropy":  # defined for students
        subject = Subject(student(store), store, None)
    if group == "transfer":  # defined for runs on some of the classes
        six = subject.resolved.run.data.changed(classes=(0, 1, 2, 3, 4, 5))
        subject = Subject(trained(store, data=six), store, None)
    if group == "retrieval":  # defined for texts, also of rare classes and of classes that are left out
        subject = on_texts(store, intents, classes=4, per_class=10)
    if group in ("tokens", "bleu", "validation bleu", "temperatures"):  # defined for networks that write tokens
        pytest.importorskip("transformers", reason="transformers is not installed")
        subject = request.getfixturevalue("written")
    assert set(GROUPS[group](subject)) == {name for name, one in MEASURES.items() if one.group == group}


def test_measures_of_the_record_come_first() -> None:
    assert [*MEASURES][: len(OF_RECORD)] == OF_RECORD


def test_a_trace_of_the_network_is_a_measure_too() -> None:
    assert [*NETWORK_TRACES] == ["information", "train.cross_entropy", "validation.bleu"]
    assert all(TRACES[name] is MEASURES[name] for name in NETWORK_TRACES)


def test_a_name_is_registered_once() -> None:
    before = dict(MEASURES)
    with pytest.raises(ValueError, match=r"measure: a name that is not registered yet; got 'test.accuracy'"):
        measure("test.accuracy", label="again", unit="percent")(lambda record: None)
    with pytest.raises(ValueError, match="measure: a name that is not registered yet; got 'nc1'"):
        network_measures("again", Measure("nc1", "again", "fraction", "Again."))(lambda subject: {})
    assert before == MEASURES
    assert "again" not in GROUPS


def test_the_sentence_is_the_docstring_unless_given(monkeypatch) -> None:
    monkeypatch.setattr("softtargets.measures.registry.MEASURES", {})
    from softtargets.measures import registry

    def documented(record) -> None:
        """What it
        measures.
        """

    registry.measure("one", label="one", unit="nats")(documented)
    registry.measure("two", label="two", unit="nats", describes="Something else.")(documented)
    assert [each.describes for each in registry.MEASURES.values()] == ["What it measures.", "Something else."]
