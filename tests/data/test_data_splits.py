"""Stratified splits and limits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from softtargets._errors import InputError
from softtargets.data import DataSpec, Limit
from softtargets.data._splits import missing_class, split


def labels_of(*counts: int) -> torch.Tensor:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]


def divided(labels: torch.Tensor, origin: torch.Tensor | None = None, **values: object) -> dict[str, torch.Tensor]:
    start = torch.zeros(len(labels), dtype=torch.uint8) if origin is None else origin
    return split(labels, start, DataSpec.model_validate({"name": "digits", **values}))


def test_shares_are_kept_in_every_class() -> None:
    labels = labels_of(50, 30, 20)
    rows = divided(labels, test=0.2, validation=0.25)
    assert labels[rows["test"]].bincount().tolist() == [10, 6, 4]
    assert labels[rows["validation"]].bincount().tolist() == [10, 6, 4]
    assert labels[rows["train"]].bincount().tolist() == [30, 18, 12]


def test_quotas_by_largest_remainder_sum_to_the_total() -> None:
    # 0.3 of 7, 7, 6 is 2.1, 2.1, 1.8: 6 in all, the last one to the class with the largest remainder.
    rows = divided(labels_of(7, 7, 6), test=0.3, validation=0.0)
    assert labels_of(7, 7, 6)[rows["test"]].bincount().tolist() == [2, 2, 2]


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=6),
    share=st.floats(0.05, 0.5),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_row_is_in_one_split_and_the_total_is_rounded(counts: list[int], share: float, seed: int) -> None:
    labels = labels_of(*counts)
    if int(share * len(labels) + 0.5) == 0:
        return
    rows = divided(labels, test=share, validation=0.0, split_seed=seed)
    both = torch.cat([rows["train"], rows["test"]])
    assert both.sort().values.tolist() == list(range(len(labels)))
    assert all(part.tolist() == sorted(part.tolist()) for part in rows.values())
    assert missing_class(labels[rows["train"]], [""] * len(counts)) is None
    most = len(labels) - len(counts)
    assert len(rows["test"]) == min(int(share * len(labels) + 0.5), most)


def test_the_seed_decides_and_nothing_else() -> None:
    labels = labels_of(40, 40)
    first = divided(labels, split_seed=3)
    torch.manual_seed(99)
    again, other = divided(labels, split_seed=3), divided(labels, split_seed=4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["test"], other["test"])


def test_the_validation_share_leaves_the_test_rows_alone() -> None:
    labels = labels_of(40, 40)
    assert torch.equal(divided(labels, validation=0.1)["test"], divided(labels, validation=0.4)["test"])


def test_own_splits_are_kept() -> None:
    labels = labels_of(20, 20)
    origin = torch.tensor([0] * 20 + [1] * 10 + [2] * 10, dtype=torch.uint8)
    rows = divided(labels, origin, validation=0.5, test=0.5)
    assert {name: part.tolist() for name, part in rows.items()} == {
        "train": list(range(20)),
        "validation": list(range(20, 30)),
        "test": list(range(30, 40)),
    }
    only_test = divided(labels, origin.clamp(max=0) + 2 * (origin == 2), validation=0.5)
    assert (len(only_test["train"]), len(only_test["validation"]), len(only_test["test"])) == (15, 15, 10)


@pytest.mark.parametrize("counts", [(60, 30, 10), (33, 33, 33), (7, 50, 20, 3)])
def test_a_smaller_limit_lies_within_a_larger_one(counts: tuple[int, ...]) -> None:
    labels, before = labels_of(*counts), set()
    whole = set(divided(labels)["train"].tolist())
    for limit in range(1, len(whole) + 2):
        rows = divided(labels, limit={"train": limit})["train"]
        assert len(rows) == min(limit, len(whole))
        assert before <= set(rows.tolist()) <= whole
        assert rows.tolist() == sorted(rows.tolist())
        before = set(rows.tolist())


def test_limits_are_stratified_and_leave_the_other_splits_alone() -> None:
    labels = labels_of(500, 300, 200)
    free, limited = divided(labels), divided(labels, limit=Limit(train=64, test=20))
    assert labels[limited["train"]].bincount().tolist() == [32, 19, 13]
    assert labels[limited["test"]].bincount().tolist() == [10, 6, 4]
    assert torch.equal(free["validation"], limited["validation"])


def test_a_share_too_small_for_one_example_is_named() -> None:
    with pytest.raises(
        InputError, match=r"test: a share that holds out at least one example; got 0\.05 of 4 in 'digits'; give"
    ):
        divided(labels_of(2, 2), test=0.05)


@pytest.mark.parametrize("name", ["validation", "test"])
@pytest.mark.parametrize(("share", "left", "largest"), [(0.999, 0, 0.9), (0.95, 5, 0.9), (0.91, 9, 0.9)])
def test_a_share_that_leaves_next_to_nothing_is_refused_with_the_largest_that_works(name, share, left, largest) -> None:
    shares = {"test": 0.0, "validation": 0.0}
    labels = labels_of(50, 50)
    text = rf"{name}: .* 10 training examples, 5 per class; got {share} of 100 in 'digits', which leaves {left}; .* 0.9"
    with pytest.raises(InputError, match=text):
        divided(labels, **{**shares, name: share})
    assert len(divided(labels, **{**shares, name: largest})["train"]) == 10


def test_a_share_of_at_most_one_half_is_always_kept() -> None:
    assert len(divided(labels_of(2, 2), test=0.5, validation=0)["train"]) == 2
    with pytest.raises(InputError, match=r"which leaves 1; use at most 0\.5"):
        divided(labels_of(2, 2), test=0.7, validation=0)


def test_a_share_of_zero_holds_out_nothing() -> None:
    assert len(divided(labels_of(2, 2), test=0, validation=0)["test"]) == 0


def test_folds_divide_the_training_part() -> None:
    labels = labels_of(30, 20, 3)
    whole = divided(labels, validation=0, test=0.2)
    folds = [divided(labels, test=0.2, fold={"index": index, "count": 4}) for index in range(4)]
    held_out = torch.cat([rows["validation"] for rows in folds])
    assert torch.equal(held_out.sort().values, whole["train"])
    # 42 rows
    assert sorted(len(rows["validation"]) for rows in folds) == [10, 10, 11, 11]
    for rows in folds:
        assert torch.equal(torch.cat([rows["train"], rows["validation"]]).sort().values, whole["train"])
        assert torch.equal(rows["test"], whole["test"])
        assert all(part.tolist() == sorted(part.tolist()) for part in rows.values())


def test_the_validation_share_and_the_labels_play_no_part_in_folds() -> None:
    fold = {"index": 1, "count": 3}
    first = divided(labels_of(20, 20), test=0, fold=fold)
    for other in (
        divided(labels_of(20, 20), test=0, fold=fold, validation=0.5),
        divided(labels_of(39, 1), test=0, fold=fold),
    ):
        assert torch.equal(first["validation"], other["validation"])
    again = divided(labels_of(20, 20), test=0, fold=fold, split_seed=1)
    assert not torch.equal(first["validation"], again["validation"])


def test_folds_divide_what_the_limit_keeps() -> None:
    labels = labels_of(30, 30)
    kept = divided(labels, test=0, validation=0, limit={"train": 20})["train"]
    folds = [divided(labels, test=0, limit={"train": 20}, fold={"index": index, "count": 3}) for index in range(3)]
    assert torch.equal(torch.cat([rows["validation"] for rows in folds]).sort().values, kept)


def test_folds_within_the_training_split_leave_validation_rows_out() -> None:
    labels, limit = labels_of(20, 20), {"train": 12, "validation": 4}
    whole = divided(labels, test=0.2, limit=limit)
    folds = [divided(labels, test=0.2, limit=limit, fold={"index": i, "count": 3, "within": "train"}) for i in range(3)]
    assert torch.equal(torch.cat([rows["validation"] for rows in folds]).sort().values, whole["train"])
    for rows in folds:
        assert torch.equal(torch.cat([rows["train"], rows["validation"]]).sort().values, whole["train"])
        assert torch.equal(rows["test"], whole["test"])


def test_a_validation_split_of_its_own_is_in_no_fold() -> None:
    origin = torch.tensor([0] * 20 + [1] * 10 + [2] * 10, dtype=torch.uint8)
    rows = divided(labels_of(20, 20), origin, fold={"index": 0, "count": 2})
    assert len(rows["train"]) == len(rows["validation"]) == 10
    assert torch.cat([rows["train"], rows["validation"]]).sort().values.tolist() == list(range(20))
    assert rows["test"].tolist() == list(range(30, 40))


def test_more_folds_than_rows() -> None:
    with pytest.raises(
        InputError, match=r"fold\.count: at most 4, the number of training rows; got 5; use fewer folds"
    ):
        divided(labels_of(2, 2), test=0, fold={"index": 0, "count": 5})
