"""NumPy arrays in and out."""

from typing import Any

import numpy as np
import pytest
import torch

from softtargets._arrays import array_function
from softtargets._errors import InputTypeError


@array_function
def weighted(probs: Any, labels: Any, *, factor: Any = 1.0) -> Any:
    assert isinstance(probs, torch.Tensor)
    assert isinstance(factor, float)
    return probs.sum(-1) * factor, {"labels": labels}


def test_arrays_in_and_out() -> None:
    value, parts = weighted(np.full((2, 2), 0.5), np.array([0, 1]), factor=np.float32(2))
    assert isinstance(value, np.ndarray)
    assert value.tolist() == [2.0, 2.0]
    assert parts["labels"].tolist() == [0, 1]


def test_a_tensor_among_the_arguments_gives_tensors() -> None:
    value, _ = weighted(torch.full((2, 2), 0.5), np.array([0, 1]))
    assert isinstance(value, torch.Tensor)


@pytest.mark.parametrize("array", [np.ones((3, 2))[::-1], np.ones((2, 2), dtype=">f4"), np.ones((2, 2), dtype=bool)])
def test_arrays_that_torch_does_not_take_directly(array: np.ndarray) -> None:
    assert len(weighted(array, np.arange(len(array)))[0]) == len(array)


def test_a_read_only_array_is_copied() -> None:
    array = np.ones((2, 2))
    array.setflags(write=False)
    assert weighted(array, np.arange(2))[0].tolist() == [2.0, 2.0]


def test_an_array_of_text_is_refused_by_name() -> None:
    with pytest.raises(InputTypeError, match=r"^labels: an array of numbers or booleans; got dtype <U3; encode labels"):
        weighted(np.ones((1, 2)), np.array(["cat"]))
