"""The specification of a data set."""

import pytest
from pydantic import ValidationError

from softtargets._errors import InputError
from softtargets.data import DataSpec, Limit


@pytest.mark.parametrize("room", ["data", "models"])
def test_the_rooms_offer_what_they_list(room: str) -> None:
    import importlib

    module = importlib.import_module(f"softtargets.{room}")
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = module.nothing_of_this_name


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"label": ""},
        {"num_classes": 1},
        {"validation": 1.0},
        {"validation": -0.1},
        {"test": 1.0},
        {"test": float("nan")},
        {"split_seed": -1},
        {"split_seed": 2**32},
        {"limit": {"train": 0}},
        {"fold": {"index": 0, "count": 1}},
        {"fold": {"index": -1, "count": 2}},
        {"features": ()},
        {"features": ("a", "a")},
        {"features": ("a", "label")},
        {"features": ("a",), "image": "picture"},
    ],
)
def test_values_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(ValidationError):
        DataSpec.model_validate({"name": "digits", **values})


def test_an_error_names_the_key_and_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"study.toml: .*did you mean 'validation'\?"):
        DataSpec.parse({"name": "digits", "validaton": 0.1}, "study.toml")
    with pytest.raises(InputError, match="features: columns other than the label column 'kind'"):
        DataSpec.parse({"name": "a.csv", "label": "kind", "features": ["kind"]})


def test_a_number_of_classes_out_of_range_is_one_sentence() -> None:
    with pytest.raises(InputError) as refusal:
        DataSpec.parse({"name": "digits", "classes": 1})
    assert str(refusal.value) == "specification: classes: at least 2; got 1; give a larger value"


def test_a_fold_that_there_is_not() -> None:
    with pytest.raises(InputError, match=r"fold.index: below 3, the number of folds; got 3; count the folds from 0"):
        DataSpec.parse({"name": "digits", "fold": {"index": 3, "count": 3}})
    limited = {"name": "digits", "fold": {"index": 1, "count": 3}, "limit": {"validation": 9}}
    with pytest.raises(InputError, match=r"limit: no limit\.validation with a fold, which is used completely; got 9; "):
        DataSpec.parse(limited)


def test_it_is_frozen_and_survives_json() -> None:
    spec = DataSpec(name="digits", features=("a", "b"), limit=Limit(train=5))
    assert DataSpec.model_validate_json(spec.model_dump_json()) == spec
    with pytest.raises(ValidationError):
        spec.name = "other"  # pyright: ignore[reportAttributeAccessIssue]
