"""Smoothing conventions: the definitions of the libraries, and conversion between all of them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.losses import gold_and_other, smoothed

from softtargets import targets

CONVENTIONS = ["all", "others", "others-but-padding", "classy", "binary"]


def classes_of(convention: str) -> int:
    return 2 if convention == "binary" else 5


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("convention", ["all", "others", "classy", "binary"])
def test_smooth_gives_the_weights_of_the_convention(convention: str, smoothing: float) -> None:
    size = classes_of(convention)
    made = targets.smooth(torch.arange(size), smoothing, num_classes=size, convention=convention).to_dense(size)
    for label in range(size):
        expected = smoothed(label, smoothing, size, convention)
        assert made[label].tolist() == pytest.approx(expected, abs=1e-15, rel=1e-14)


def test_smooth_leaves_the_padding_class_out() -> None:
    valid = torch.tensor([False, True, True, True, True])
    made = targets.smooth(torch.tensor([3]), 0.3, num_classes=5, convention="others-but-padding", valid=valid)
    gold, other = gold_and_other(0.3, 5, "others-but-padding")
    assert made.to_dense()[0].tolist() == pytest.approx([0, other, other, gold, other], abs=1e-15)


def test_a_padding_class_needs_a_mask_that_leaves_it_out() -> None:
    required = "valid: a mask that leaves the padding class out, for convention 'others-but-padding'"
    for valid, got in ((None, "None"), (torch.ones(5, dtype=torch.bool), "all True")):
        with pytest.raises(ValueError, match=f"^{required}; got {got}; pass valid=, False at that class$"):
            targets.smooth(torch.tensor([3]), 0.3, num_classes=5, convention="others-but-padding", valid=valid)


@pytest.mark.parametrize("convention", ["others", "classy"])
def test_a_mask_tells_the_number_of_classes(convention: str) -> None:
    valid = torch.tensor([True, True, True])
    made = targets.smooth(torch.tensor([0]), 0.3, convention=convention, valid=valid)
    assert made.to_dense()[0].tolist() == pytest.approx(smoothed(0, 0.3, 3, convention), abs=1e-15)


@pytest.mark.parametrize("rows", [False, True])
def test_the_others_are_those_that_are_valid(rows: bool) -> None:
    valid = torch.tensor([True, True, True, True, False])
    if rows:
        valid = torch.stack([valid, torch.tensor([True, False, False, True, False])])
    made = targets.smooth(torch.tensor([0, 3]), 0.3, num_classes=5, convention="others", valid=valid).to_dense()
    assert made[0].tolist() == pytest.approx([0.7, 0.1, 0.1, 0.1, 0], abs=1e-15)
    assert made[1].tolist() == pytest.approx([0.3, 0, 0, 0.7, 0] if rows else [0.1, 0.1, 0.1, 0.7, 0], abs=1e-15)


def test_a_label_without_others_keeps_everything() -> None:
    valid = torch.tensor([[True, False, False]])
    made = targets.smooth(torch.tensor([0]), 0.3, num_classes=3, convention="others", valid=valid)
    assert made.to_dense()[0].tolist() == pytest.approx([1, 0, 0])


@settings(deadline=None, database=None, max_examples=60)
@given(st.sampled_from(CONVENTIONS[:4]), st.sampled_from(CONVENTIONS[:4]), st.floats(0, 0.7), st.integers(4, 1000))
def test_there_and_back_again(source: str, target: str, smoothing: float, num_classes: int) -> None:
    there = targets.convert_smoothing(smoothing, num_classes=num_classes, source=source, target=target)
    back = targets.convert_smoothing(there, num_classes=num_classes, source=target, target=source)
    assert back == pytest.approx(smoothing, abs=1e-12)


@pytest.mark.parametrize("convention", ["others", "classy"])
@pytest.mark.parametrize("num_classes", [3, 10, 1000])
def test_conversion_keeps_the_target(convention: str, num_classes: int) -> None:
    converted = targets.convert_smoothing(0.2, num_classes=num_classes, source="all", target=convention)
    assert isinstance(converted, float)
    assert gold_and_other(converted, num_classes, convention) == pytest.approx(gold_and_other(0.2, num_classes, "all"))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_no_smoothing_is_0_everywhere(convention: str) -> None:
    size = classes_of(convention)
    assert targets.convert_smoothing(0.0, num_classes=size, source=convention) == 0
    assert targets.convert_smoothing(0.0, num_classes=size, target=convention) == 0


def test_tensors_are_converted_entry_by_entry() -> None:
    given = torch.tensor([0.0, 0.2, 0.7], dtype=torch.float64)
    made = targets.convert_smoothing(given, num_classes=5, source="others", target="classy")
    assert isinstance(made, torch.Tensor)
    assert made.tolist() == pytest.approx(
        [targets.convert_smoothing(r, num_classes=5, source="others", target="classy") for r in given.tolist()]
    )


def test_everything_to_the_others_is_more_than_all() -> None:
    assert targets.convert_smoothing(1.0, num_classes=4, source="others") == pytest.approx(4 / 3)
    assert targets.smooth(torch.tensor([1]), 1.0, num_classes=3, convention="others").to_dense(3)[0].tolist() == (
        pytest.approx([0.5, 0, 0.5], abs=1e-15)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "other"}, r"convention: one of all, others, .*; got 'other'; did you mean 'others'\?"),
        ({"target": "szegedy"}, "convention: one of all.*; got 'szegedy'"),
        ({"source": "binary"}, "num_classes: 2 for the convention 'binary'; got 5; use 'all' or 'others'"),
        ({"source": "others-but-padding", "num_classes": 2}, "num_classes: at least 3 with a padding class; got 2"),
        ({"num_classes": 1}, "num_classes: at least 2; got 1"),
        (
            {"smoothing": 1.0, "target": "classy"},
            "smoothing: below 1 in the 'all' convention, for 'classy'; got 1; choose a smaller value",
        ),
        ({"smoothing": torch.tensor([0.1, 1.0]), "target": "classy"}, "smoothing: below 1 .*; got 1 at row 1"),
    ],
)
def test_what_cannot_be_converted_is_said(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        targets.convert_smoothing(**{"smoothing": 0.1, "num_classes": 5, **arguments})


def test_a_convention_needs_the_number_of_classes() -> None:
    with pytest.raises(ValueError, match="num_classes: a number for convention 'others'; got None; pass num_classes="):
        targets.smooth(torch.tensor([0]), 0.1, convention="others")


@pytest.mark.parametrize("smoothing", [-1.0, -2.0, torch.tensor([0.1, -1.5])])
def test_a_classy_smoothing_is_above_minus_1(smoothing: float | torch.Tensor) -> None:
    with (
        pytest.warns(UserWarning, match="unbounded below"),
        pytest.raises(
            ValueError, match=r"smoothing: above -1 in the convention 'classy'; got -\d.*; choose a larger value"
        ),
    ):
        targets.smooth(torch.tensor([0, 1]), smoothing, num_classes=3, convention="classy", allow_negative=True)


def test_the_largest_classy_smoothing_is_a_half_of_all() -> None:
    assert targets.convert_smoothing(1.0, num_classes=7, source="classy") == 0.5
    assert math.isclose(gold_and_other(1.0, 7, "classy")[1], 0.5 / 7)
