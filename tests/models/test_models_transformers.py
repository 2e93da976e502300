"""Image classifiers of transformers. No test needs a network."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training import train

from softtargets._errors import InputError
from softtargets.data import fingerprint
from softtargets.models import MODELS, ModelSpec
from softtargets.models.adapter import AdaptedNetwork
from softtargets.models.checkpoints import checkpoint_folder
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import resolve
from softtargets.train.run import train_run

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
RESNET = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic"}
# Settings that make each architecture small, and the place of its last linear layer.
SMALL: dict[str, tuple[dict[str, Any], str]] = {
    "resnet": (RESNET, "classifier.1"),
    "mobilenet_v2": ({"depth_multiplier": 0.1}, "classifier"),
    "convnext": ({"hidden_sizes": [4] * 4, "depths": [1] * 4}, "classifier"),
    "vit": ({**VIT, "patch_size": 8}, "classifier"),
    "beit": ({**VIT, "patch_size": 8}, "classifier"),
    "dinov2": ({"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8}, "classifier"),
    "regnet": ({"hidden_sizes": [4] * 4, "depths": [1] * 4, "groups_width": 2, "embedding_size": 4}, "classifier.1"),
    "poolformer": ({"hidden_sizes": [4] * 4, "depths": [1] * 4}, "classifier"),
}
DATA = {"name": "digits", "limit": {"train": 60, "validation": 20, "test": 20}}


def spec(**settings: Any) -> ModelSpec:
    return MODELS["transformers"].parse(settings)


@pytest.mark.parametrize("architecture", SMALL)
def test_every_architecture_gets_features_and_the_last_layer_as_its_head(architecture: str) -> None:
    config, place = SMALL[architecture]
    model = spec(architecture=architecture, config=config)
    torch.manual_seed(0)
    network = model.build((3, 32, 32), 5).eval()
    assert isinstance(network, AdaptedNetwork)
    assert network.place == place
    torch.manual_seed(0)
    reference = model.assemble((3, 32, 32), 5).eval()
    inputs = torch.randn(3, 3, 32, 32)
    features = network.features(inputs)
    assert features.shape == (3, network.head.in_features)
    torch.testing.assert_close(network(inputs), reference(inputs).logits)
    torch.testing.assert_close(network(inputs), network.head(features))
    count = sum(parameter.numel() for parameter in reference.parameters())
    assert model.parameters((3, 32, 32), 5) == sum(p.numel() for p in network.parameters()) == count
    nn.functional.cross_entropy(network.train()(inputs), torch.tensor([0, 1, 2])).backward()
    gradient = network.head.weight.grad
    assert gradient is not None
    assert bool(gradient.any())


def test_channels_and_size_come_from_the_data_unless_they_are_given() -> None:
    def config(shape: tuple[int, int, int], **settings: Any) -> Any:
        network = spec(architecture="vit", config={**VIT, "patch_size": 4, **settings}).build(shape, 3)
        return network.network.config  # pyright: ignore[reportAttributeAccessIssue]

    grey, wide = config((1, 28, 28)), config((3, 16, 24))
    assert (grey.num_channels, grey.image_size, grey.num_labels) == (1, 28, 3)
    assert list(wide.image_size) == [16, 24]
    with pytest.raises(
        InputError, match=r"input_shape: a size that the network takes, such as 32x32; got \(3, 16, 16\)"
    ):
        config((3, 16, 16), image_size=32)


def test_the_published_number_of_parameters() -> None:
    default = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]}
    assert spec(architecture="resnet", config=default).parameters((3, 224, 224), 1000) == 11_689_512
    assert spec(architecture="vit").parameters((3, 224, 224), 1000) == 86_567_656
    assert spec(architecture="convnext").parameters((3, 224, 224), 1000) == 28_589_128


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"architecture": "resnett"}, "model.architecture: one of beit,"),
        ({"architecture": "resnett"}, "got 'resnett'; did you mean 'resnet'?"),
        ({"architecture": "bert"}, "model.architecture: one of beit,"),
        ({"architecture": "vit", "config": {"hidden_sise": 3}}, "got 'hidden_sise'; did you mean 'hidden_size'?"),
        (
            {"architecture": "resnet", "config": {"layer_type": "no"}},
            "model.config: settings of 'resnet' that fit together; got {",
        ),
        ({"architecture": "vit"}, "input_shape: a size that the network takes, such as 16x16; got (3, 8, 8) ("),
        (
            {"architecture": "swiftformer"},
            "model: logits that are the output of an nn.Linear; got other numbers than the last one, 'dist_head'",
        ),
        (
            {"pretrained": "a b/c"},
            "model.pretrained: a checkpoint in the safetensors format: a folder, or a name 'user",
        ),
    ],
)
def test_what_is_refused(settings: dict[str, Any], text: str) -> None:
    shape = (3, 32, 32) if settings.get("architecture") == "swiftformer" else (3, 8, 8)
    with pytest.raises(InputError, match=re.escape(text)):
        spec(**settings).build(shape, 4)


def test_what_a_specification_refuses() -> None:
    for settings, text in (
        ({}, "architecture: given, or else pretrained; got neither"),
        ({"architecture": "vit", "pretrained": "a/b"}, "architecture: given, or else pretrained; got both"),
        ({"pretrained": "a/b", "init_from": "c"}, "init_from: not given with pretrained; got 'c'"),
        ({"architecture": "vit", "config": {"layer_norm_eps": float("inf")}}, "config: finite numbers; got"),
        ({"architecture": "vit", "init_head": "kept"}, "init_head: given with weights to start from"),
    ):
        with pytest.raises(InputError, match=re.escape(text)):
            spec(**settings)
    with pytest.raises(InputError, match=r"input_shape: \(C, H, W\), the shape of an image; got \(64,\)"):
        spec(architecture="vit").build((64,), 3)


def test_a_missing_package_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "transformers.utils", None)
    with pytest.raises(InputError, match=re.escape("got no such package; run pip install 'softtargets[transformers]'")):
        spec(architecture="vit", config={"hidden_size": 8, "num_attention_heads": 1}).build((3, 32, 32), 3)


@pytest.mark.parametrize("known", [True, False])
def test_a_checkpoint_that_cannot_be_had_is_one_sentence(known: bool, monkeypatch: Any, tmp_path: Path) -> None:
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    class Answer:
        headers: dict[str, str] = {}  # noqa: RUF012
        request = None

    def ask(self: Any, name: str, timeout: float) -> None:
        if known:
            raise ConnectionError("no route")
        raise RepositoryNotFoundError("404", response=Answer())  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", ask)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    got = "which is not downloaded, and the Hub cannot be reached (ConnectionError); give the path of a folder"
    text = f"got 'user/model', {got if known else 'which does not exist on the Hub or is private; check'}"
    run = {"data": DATA, "model": {"name": "transformers", "pretrained": "user/model"}, "training": {"epochs": 1}}
    with pytest.raises(InputError, match=re.escape(text)) as caught:
        train_run(run, runs=tmp_path / "runs")
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small ResNet for 6 classes of grey images."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(7)
    config = transformers.ResNetConfig(num_channels=1, num_labels=6, **RESNET)
    transformers.ResNetForImageClassification(config).save_pretrained(folder)
    return folder


def resolved(**model: Any) -> ResolvedRun:
    run = RunSpec.parse(
        {
            "data": DATA,
            "model": {"name": "transformers", **model},
            "training": {"epochs": 1, "batch_size": 20, "precision": "float32"},
        }
    )
    return resolve(run, fingerprint(run.data))


@pytest.mark.parametrize(("classes", "head"), [(6, "kept"), (6, "new"), (10, "new")])
def test_training_starts_from_the_checkpoints_weights(checkpoint: Path, classes: int, head: str) -> None:
    model = spec(pretrained=str(checkpoint), init_head=head)
    torch.manual_seed(0)
    network = model.build((1, 8, 8), classes)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    model.initialise(network, lambda count: [])
    reference = transformers.ResNetForImageClassification.from_pretrained(checkpoint).state_dict()
    after = network.state_dict()
    assert len(after) == len(reference)
    for name, value in reference.items():
        ours = name.replace("classifier.1.", "head.") if "classifier" in name else f"network.{name}"
        expected = before[ours] if head == "new" and ours.startswith("head.") else value
        assert torch.equal(after[ours], expected), ours
    assert any(not torch.equal(after[name], before[name]) for name in after)


def test_a_checkpoint_of_other_classes_or_channels_is_refused_if_its_head_is_kept(checkpoint: Path) -> None:
    model = spec(pretrained=str(checkpoint), init_head="kept")
    network = model.build((1, 8, 8), 10)
    with pytest.raises(InputError, match=r"'head.weight' of shape \(10, 8\); got \(6, 8\) .*; use init_head = \"new\""):
        model.initialise(network, lambda count: [])
    with pytest.raises(InputError, match=r"input_shape: .*; got \(3, 8, 8\) \(ValueError: Make sure that the channel"):
        model.build((3, 8, 8), 10)


def test_the_identity_of_a_run_has_the_content_of_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in checkpoint.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    first, second = resolved(pretrained=str(checkpoint)), resolved(pretrained=str(copy))
    assert first.identity == second.identity
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    assert resolved(pretrained=str(copy)).identity != first.identity
    assert resolved(pretrained=str(checkpoint), config={"hidden_act": "silu"}).identity != first.identity
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match=re.escape("which has no config.json or no .safetensors; save it with")):
        checkpoint_folder(str(copy))


def test_both_kinds_are_trained(checkpoint: Path, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for model in ({"architecture": "resnet", "config": RESNET}, {"pretrained": str(checkpoint)}):
        run = resolved(**model)
        assert train(run, store).status == "trained"
        assert store.result(run.identity) is not None
