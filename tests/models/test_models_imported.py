"""The user's own networks by import path."""

import re
import sys
from pathlib import Path
from typing import Any

import own_networks
import pytest
import torch
from torch import nn
from training import train

from softtargets._errors import InputError
from softtargets.data import fingerprint
from softtargets.data.sources import load
from softtargets.models import ModelSpec
from softtargets.models.adapter import AdaptedNetwork
from softtargets.runs.network import load_trained
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import execute, resolve
from softtargets.train.run import train_run

SHAPE = (1, 8, 8)
DATA = {"name": "digits", "limit": {"train": 80, "validation": 20, "test": 20}}


def spec(name: str, **arguments: Any) -> ModelSpec:
    path = name if ":" in name else f"own_networks:{name}"
    return RunSpec.parse({"model": {"import": path, **arguments}, "training": {"epochs": 1}}).model


def resolved(path: str, **arguments: Any) -> ResolvedRun:
    model = {"import": path, **arguments}
    run = RunSpec.parse({"data": DATA, "model": model, "training": {"epochs": 2, "batch_size": 20}})
    return resolve(run, fingerprint(run.data))


def test_the_function_gets_the_shape_the_classes_and_the_keys_of_the_table() -> None:
    network = spec("plain", width=7, deep={"a": [1, [2.5, "x"]], "b": True}).build(SHAPE, 4)
    expected = {"input_shape": SHAPE, "num_classes": 4, "width": 7, "deep": {"a": [1, [2.5, "x"]], "b": True}}
    assert own_networks.BUILT[-1] == expected
    assert isinstance(network, AdaptedNetwork)
    assert network.head.in_features == 7


@pytest.mark.parametrize(
    ("name", "place"),
    [("plain", "3"), ("WithBoth", None), ("WithConvolutionalFeatures", "classifier.1"), ("Branched", "main")],
)
def test_features_and_head_are_the_users_or_those_of_the_last_linear_layer(name: str, place: str | None) -> None:
    torch.manual_seed(0)
    network = spec(name).build(SHAPE, 4)
    torch.manual_seed(0)
    reference = getattr(own_networks, name)(input_shape=SHAPE, num_classes=4).eval()
    assert isinstance(network, AdaptedNetwork) == (place is not None)
    assert getattr(network, "place", None) == place
    inputs = torch.randn(3, *SHAPE)
    logits = network.eval()(inputs)
    torch.testing.assert_close(logits, reference(inputs))
    features: Any = network.features
    assert isinstance(network.head, nn.Linear)
    torch.testing.assert_close(network.head(features(inputs)), logits)
    assert "head.weight" in network.state_dict()
    count = sum(parameter.numel() for parameter in reference.parameters())
    assert sum(parameter.numel() for parameter in network.parameters()) == count == spec(name).parameters(SHAPE, 4)


def test_building_leaves_the_network_in_training_mode_and_draws_its_weights_from_the_seed() -> None:
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(spec("WithConvolutionalFeatures").build(SHAPE, 4))
    assert all(module.training for module in made[0].modules())
    same, other = (torch.equal(made[0].head.weight, made[k].head.weight) for k in (1, 2))
    assert (same, other) == (True, False)


@pytest.mark.parametrize("end", ["plain", "tuple in training", "raises in training"])
def test_what_training_mode_returns_is_checked(end: str) -> None:
    if end == "plain":
        assert spec("Ending", end=end).build(SHAPE, 4).training
        return
    text = "logits; got tuple; return" if "tuple" in end else "got ZeroDivisionError for 2 inputs: in training"
    with pytest.raises(InputError, match=text):
        spec("Ending", end=end).build(SHAPE, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        (
            "Ending",
            {"end": "softmax"},
            "model: logits that are the output of an nn.Linear; got other numbers than the last one, 'last', gives",
        ),
        ("Ending", {"end": "tuple"}, "model: a network that returns logits, or an object with logits; got tuple;"),
        ("Ending", {"end": "transposed"}, "model: float32 logits of shape (N, 4); got torch.float32 of shape (4, 2)"),
        ("Ending", {"end": "double"}, "model: float32 logits of shape (N, 4); got torch.float64 of shape (2, 4)"),
        ("Ending", {"end": "random"}, "model: the same logits for the same inputs in evaluation mode; got others;"),
        ("Ending", {"end": "uses weight"}, "model: a network that only calls 'last', its last layer; got Attribute"),
        ("Ending", {"end": "raises"}, "that takes inputs of shape (N, 1, 8, 8); got ZeroDivisionError: in forward;"),
        ("Ending", {"end": "shared"}, "whose tensors have one name each; got "),
        ("WithExtraState", {}, "model: a network whose state_dict has tensors only; got a str as '_extra_state'; drop"),
        ("none", {}, "model: a torch.nn.Module from 'own_networks:none'; got NoneType; return the network"),
        ("raises", {}, "model: a network from 'own_networks:raises' for inputs (1, 8, 8); got RuntimeError: no such"),
        ("unsteady_layers", {}, "with the same tensors each time; got '"),
        ("unsteady_weights", {}, "the same initial weights from 'own_networks:unsteady_weights' for the same seed of"),
        ("plain", {"widht": 3}, "model.widht: an argument of 'own_networks:plain("),
        ("plain", {"widht": 3}, "got 'widht'; did you mean 'width'?"),
        ("needs", {}, "model.depth: given, since 'own_networks:needs("),
        ("without_classes", {}, "model: a function with the argument num_classes; got 'own_networks:without_classes("),
        ("plian", {}, "model.import: one of "),
        ("plian", {}, "got 'plian'; did you mean 'plain'?"),
        ("number", {}, "model.import: a function or class that returns a network; got 'own_networks:number', a int;"),
        (
            "own_netwroks:plain",
            {},
            "got 'own_netwroks:plain', but there is no module 'own_netwroks'; check the spelling",
        ),
        ("math:sqrt", {}, "model.import: a module with a source file; got 'math' without one; wrap it"),
    ],
)
def test_what_is_refused(name: str, arguments: dict[str, Any], text: str) -> None:
    def built() -> None:
        spec(name, **arguments).source()
        spec(name, **arguments).build(SHAPE, 4)

    with pytest.raises(InputError, match=re.escape(text)):
        built()


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ({"import": "own_networks"}, "model.import: a module and a name in it, such as 'my_package.nets:build'; got"),
        ({"import": 3}, "model.import: text; got 3"),
        ({"name": "import"}, "model.import: required; got nothing"),
        ({"import": "a:b", "num_classes": 3}, "num_classes: not among the keys, since it is set from the data; got 3"),
        ({"import": "a:b", "name": "mlp"}, "got 'import'; use one of these names"),
    ],
)
def test_what_a_specification_refuses(model: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        RunSpec.parse({"model": model, "training": {"epochs": 1}})


def test_a_specification_is_a_value_that_survives_json() -> None:
    run = resolved("own_networks:plain", width=3, deep={"a": [1, [2]]})
    again = ResolvedRun.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.identity == run.identity
    assert hash(again.run.model) == hash(run.run.model)
    assert run.precision == "float32"


def module(folder: Path, name: str, *, body: str = "", slope: float = 1.0) -> None:
    (folder / f"{name}.py").write_text(
        "from torch import nn\n"
        f"{body}\n"
        "def build(input_shape, num_classes, width=4):\n"
        f"    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.LeakyReLU({slope}), "
        "nn.Linear(width, num_classes))\n"
    )


def test_the_identity_has_the_path_the_arguments_and_the_source(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)  # modules of the working directory are found
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    module(tmp_path, "nets_a")
    module(tmp_path, "nets_b")
    (tmp_path / "nets_c.py").write_text("from nets_a import build\n")
    one = resolved("nets_a:build")
    assert one.model_source == resolved("nets_b:build").model_source == resolved("nets_c:build").model_source
    identities = {resolved("nets_a:build", width=5).identity, resolved("nets_b:build").identity, one.identity}
    assert len(identities) == 3
    module(tmp_path, "nets_a", slope=0.5)
    assert resolved("nets_a:build").identity != one.identity


def test_code_that_changed_is_not_taken_for_the_code_of_a_finished_run(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module(tmp_path, "nets_d")
    store = RunStore(tmp_path / "runs")
    run = resolved("nets_d:build")
    assert train(run, store).status == "trained"
    dataset = load(run.run.data)
    load_trained(run, dataset, store)
    later = resolved("nets_d:build", width=3)
    module(tmp_path, "nets_d", slope=0.5)
    with pytest.raises(InputError, match="model: the code of 'import' that the run was trained with; got other code"):
        load_trained(run, dataset, store)
    outcome = execute(later, store)
    assert outcome.status == "failed"
    assert "the code and the initial weights of 'import' when the run was planned; got others" in outcome.message


def test_a_module_that_fails_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module(tmp_path, "nets_e", body="import no_such_package")
    module(tmp_path, "nets_f", body="1 / 0")
    for name, got in (
        ("nets_e", r"ModuleNotFoundError: No module named 'no_such_package'"),
        ("nets_f", "ZeroDivisionError: division by zero"),
    ):
        with pytest.raises(InputError, match=rf"got '{name}:build', whose import fails \({got}\); fix that module"):
            spec(f"{name}:build").source()


def test_it_trains_measures_and_resumes_like_any_other(tmp_path: Path) -> None:
    run = RunSpec.parse(
        {
            "data": {"name": "digits", "limit": {"train": 600}},
            "model": {"import": "own_networks:plain", "width": 64},
            "training": {"epochs": 8, "batch_size": 50},
        }
    )
    result = train_run(run, runs=tmp_path)
    assert result.metrics["test.accuracy"] > 0.8
    assert train_run(run, runs=tmp_path).status == "present"
    start = run.changed(model=spec("plain", width=64, init_from=str(result.folder), init_head="kept"))
    short = start.changed(
        training=start.training.changed(epochs=1), optimizer=start.optimizer.changed(learning_rate=1e-6)
    )
    assert train_run(short, runs=tmp_path).metrics["test.accuracy"] == pytest.approx(
        result.metrics["test.accuracy"], abs=0.01
    )


def test_an_error_in_the_network_comes_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model: logits that are the output of an nn\.Linear"):
        train_run(
            {"data": DATA, "model": {"import": "own_networks:Ending", "end": "softmax"}, "training": {"epochs": 1}},
            runs=tmp_path,
        )
    assert not list(tmp_path.glob("*.partial"))
