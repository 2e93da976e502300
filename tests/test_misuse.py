"""The misuse table: every public function, called in the ways that people get wrong.

A call either works, with a result that is right, or raises an error of this package that names an argument. Nothing
ends in an AttributeError, an IndexError or an error from inside torch.
"""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from valid_calls import ARRAY_ROOMS, ELSEWHERE, LABELS, Call, public_functions, valid_call

from softtargets._errors import InputError, InputTypeError

FUNCTIONS = sorted(set(public_functions()) - ELSEWHERE)
# arguments that hold labels: one class number per example
LABEL_ARGUMENTS = ("labels", "clean_labels", "targets", "labels_or_targets", "train_labels", "test_labels")
# functions whose labels have two dimensions, but are no soft targets
SEVERAL_LABELS = (
    *("noise.annotator_agreement", "noise.dawid_skene", "noise.find_multilabel_issues"),
    *("noise.find_token_issues", "noise.pad_tokens"),
)
# arguments that hold one row of K numbers per example
SCORE_ARGUMENTS = ("logits", "probs", "student_logits", "teacher_logits", "teacher_log_probs", "features", "values")


def attempt(call: Call, **changed: Any) -> Any:
    """Return the result, or the error of this package; any other exception fails the test."""
    try:
        result = call.run(**changed)
    except (InputError, InputTypeError) as error:
        result = error
    if refused(result):
        named, _, rest = str(result).partition(": ")
        assert re.fullmatch(r"[\w .()\[\]*=,'-]+", named), str(result)
        assert rest.count("; ") >= 2, f"what is required, what was given and how to fix it: {result}"
    return result


def refused(result: Any) -> bool:
    return isinstance(result, InputError | InputTypeError)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor | np.ndarray):
        return bool(np.allclose(np.asarray(a, dtype=float), np.asarray(b, dtype=float), equal_nan=True))
    return type(a) is type(b)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_valid_call_works(name: str) -> None:
    assert not refused(attempt(valid_call(name)))


def test_every_public_function_is_tried() -> None:
    assert set(public_functions()) >= ELSEWHERE
    assert len(FUNCTIONS) > 80


def cases(arguments: tuple[str, ...] | None = None) -> list[tuple[str, str]]:
    return [
        (name, argument)
        for name in FUNCTIONS
        for argument in valid_call(name).tensors()
        if arguments is None or argument in arguments
    ]


@pytest.mark.parametrize(("name", "argument"), cases())
@pytest.mark.parametrize("junk", [None, "junk", object(), 3, {"a": 1}], ids=["None", "str", "object", "int", "dict"])
def test_what_is_no_tensor(name: str, argument: str, junk: Any) -> None:
    assert refused(attempt(valid_call(name), **{argument: junk})) or junk in (3, None)


@pytest.mark.parametrize(("name", "argument"), cases())
def test_a_list_is_refused_or_taken_as_the_tensor(name: str, argument: str) -> None:
    call = valid_call(name)
    found = attempt(call, **{argument: call.arguments[argument].tolist()})
    assert refused(found) or same(found, valid_call(name).run())


@pytest.mark.parametrize(("name", "argument"), cases())
def test_a_numpy_array(name: str, argument: str) -> None:
    call = valid_call(name)
    found = attempt(call, **{argument: call.arguments[argument].numpy()})
    if call.room in ARRAY_ROOMS:
        torch.manual_seed(0)
        expected = valid_call(name).run()
        torch.manual_seed(0)
        assert same(call.run(**{argument: call.arguments[argument].numpy()}), expected)
    else:
        assert refused(found)
        assert "from_numpy" in str(found) or "as_tensor" in str(found)


@pytest.mark.parametrize(("name", "argument"), cases())
@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64, torch.float32, torch.bool], ids=str)
def test_a_tensor_of_another_dtype(name: str, argument: str, dtype: torch.dtype) -> None:
    call = valid_call(name)
    value = call.arguments[argument]
    with np.errstate(all="ignore"):
        found = attempt(call, **{argument: value.to(dtype)})
    if dtype == torch.complex64 or (argument in SCORE_ARGUMENTS and not dtype.is_floating_point):
        assert refused(found)
    if argument in LABEL_ARGUMENTS and dtype.is_floating_point and value.ndim == 1:
        assert refused(found)


@pytest.mark.parametrize(("name", "argument"), cases())
@pytest.mark.parametrize("shape", ["0-d", "empty", "one more dimension", "one row less"])
def test_a_tensor_of_another_shape(name: str, argument: str, shape: str) -> None:
    call = valid_call(name)
    value = call.arguments[argument]
    changed = {
        "0-d": lambda: value.flatten()[0],
        "empty": lambda: value[:0],
        "one more dimension": lambda: value[..., None],
        "one row less": lambda: value[:-1],
    }[shape]()
    found = attempt(call, **{argument: changed})
    rows = [a for a in call.tensors() if len(call.arguments[a]) == len(LABELS)]
    if argument in LABEL_ARGUMENTS and len(rows) > 1:
        assert refused(found), f"{argument} of shape {tuple(changed.shape)} was accepted"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_empty_batch(name: str) -> None:
    call = valid_call(name)
    rows = {a: call.arguments[a][:0] for a in call.tensors() if len(call.arguments[a]) == len(LABELS)}
    attempt(call, **rows)


PAIRS = [
    (name, scores, labels)
    for name in FUNCTIONS
    for scores in SCORE_ARGUMENTS
    for labels in LABEL_ARGUMENTS
    if {scores, labels} <= set(valid_call(name).tensors())
]


@pytest.mark.parametrize(("name", "scores", "labels"), PAIRS)
def test_swapped_arguments(name: str, scores: str, labels: str) -> None:
    call = valid_call(name)
    found = attempt(call, **{scores: call.arguments[labels], labels: call.arguments[scores]})
    assert refused(found)
    assert ".float()" not in str(found)
    assert ".long()" not in str(found)


@pytest.mark.parametrize(("name", "argument"), cases(LABEL_ARGUMENTS))
def test_labels_that_require_a_gradient(name: str, argument: str) -> None:
    """Labels as floats are refused; one float per class is a soft target, which may learn."""
    call = valid_call(name)
    value = call.arguments[argument].float().requires_grad_()
    assert refused(attempt(call, **{argument: value})) == (value.ndim == 1 or name in SEVERAL_LABELS)


@pytest.mark.parametrize(("name", "argument"), cases(LABEL_ARGUMENTS))
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32], ids=str)
def test_labels_of_every_integer_dtype(name: str, argument: str, dtype: torch.dtype) -> None:
    call = valid_call(name)
    torch.manual_seed(0)
    expected = valid_call(name).run()
    torch.manual_seed(0)
    assert same(call.run(**{argument: call.arguments[argument].to(dtype)}), expected)


@pytest.mark.parametrize(("name", "argument"), cases(SCORE_ARGUMENTS))
def test_scores_that_require_a_gradient(name: str, argument: str) -> None:
    call = valid_call(name)
    assert not refused(attempt(call, **{argument: call.arguments[argument].requires_grad_()}))
