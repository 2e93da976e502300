"""Measures of predictions by class: hand numbers of every reading, and splits that are too small for one."""

import math

import pytest
import torch
from measures.simulated import of_record

from softtargets.measures import MEASURES
from softtargets.measures.stability import BETWEEN, WITHIN
from softtargets.runs.record import Record


def value(name: str, probs: list[list[float]], labels: list[int]) -> float | None:
    given = {
        "test.logits": torch.tensor(probs, dtype=torch.float64).reshape(-1, 2).log().float(),
        "test.labels": torch.tensor(labels, dtype=torch.int64),
    }
    return of_record(name, Record(given))


# class 0: .9 and .5 around .7; class 1: .8 and .8
PROBS, LABELS = [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.2, 0.8]], [0, 0, 1, 1]
BY_HAND = {
    # (sqrt(2) * .2 + 0) / 2, and its squares
    "stability.norm": math.sqrt(2) * 0.2 / 2,
    "stability.squared": 2 * 0.04 / 2,
    # (sqrt(.08 / 1) + 0) / 2
    "stability.listing": math.sqrt(0.08) / 2,
    # means .7 and .2 of class 0 around .45: .25 each way
    "stability.inter.norm": math.sqrt(2) * 0.25,
    "stability.inter.squared": 2 * 0.0625,
    # own probabilities .7 and .8 around .75
    "stability.inter.scalar": 0.05,
    "test.minor": (0.1 + 0.5 + 0.2 + 0.2) / 4,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_each_is_what_is_computed_by_hand(name) -> None:
    assert value(name, PROBS, LABELS) == pytest.approx(BY_HAND[name], abs=1e-6)


def test_every_reading_has_its_measure_and_a_hand_number() -> None:
    readings = [f"stability.{name}" for name in WITHIN] + [f"stability.inter.{name}" for name in BETWEEN]
    assert [*readings, "test.minor"] == [*BY_HAND]
    assert set(readings) == {name for name in MEASURES if name.startswith("stability.")}


@pytest.mark.parametrize("name", BY_HAND)
def test_without_a_test_split_none_is_defined(name) -> None:
    assert value(name, [], []) is None


def test_a_class_of_one_example_has_no_part_in_a_standard_deviation() -> None:
    found = value("stability.listing", [*PROBS[:2], PROBS[2]], [0, 0, 1])
    assert found == pytest.approx(math.sqrt(0.08), abs=1e-6)
    assert value("stability.listing", [PROBS[0], PROBS[2]], [0, 1]) is None
    assert value("stability.norm", [PROBS[0], PROBS[2]], [0, 1]) == pytest.approx(0, abs=1e-12)


def test_other_labels_of_the_training_split_change_nothing() -> None:
    # the test split is clean and stands alone: no other split is looked at
    given = {"test.logits": torch.zeros(2, 2), "test.labels": torch.tensor([0, 1])}
    assert of_record("test.minor", Record(given)) == 0.5


@pytest.mark.parametrize("num_classes", [2, 3, 150])
def test_any_number_of_classes_is_averaged_over_those_with_examples(num_classes) -> None:
    draw = torch.Generator().manual_seed(num_classes)
    logits = torch.randn(400, num_classes, generator=draw)
    labels = torch.randint(max(2, num_classes // 2), (400,), generator=draw)  # half of many classes have no example
    given = Record({"test.logits": logits, "test.labels": labels})
    probs, spreads, distances = logits.double().softmax(1), [], []
    for label in labels.unique():
        own = probs[labels == label]
        spreads.append(float((own - own.mean(0)).norm(dim=1).mean()))  # Eq. 2
        distances.append(float((own.mean(0) - probs.mean(0)).norm()))  # Eq. 5
    assert of_record("stability.norm", given) == pytest.approx(sum(spreads) / len(spreads), rel=1e-9)
    assert of_record("stability.inter.norm", given) == pytest.approx(sum(distances) / len(distances), rel=1e-9)
