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
        ("Loss(smoothing=None, weight=np.array((1, 2)))", {"smoothing": None, "weight": [1, 2]}),
        ("criterion = nn.Loss(smoothing=0.1)", {"smoothing": 0.1}),
        ("self.loss: nn.Module = nn.Loss(smoothing=0.1)", {"smoothing": 0.1}),
        ("nn.Loss(weight=torch.tensor([1, 2]).to(device)).cuda().to('cuda:0', torch.half)", {"weight": [1, 2]}),
        ("Loss(torch.ones(3), smoothing=1 - 3 / 4)", {"weight": [1.0, 1.0, 1.0], "smoothing": 0.25}),
        ("Loss(weight=[1/4, -2*3, (1 + 2) / 3])", {"weight": [0.25, -6.0, 1.0]}),
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
        ("x = 1", "--x: one call of a loss class; got 'x = 1'"),
        ("x: int", "--x: one call of a loss class; got 'x: int'"),
        ("import os", "--x: one call of a loss class; got 'import os'"),
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
        (
            "Loss(smoothing=r)",
            "smoothing: a number, text, .* list of numbers; got 'r'; write it in quotes: smoothing='r'",
        ),
        ("Loss(smoothing=1/0)", "smoothing: a number, text, .*; got '1 / 0'; write the value itself"),
        ("Loss(smoothing=2**9**9**9)", "smoothing: a number, text, .*; write the value itself"),
        ("Loss(weight=torch.ones(99999999999))", "weight: a number, text, .*; write the value itself"),
        ("Loss(smoothing='a' + 'b')", "smoothing: a number, text, .*; write the value itself"),
        (f"Loss(smoothing={'+'.join(['1'] * 900)}+r)", "smoothing: a number, text|one call of a loss class"),
        ("MSE()", "--x: one of Loss, Other; got 'MSE'; use one of these, or check this loss by hand"),
        ("Loss(smoothing=__import__('os').getpid())", "smoothing: a number, text"),
        ("Loss(weight=torch.rand(3))", "weight: a number, text, .*; got 'torch.rand\\(3\\)'; write the value itself"),
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
        ("python data", "options that begin with --"),
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


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_command_line_may_go_on_in_the_next_line(end: str) -> None:
    text = f"train.py \\{end} --smoothing 0.1 \\{end} --mixup 0.8 --mode 'a b' \\{end}"
    assert read_options("--x", text, KNOWN) == ({"smoothing": 0.1, "mixup": 0.8, "mode": "a b"}, ())


def test_a_script_without_options_stands_for_the_defaults() -> None:
    for text in ("train.py", "torchrun src/train.py /data"):
        assert read_options("--x", text, KNOWN) == ({}, ())
    assert read_options("--x", "fairseq-train data", KNOWN, script="fairseq-train") == ({}, ())


def test_an_option_that_resembles_a_known_one_can_be_named() -> None:
    assert read_options("--x", "--mixups 1", KNOWN, ["mixups"]) == ({}, ("mixups",))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2.0, r"r: in \[0, 1\]; got 2.0; write a number in \[0, 1\]"),
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
