"""Specifications of networks."""

import inspect

import pytest
from pydantic import TypeAdapter, ValidationError

from softtargets._errors import InputError
from softtargets._spec_errors import members
from softtargets.models import MODELS, AnyModel
from softtargets.models.mlp import MlpSpec
from softtargets.models.resnet import ResNetSpec


def test_every_name_has_a_class_whose_arguments_are_the_fields() -> None:
    specs = members(AnyModel)
    assert set(MODELS) == set(specs)
    for name, spec in specs.items():
        arguments = inspect.signature(MODELS[name].network).parameters
        assert list(arguments) == [
            "input_shape",
            "num_classes",
            *(field for field in spec.model_fields if field != "name"),
        ]
        defaults = {field: arguments[field].default for field in spec.model_fields if field != "name"}
        assert defaults == spec().model_dump(exclude={"name"})


def test_the_name_selects() -> None:
    adapter = TypeAdapter(AnyModel)
    assert adapter.validate_python({"name": "mlp", "hidden": [3]}) == MlpSpec(hidden=(3,))
    assert adapter.validate_python({"name": "resnet", "depth": 8}) == ResNetSpec(depth=8)


@pytest.mark.parametrize(("depth", "nearest"), [(21, "20 and 26"), (7, "8"), (18, "14 and 20")])
def test_another_depth_names_the_nearest(depth: int, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"depth: 6n \+ 2 with n >= 1, of which {nearest} .*got {depth}"):
        ResNetSpec.parse({"depth": depth})


@pytest.mark.parametrize("values", [{"hidden": (0,)}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_mlp_ranges(values: dict) -> None:
    with pytest.raises(ValidationError):
        MlpSpec.model_validate(values)


def test_resnet_width() -> None:
    with pytest.raises(ValidationError):
        ResNetSpec(width=0)
