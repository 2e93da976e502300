"""Arrays as predictions: what they may be, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch

from softtargets._errors import InputError, InputTypeError
from softtargets.evaluate import EvaluationOptions, evaluate_predictions
from softtargets.evaluate.arrays import as_tensor

PROBS = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])
LABELS = np.array([0, 1, 1])


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


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"probs": PROBS[:, :1]}, InputError, r"probs: shape \(N, K\) .* got shape \(3, 1\)"),
        ({"probs": PROBS[:0]}, InputError, r"probs: shape .* got shape \(0, 2\)"),
        ({"probs": PROBS[:, 0]}, InputError, r"probs: shape .* got shape \(3,\)"),
        ({"probs": LABELS, "labels": PROBS}, InputError, r"probs: shape .* got shape \(3,\)"),
        ({"labels": LABELS[:2]}, InputError, r"labels: shape \(3,\), one label for each row; got shape \(2,\)"),
        ({"labels": LABELS[:, None]}, InputError, r"labels: shape \(3,\).* got shape \(3, 1\)"),
        ({"labels": LABELS + 1}, InputError, "labels .* got 2 .* row 1"),
        ({"labels": ["cat", "dog", "cat"]}, InputTypeError, "labels: an array of numbers; got list"),
        ({"probs": PROBS * 1j}, InputTypeError, "probs: an array of numbers"),
        ({"probs": torch.tensor(PROBS) * 1j}, InputTypeError, "probs: an array of real numbers"),
        ({"probs": PROBS * np.array([[1], [np.nan], [1]])}, InputError, "nan in probs, row 1, class 0"),
        ({"probs": 5 * PROBS}, InputError, "a sum of 5 in probs, row 0; these look like logits: pass logits="),
        ({"against": {"b": PROBS[:2]}}, InputError, "against: as many rows as predictions has, 3; got 2 in b"),
        ({"against": {"b": np.full((3, 4), 0.25)}}, InputError, "against: 2 classes, .* got 4 in b"),
        ({"against": {"b": -PROBS}}, InputError, r"in against\['b'\], row 0"),
        ({"options": EvaluationOptions(class_names=("a",))}, InputError, "class_names: 2 names; got 1"),
    ],
)
def test_bad_arrays_are_refused_by_name_and_row(arguments, error, words):
    with pytest.raises(error, match=words):
        evaluate_predictions(**{"probs": PROBS, "labels": LABELS, **arguments})
