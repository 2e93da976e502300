"""Arrays as predictions: which are taken, and which are refused with the row and the argument."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from softtargets._errors import InputError, InputTypeError
from softtargets.data.predictions import predictions_of
from softtargets.data.predictions.arrays import as_tensor

PROBS = np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])
LABELS = np.array([0, 1, 1])


def given(labels: Any = LABELS, probs: Any = PROBS, logits: Any = None, class_names: Any = None):
    return predictions_of(probs, logits, labels, class_names=class_names)


def _read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "probs",
    [
        PROBS.tolist(),
        PROBS.astype("float16"),
        PROBS.astype(">f8"),
        _read_only(PROBS),
        torch.tensor(PROBS, requires_grad=True),
        np.asfortranarray(PROBS)[:, ::-1][:, ::-1],
    ],
    ids=["list", "half", "big-endian", "read-only", "gradient", "strided"],
)
def test_values_are_taken_as_any_array(probs):
    found = given(probs=probs)
    assert found.kind == "probs"
    assert not found.values.requires_grad
    assert found.values.tolist() == PROBS.tolist()


@pytest.mark.parametrize(
    "labels", [LABELS.tolist(), LABELS.astype("uint8"), LABELS.astype(bool), LABELS.astype(">i4"), LABELS.astype(float)]
)
def test_labels_are_taken_as_any_whole_numbers(labels):
    found = given(labels=labels)
    assert found.labels is not None
    assert found.labels.dtype == torch.int64
    assert found.labels.tolist() == [0, 1, 1]


def test_one_column_is_a_binary_problem():
    assert given(probs=PROBS[:, 1]).values.tolist() == given(probs=PROBS[:, 1:]).values.tolist()
    assert np.allclose(given(probs=PROBS[:, 1]).values.numpy(), PROBS)


def test_votes_are_soft_labels():
    found = given(labels=np.array([[2, 1], [0, 3], [1, 1]]))
    assert found.labels is not None
    assert found.soft is not None
    assert found.labels.tolist() == [0, 1, 0]
    assert found.soft.tolist() == [[2 / 3, 1 / 3], [0, 1], [0.5, 0.5]]
    (chunk,) = found.chunks()
    assert chunk.soft is not None
    assert given(labels=LABELS).soft is None


def test_logits_and_names_are_kept():
    found = given(probs=None, logits=[[1, 2], [3, 4], [5, 6]], class_names=["a", "b"])
    assert (found.kind, found.class_names, found.values.dtype) == ("logits", ("a", "b"), torch.float64)
    assert given(labels=None).labels is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"probs": None}, "probs: either probs or logits; got neither"),
        ({"logits": PROBS}, "probs: either probs or logits; got both"),
        ({"probs": PROBS[:, 0] + 1}, "probs: .*; got a sum of 1 and a minimum of .* in row"),
        ({"labels": np.array([[2, 1, 0]] * 3)}, r"labels: shape \(3,\), .*, or \(3, 2\), votes.*got shape \(3, 3\)"),
        ({"labels": np.array([[2, 1], [0, 0], [1, 1]])}, "labels: at least one vote in every row; got none at row 1"),
        ({"labels": np.array([[2, 1], [1, -1], [1, 1]])}, "labels: .* at least 0; got -1 at row 1, class 1"),
        ({"probs": PROBS[:0], "labels": LABELS[:0]}, r"probs: shape \(N, K\) with N of at least 1"),
        ({"probs": np.array(0.5)}, r"probs: shape \(N, K\).*got shape \(\)"),
        ({"probs": np.where(np.eye(3, 2) == 1, np.nan, 0.5)}, "probs: finite probs; got nan in row 0, class 0"),
        ({"probs": PROBS * [[1], [0.5], [1]]}, "probs: .*; got a sum of 0.5 in row 1; .* or pass logits="),
        (
            {"probs": np.array([[1.25, -0.25]] * 3)},
            "probs: .*; got a sum of 1 and a minimum of -0.25 in row 0; .*logits=",
        ),
        ({"labels": LABELS[:2]}, r"labels: shape \(3,\).*got shape \(2,\)"),
        ({"labels": LABELS[:, None]}, r"labels: shape \(3,\).*got shape \(3, 1\)"),
        ({"labels": np.array([0, 1, 2])}, "labels: .*got 2 in row 2"),
        ({"labels": np.array([0, -1, 1])}, "labels: .*got -1 in row 1"),
        ({"labels": np.array([0, 0.5, 1])}, "labels: .*got 0.5 in row 1"),
        ({"class_names": ["a"]}, "class_names: 2 names, one for each class; got 1"),
    ],
)
def test_bad_arrays_are_refused_with_the_argument_and_the_row(arguments, words):
    with pytest.raises(InputError, match=words):
        given(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"probs": PROBS * 1j}, "probs: an array of numbers; got ndarray of complex128"),
        ({"probs": torch.tensor(PROBS) * 1j}, "probs: an array of real numbers"),
        ({"labels": np.array(["a", "b", "b"])}, "labels: an array of numbers; got ndarray"),
        ({"labels": PROBS, "probs": object()}, "probs: an array of numbers; got object"),
        ({"probs": [[0.5, 0.5], [1.0]]}, "probs: an array of numbers; got list"),
    ],
)
def test_arrays_of_another_type_are_refused(arguments, words):
    with pytest.raises(InputTypeError, match=words):
        given(**arguments)


@pytest.mark.parametrize(
    "array",
    [
        PROBS.tolist(),
        np.asfortranarray(PROBS),
        PROBS[::-1][::-1],
        PROBS.astype(">f8"),
        pd.DataFrame(PROBS),
        torch.tensor(PROBS, requires_grad=True),
        torch.tensor(PROBS).T.contiguous().T,
    ],
)
def test_any_layout_is_read_row_by_row(array):
    tensor = as_tensor("probs", array)
    assert tensor.tolist() == PROBS.tolist()
    assert tensor.dtype == torch.float64
    assert tensor.is_contiguous()
    assert not tensor.requires_grad


def test_arrays_are_shared_unless_they_are_read_only():
    assert as_tensor("probs", PROBS).data_ptr() == PROBS.ctypes.data
    frozen = PROBS.copy()
    frozen.flags.writeable = False
    assert as_tensor("probs", frozen).tolist() == PROBS.tolist()


def test_rows_come_in_chunks_like_those_of_files():
    found = given()
    assert (found.num_rows, found.num_classes, found.has_labels, found.paths, found.notes) == (3, 2, True, (), ())
    first, second = found.chunks(2)
    assert (len(first), first.first_row, len(second), second.first_row, second.file_row) == (2, 0, 1, 2, 2)
    assert second.labels is not None
    assert (second.values.tolist(), second.labels.tolist()) == ([[0.0, 1.0]], [1])
