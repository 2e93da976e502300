"""Networks of timm, where it is installed. Beside torch for CPUs, its torchvision is loaded without its operators."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torchvision_operators import define_operators

from softtargets._errors import InputError
from softtargets.models import MODELS, ModelSpec
from softtargets.models import timm as timm_models
from softtargets.models.adapter import AdaptedNetwork


@pytest.fixture(scope="module")
def timm() -> Any:
    """Import timm; define the operators that torchvision for CUDA expects, if they are missing."""
    define_operators()
    return pytest.importorskip("timm", reason="timm is not installed: pip install 'softtargets[vision]'")


def spec(**settings: Any) -> ModelSpec:
    return MODELS["timm"].parse(settings)


@pytest.mark.parametrize(
    ("architecture", "config", "place"),
    [
        ("resnet18", {}, "fc"),
        ("mobilenetv2_100", {}, "classifier"),
        ("convnext_atto", {"dims": [4] * 4, "depths": [1] * 4}, "head.fc"),
        ("vit_tiny_patch16_224", {"img_size": 32, "depth": 1}, "head"),
    ],
)
def test_networks_get_features_and_the_last_layer_as_their_head(
    timm: Any, architecture: str, config: dict[str, Any], place: str
) -> None:
    model = spec(architecture=architecture, config=config)
    torch.manual_seed(0)
    network = model.build((3, 32, 32), 5).eval()
    torch.manual_seed(0)
    reference = timm.create_model(architecture, num_classes=5, in_chans=3, **config).eval()
    assert isinstance(network, AdaptedNetwork)
    assert network.place == place
    inputs = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(inputs), reference(inputs))
    torch.testing.assert_close(network(inputs), network.head(network.features(inputs)))
    assert model.parameters((3, 32, 32), 5) == sum(p.numel() for p in reference.parameters())


def test_published_numbers_of_parameters(timm: Any) -> None:
    for architecture, expected in (
        ("densenet121", 7_978_856),
        ("inception_v4", 42_679_816),
        ("wide_resnet50_2", 68_883_240),
    ):
        assert spec(architecture=architecture).parameters((3, 299, 299), 1000) == expected


def test_what_is_refused(timm: Any) -> None:
    for settings, shape, text in (
        ({"architecture": "resnet1"}, (3, 32, 32), "model.architecture: an architecture of timm; got 'resnet1'; did"),
        (
            {"architecture": "inception_v4"},
            (3, 32, 32),
            "input_shape: a size that the network takes, such as 75x75; got",
        ),
        (
            {"architecture": "resnet18", "config": {"foo": 1}},
            (3, 32, 32),
            "model.config: arguments of timm.create_model",
        ),
        ({"architecture": "resnet18"}, (7,), "input_shape: (C, H, W), the shape of an image; got (7,)"),
    ):
        with pytest.raises(InputError, match=re.escape(text)):
            spec(**settings).build(shape, 4)


@pytest.mark.parametrize("head", ["new", "kept"])
def test_training_starts_from_timms_weights(timm: Any, head: str, monkeypatch: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    weights = timm.create_model("resnet18").state_dict()
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    asked: list[str] = []
    monkeypatch.setattr(timm_models, "checkpoint_folder", lambda name: asked.append(name) or tmp_path)
    model = spec(architecture="resnet18.a1_in1k", pretrained=True, init_head=head)
    classes = 1000 if head == "kept" else 5
    network = model.build((3, 32, 32), classes)
    fresh = network.state_dict()["head.weight"].clone()
    model.initialise(network, lambda count: [])
    assert asked == ["timm/resnet18.a1_in1k"]
    state = network.state_dict()
    assert torch.equal(state["network.layer4.1.conv2.weight"], weights["layer4.1.conv2.weight"])
    assert torch.equal(state["head.weight"], weights["fc.weight"] if head == "kept" else fresh)
    assert (
        model.weights_fingerprint()
        == model.weights_fingerprint()
        != spec(architecture="resnet18").weights_fingerprint()
    )


@pytest.mark.parametrize(
    ("name", "close"),
    [("resnet18.a1_in1", "did you mean 'resnet18.a1_in1k'?"), ("resnet18.", "did you mean 'resnet18.")],
)
def test_a_tag_that_does_not_exist_is_refused(timm: Any, name: str, close: str) -> None:
    text = re.escape(f"model.architecture: an architecture of timm; got '{name}'; {close}")
    with pytest.raises(InputError, match=text):
        spec(architecture=name, pretrained=True).weights_fingerprint()
    with pytest.raises(InputError, match=text):
        spec(architecture=name).build((3, 32, 32), 4)


def test_a_package_that_is_missing_or_does_not_import_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    text = "model.name: the package timm; got no such package; run pip install 'softtargets[vision]'"
    with pytest.raises(InputError, match=re.escape(text)):
        spec(architecture="resnet18").build((3, 32, 32), 4)


def test_an_architecture_without_weights_is_refused(monkeypatch: Any) -> None:
    package = SimpleNamespace(list_models=lambda: ["resnet18"], get_pretrained_cfg=lambda name: None)
    monkeypatch.setattr(timm_models, "_timm", lambda: package)
    text = "model.pretrained: an architecture with weights on the Hub; got 'resnet18'; use pretrained = false"
    with pytest.raises(InputError, match=re.escape(text)):
        spec(architecture="resnet18", pretrained=True).weights_fingerprint()
