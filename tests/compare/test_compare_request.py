"""The arguments of a comparison."""

from pathlib import Path

import pytest

from softtargets._errors import InputError, InputTypeError
from softtargets.compare import CompareOptions, compare_methods
from softtargets.compare.request import CompareRequest, read_budget


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("90s", 90), ("1h 30m", 5400), ("1h30min", 5400), ("0.5h", 1800), ("2 d", 172_800), (12.5, 12.5)],
)
def test_budgets_are_times(text, seconds):
    assert read_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "half an hour", "30 minutes ago", "-5m", "0s", 0, -1.0, float("inf")])
def test_other_budgets_are_refused(text):
    with pytest.raises(InputError, match="budget: a time above 0 with its unit"):
        read_budget(text)


def test_budgets_of_other_types_are_refused():
    with pytest.raises(InputTypeError, match="budget"):
        CompareOptions(budget=[30])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"seeds": 1}, "seeds: a whole number from 2 to 100"),
        ({"seeds": 2.0}, "seeds"),
        ({"seeds": True}, "seeds"),
        ({"epochs": 0}, "epochs"),
        ({"seed": -1}, "seed"),
        ({"workers": 0}, "workers"),
    ],
)
def test_numbers_out_of_range_are_named(settings, named):
    with pytest.raises(InputError, match=named):
        CompareOptions(**settings)


def test_arguments_of_the_wrong_type_are_named():
    with pytest.raises(InputTypeError, match="options: CompareOptions"):
        compare_methods("digits", options={"seeds": 2})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputTypeError, match="data: a name or a path"):
        compare_methods([[1.0]])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputTypeError, match="model: text or a table"):
        CompareOptions(model=3)  # pyright: ignore[reportArgumentType]


def test_the_command_repeats_the_comparison():
    options = CompareOptions(label="kind", features=("a", "b c"), methods=("mixup",), budget="2m", seeds=3, model="mlp")
    command = CompareRequest("my data.csv", Path("out"), options).command
    assert command == (
        "softtargets compare 'my data.csv' --label kind --model mlp --methods mixup --budget 120s --seeds 3 "
        "--output out --features a --features 'b c'"
    )


def test_objects_have_no_command():
    options = CompareOptions(model={"name": "mlp"})
    assert CompareRequest("digits", None, options).command is None
