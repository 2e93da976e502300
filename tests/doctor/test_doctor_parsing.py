"""Snippets as values, and what is refused, as one sentence."""

from typing import Any

import pytest

from softtargets._errors import InputError
from softtargets.doctor.parsing import number, read_call, read_options

SIGNATURES = {"Loss": ("weight", "smoothing"), "Other": ()}
KNOWN = {"smoothing": "number", "mixup": "number", "bce-loss": "flag", "minmax": "numbers", "mode": "text"}


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("Loss()", {}),
        (" torch.nn.Loss([1, 2], smoothing=-.1)\n", {"weight": [1, 2], "smoothing": -0.1}),
        ("nn.Loss(weight=torch.tensor([1.0, 2.0], dtype=torch.float32))", {"weight": [1.0, 2.0]}),
        ("Loss(smoothing=None, weight=np.array((1, 2)))", {"smoothing": None, "weight": (1, 2)}),
    ],
)
def test_a_call_is_read_with_its_arguments_by_name(text: str, arguments: dict[str, Any]) -> None:
    call = read_call("--x", text, SIGNATURES)
    assert call.name == "Loss"
    assert dict(call.arguments) == arguments


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--x: one call of a loss class; got ''"),
        ("x = Loss()", "--x: one call of a loss class; got 'x = Loss\\(\\)'"),
        ("Loss(); Loss()", "one call of a loss class"),
        ("Loss", "--x: one call of a loss class; got 'Loss'"),
        ("'Loss'", "one call of a loss class"),
        ("Loss(", "one call of a loss class"),
        ("(" * 9000, "one call of a loss class"),
        ("Loss(" + "-" * 60000 + "1)", "one call of a loss class|a number, text"),
        ("x" * 70000, "at most 65536 characters; got 70000"),
        ("Los()", "--x: one of Loss, Other; got 'Los'; did you mean 'Loss'"),
        ("f()()", "--x: one of Loss, Other; got 'f\\(\\)'"),
        ("Loss(smothing=1)", "argument of Loss: one of weight, smoothing; got 'smothing'; did you mean 'smoothing'"),
        ("Loss(1, 2, 3)", "--x: at most 2 arguments of Loss; got 3"),
        ("Loss([1], weight=[2])", "weight: given once; got two values"),
        ("Loss(weight=[1], weight=[2])", "weight: given once|one call of a loss class"),
        ("Loss(*a)", "arguments that are written out"),
        ("Loss(**a)", "arguments that are written out"),
        ("Loss(smoothing=r)", "smoothing: a number, text, True, False, None or a list of numbers; got 'r'"),
        ("Loss(smoothing=__import__('os').getpid())", "smoothing: a number, text"),
        ("Loss(weight=torch.ones(3))", "weight: a number, text, .*; got 'torch.ones\\(3\\)'; write the value itself"),
    ],
)
def test_what_is_not_one_call_with_literal_arguments_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_call("--x", text, SIGNATURES)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_options_are_read_and_others_are_named() -> None:
    text = (
        "python train.py /data --opt lamb --smoothing -0.1 --bce-loss --minmax .2 0.8 --mode=pair -b 64 --smoothing=.2"
    )
    found, not_read = read_options("--x", text, KNOWN)
    assert found == {"smoothing": 0.2, "bce-loss": True, "minmax": [0.2, 0.8], "mode": "pair"}
    assert not_read == ("opt", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--x: options that begin with --; got ''"),
        ("train.py data", "options that begin with --"),
        ("--smothing 0.1", "--x: option: one of .*; got 'smothing'; did you mean 'smoothing'"),
        ("--smoothing", "--smoothing: a value; got nothing"),
        ("--smoothing a", "--smoothing: a number; got 'a'"),
        ("--smoothing '0.1", "a quote that is not closed"),
        ("-" * 70000, "at most 65536 characters"),
    ],
)
def test_wrong_options_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_options("--x", text, KNOWN)


def test_an_option_that_resembles_a_known_one_can_be_named() -> None:
    assert read_options("--x", "--mixups 1", KNOWN, ["mixups"]) == ({}, ("mixups",))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2.0, r"r: in \[0, 1\]; got 2.0"),
        (float("nan"), r"r: in \[0, 1\]; got nan"),
        (float("inf"), r"r: in \[0, 1\]; got inf"),
        (True, "r: a number; got True"),
        ("0.1", "r: a number; got '0.1'"),
        (None, "r: a number; got None"),
    ],
)
def test_a_number_is_finite_and_in_its_range(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        number("r", value, low=0, high=1)
