"""Top-k accuracy: numbers by hand, and the smallest number of classes."""

import pytest
import torch
from measures.simulated import of_record

from softtargets.runs.record import Record


def record(logits: torch.Tensor, labels: list[int]) -> Record:
    return Record({"test.logits": logits, "test.labels": torch.tensor(labels, dtype=torch.int64)})


# logits in descending order: class k has rank k
DESCENDING = torch.arange(6.0).flip(0)


def test_a_label_counts_if_it_is_among_the_k_largest_logits() -> None:
    given = record(DESCENDING.expand(6, 6), [0, 1, 2, 3, 4, 5])
    assert of_record("test.accuracy", given) == pytest.approx(1 / 6)
    assert of_record("test.top3_accuracy", given) == pytest.approx(3 / 6)
    assert of_record("test.top5_accuracy", given) == pytest.approx(5 / 6)


@pytest.mark.parametrize(("name", "k"), [("test.top3_accuracy", 3), ("test.top5_accuracy", 5)])
def test_it_is_defined_only_for_more_than_k_classes(name, k) -> None:
    assert of_record(name, record(DESCENDING[:k].expand(2, k), [0, 1])) is None
    assert of_record(name, record(DESCENDING[: k + 1].expand(2, k + 1), [0, k])) == 0.5


@pytest.mark.parametrize("name", ["test.top3_accuracy", "test.top5_accuracy"])
def test_without_test_examples_there_is_none(name) -> None:
    assert of_record(name, record(torch.zeros(0, 8), [])) is None
