"""Epochs to a level."""

import pytest
import torch

from softtargets.analysis import epochs_to


def test_the_first_epoch_counts_from_1_and_a_later_fall_is_nothing() -> None:
    assert epochs_to([0.9, 0.1], 0.9) == 1
    assert epochs_to([0.5, 0.75, 0.6], 0.7) == 2
    assert epochs_to(torch.tensor([0.5, 0.75, 0.6]), 0.75) == 2


def test_lower_is_better() -> None:
    assert epochs_to([2.0, 1.0, 0.5], 1.0, higher_is_better=False) == 2
    assert epochs_to([0.5, 2.0], 1.0) == 2


def test_never() -> None:
    assert epochs_to([0.1, 0.2], 0.5) is None
    assert epochs_to([], 0.5) is None
    assert epochs_to([float("nan"), float("nan")], 0.0) is None


def test_the_best_value_as_level() -> None:
    values = torch.rand(20, generator=torch.Generator().manual_seed(0))
    assert epochs_to(values, float(values.max())) == int(values.argmax()) + 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_tensor_is_held_against_the_level_in_its_own_precision(dtype: torch.dtype) -> None:
    # .9 is below .9 once rounded to float32
    assert epochs_to(torch.tensor([0.5, 0.9], dtype=dtype), 0.9) == 2
    assert epochs_to(torch.tensor([0.5, 0.1], dtype=dtype), 0.1, higher_is_better=False) == 2


def test_errors() -> None:
    with pytest.raises(ValueError, match="level: a number; got nan"):
        epochs_to([0.5], float("nan"))
    with pytest.raises(ValueError, match=r"values: shape \(E,\); got \(1, 2\)"):
        epochs_to(torch.zeros(1, 2), 0.5)
