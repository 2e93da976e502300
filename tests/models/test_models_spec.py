"""Specifications of networks."""

import inspect
import re

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from softtargets._errors import InputError
from softtargets._spec_errors import members
from softtargets.data.tokens import TokenShape
from softtargets.models import MODELS, AnyModel
from softtargets.models.mlp import MlpSpec
from softtargets.models.network import NetworkSpec
from softtargets.models.resnet import ResNetSpec
from softtargets.runs.spec import RunSpec

NETWORKS = {name: spec for name, spec in MODELS.items() if issubclass(spec, NetworkSpec)}


def test_every_name_selects_a_class() -> None:
    assert set(MODELS) == set(members(AnyModel))


def test_the_arguments_of_a_network_of_this_package_are_the_fields_of_its_specification() -> None:
    shared = {"name", "init_from", "init_head"}
    for name in NETWORKS:
        spec = NETWORKS[name]()
        arguments = inspect.signature(NETWORKS[name].network).parameters
        fields = [field for field in type(spec).model_fields if field not in shared]
        assert list(arguments) == ["input_shape", "num_classes", *fields]
        defaults = {field: arguments[field].default for field in fields}
        assert defaults == spec.model_dump(exclude=shared) == spec.arguments


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


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"name": "mlp", "hidden": [10**9]}, "model.hidden.0: at most 1,048,576, because 1,000,000,000 units"),
        (
            {"name": "mlp", "hidden": [10**9]},
            "would take at least 7.5 GiB in float32, about four times that in training;",
        ),
        ({"name": "mlp", "hidden": [8] * 1000}, "model.hidden: a length of at most 256"),
        ({"name": "resnet", "depth": 6 * 10**8 + 2}, "model.depth: at most 1202; got 600000002; give a smaller value"),
        ({"name": "convnet", "widths": [10**9]}, "model.widths.0: at most 1,048,576, because"),
        ({"name": "alexnet", "channels": 2**62}, "model.channels: at most 1,048,576, because"),
    ],
)
def test_absurd_sizes_are_refused(data, text) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        RunSpec.parse({"model": data, "training": {"epochs": 1}})


def test_a_network_that_is_too_large_is_refused_with_its_memory_before_it_is_built() -> None:
    spec = MODELS["mlp"].parse({"hidden": [2**20, 2**20]})
    assert spec.parameters((64,), 10) == 64 * 2**20 + 2**40 + 2 * 2**20 + 10 * (2**20 + 1)
    text = r"model: a network of at most 268,435,456 parameters .*; got 1,099,.* \(4.0 TiB in float32, about four times"
    with pytest.raises(InputError, match=text):
        spec.build((64,), 10)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_counted_without_drawing_random_numbers(name) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    shape = TokenShape(max_length=8, vocabulary=30, pad=0, bos=1, eos=2) if name == "embedding_bag" else (3, 32, 32)
    counted = NETWORKS[name]().parameters(shape, 10)
    assert torch.equal(torch.get_rng_state(), before)
    network = NETWORKS[name]().build(shape, 10)
    assert counted == sum(parameter.numel() for parameter in network.parameters())
