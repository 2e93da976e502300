"""Measures by class: numbers by hand, agreement with scikit-learn, and the protocol of long tails."""

import pytest
import torch
from measures.simulated import of_record
from sklearn.metrics import balanced_accuracy_score, f1_score

from softtargets.measures import MEASURES
from softtargets.measures.classes import SHOTS
from softtargets.runs.record import Record


def record(labels: list[int], predicted: list[int], *, num_classes: int, train: list[int] | None = None) -> Record:
    """Return a record whose test logits are one-hot at the predicted classes, and with so many examples by class."""
    observed = torch.repeat_interleave(torch.arange(num_classes), torch.tensor(train or [1] * num_classes))
    return Record(
        {
            "test.labels": torch.tensor(labels, dtype=torch.int64),
            "test.logits": torch.eye(num_classes)[torch.tensor(predicted, dtype=torch.int64)],
            "train.labels": observed,
            "train.observed": observed,
        }
    )


# class 0: 3 of 4 right; class 1: 1 of 2 right; class 2 without examples, predicted once; class 3 neither
LABELS, PREDICTED = [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 2]


def test_accuracy_and_f1_are_means_over_classes() -> None:
    given = record(LABELS, PREDICTED, num_classes=4)
    assert of_record("test.macro_accuracy", given) == pytest.approx((3 / 4 + 1 / 2) / 2)
    # F1 is 2 correct / (examples + predictions): 6/7, 2/4, 0/1; class 3 is left out
    assert of_record("test.macro_f1", given) == pytest.approx((6 / 7 + 1 / 2 + 0) / 3)


def test_both_are_those_of_scikit_learn() -> None:
    draw = torch.Generator().manual_seed(0)
    labels, predicted = torch.randint(7, (2, 60), generator=draw).tolist()
    given = record(labels, predicted, num_classes=9)
    assert of_record("test.macro_accuracy", given) == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert of_record("test.macro_f1", given) == pytest.approx(f1_score(labels, predicted, average="macro"))


def test_classes_are_grouped_by_their_training_examples() -> None:
    # many: more than 100; medium: 20 to 100; few: fewer than 20
    train = [101, 100, 20, 19, 0]
    given = record([0, 0, 1, 2, 2, 2, 3, 4], [0, 1, 1, 2, 2, 0, 0, 4], num_classes=5, train=train)
    assert of_record("test.many_shot_accuracy", given) == pytest.approx(1 / 2)
    assert of_record("test.medium_shot_accuracy", given) == pytest.approx((1 + 2 / 3) / 2)
    assert of_record("test.few_shot_accuracy", given) == pytest.approx((0 + 1) / 2)


def test_training_examples_are_counted_by_the_labels_that_the_run_was_given() -> None:
    given = record([0, 1], [0, 0], num_classes=2, train=[120, 30])
    given.predictions["train.observed"] = 1 - given.predictions["train.labels"]
    assert of_record("test.many_shot_accuracy", given) == 0.0
    assert of_record("test.medium_shot_accuracy", given) == 1.0


def test_examples_without_a_label_are_not_counted() -> None:
    given = record([0, 1], [0, 0], num_classes=2, train=[120, 30])
    given.predictions["train.observed"][:100] = -1
    assert of_record("test.many_shot_accuracy", given) is None
    assert of_record("test.medium_shot_accuracy", given) == 0.5


@pytest.mark.parametrize("shot", SHOTS)
def test_a_group_without_classes_or_without_test_examples_has_no_accuracy(shot) -> None:
    counts = {"many": 200, "medium": 50, "few": 5}
    others = [count for name, count in counts.items() if name != shot]
    name = f"test.{shot}_shot_accuracy"
    assert of_record(name, record([0, 1], [0, 1], num_classes=2, train=others)) is None
    assert of_record(name, record([0, 1], [0, 1], num_classes=3, train=[*others, counts[shot]])) is None
    assert of_record(name, record([0, 2], [0, 2], num_classes=3, train=[*others, counts[shot]])) == 1.0


def test_definitions_say_the_limits() -> None:
    texts = [MEASURES[f"test.{shot}_shot_accuracy"].describes for shot in SHOTS]
    assert ["more than 100" in texts[0], "20 to 100" in texts[1], "fewer than 20" in texts[2]] == [True] * 3
