"""Logit gaps of the mislabelled part, the clean part and the whole training split: numbers by hand."""

import pytest
import torch
from measures.simulated import of_record

from softtargets.measures import MEASURES
from softtargets.measures.gaps import GAPS, gaps_of
from softtargets.runs.record import Record

# two clean rows of class 0 and one row of class 1 labelled 2
LOGITS = torch.tensor([[3.0, 0.0, 0.0], [6.0, 0.0, 0.0], [0.0, 2.0, 4.0]])
TRUE, OBSERVED = torch.tensor([0, 0, 1]), torch.tensor([0, 0, 2])
# gaps of the label: 3 - 1, 6 - 2; of the mislabelled row 2 - 2 (true) and 4 - 2 (observed)
BY_HAND = {
    "gap.true": [0.0],
    "gap.observed": [2.0],
    "gap.clean": [2.0, 4.0],
    "gap.full.true": [2.0, 4.0, 0.0],
    "gap.full.observed": [2.0, 4.0, 2.0],
}


def record(rows: list[int]) -> Record:
    return Record({"train.logits": LOGITS[rows], "train.labels": TRUE[rows], "train.observed": OBSERVED[rows]})


@pytest.mark.parametrize("name", BY_HAND)
def test_each_is_what_is_computed_by_hand(name) -> None:
    given = record([0, 1, 2])
    expected = torch.tensor(BY_HAND[name])
    assert torch.allclose(gaps_of(given.predictions, name.removeprefix("gap.")), expected)
    assert of_record(name, given) == pytest.approx(float(expected.mean()))


def test_every_gap_has_a_hand_number() -> None:
    assert [*BY_HAND] == [f"gap.{name}" for name in GAPS] == [name for name in MEASURES if name.startswith("gap.")]


def test_a_part_without_examples_has_no_gap() -> None:
    clean, noisy = record([0, 1]), record([2])
    assert [of_record(name, clean) for name in ("gap.true", "gap.observed")] == [None, None]
    assert of_record("gap.clean", noisy) is None
    assert of_record("gap.full.true", clean) == of_record("gap.clean", clean) == 3.0
