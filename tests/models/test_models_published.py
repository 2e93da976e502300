"""The networks of the papers: their published sizes, their shapes, and what each layer computes."""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softtargets._errors import InputError
from softtargets.models import MODELS
from softtargets.models.densenet import DenseNet
from softtargets.models.imagenet_resnet import ImageNetResNet
from softtargets.models.layers import PooledNetwork
from softtargets.models.mobilenet_v2 import MobileNetV2
from softtargets.models.resnet_v2 import ResNetV2
from softtargets.models.resnext import ResNeXt
from softtargets.models.wide_resnet import WideResNet

CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)
SMALL: dict[str, dict[str, Any]] = {
    "imagenet_resnet": {"width": 4},
    "resnet_v2": {"width": 4, "depth": 50},
    "wide_resnet": {"depth": 10, "widen": 1, "dropout": 0.3},
    "resnext": {"cardinality": 2, "base_width": 2, "width": 4},
    "densenet": {"depth": 10, "growth": 4},
    "mobilenet_v2": {"width": 0.25},
}


@pytest.mark.parametrize(
    ("name", "settings", "classes", "expected"),
    [
        # torchvision's counts on ImageNet; with a 3x3 stem and 10 classes, those of the usual CIFAR-10 code
        ("imagenet_resnet", {"depth": 18, "stem": "large"}, 1000, 11_689_512),
        ("imagenet_resnet", {"depth": 34, "stem": "large"}, 1000, 21_797_672),
        ("imagenet_resnet", {"depth": 50, "stem": "large"}, 1000, 25_557_032),
        ("imagenet_resnet", {"depth": 101, "stem": "large"}, 1000, 44_549_160),
        ("imagenet_resnet", {"depth": 152, "stem": "large"}, 1000, 60_192_808),
        ("imagenet_resnet", {"depth": 18}, 10, 11_173_962),
        # timm's resnetv2_50
        ("resnet_v2", {"depth": 50, "stem": "large"}, 1000, 25_549_352),
        ("mobilenet_v2", {"stem": "large"}, 1000, 3_504_872),
        ("mobilenet_v2", {}, 10, 2_236_682),
        # the papers' tables in millions
        ("wide_resnet", {"depth": 28, "widen": 10}, 10, 36.5),
        ("wide_resnet", {"depth": 40, "widen": 4}, 10, 8.9),
        ("wide_resnet", {"depth": 16, "widen": 8}, 10, 11.0),
        ("resnext", {"depth": 29, "cardinality": 8, "base_width": 64, "width": 64}, 10, 34.4),
        ("densenet", {"depth": 100, "growth": 12}, 10, 0.8),
        ("densenet", {"depth": 250, "growth": 24}, 10, 15.3),
        ("densenet", {"depth": 190, "growth": 40}, 10, 25.6),
    ],
)
def test_published_numbers_of_parameters(name: str, settings: dict, classes: int, expected: float) -> None:
    count = MODELS[name](**settings).parameters(CIFAR if classes == 10 else IMAGENET, classes)
    if isinstance(expected, int):
        assert count == expected
    else:
        assert round(count / 1e6, 1) == expected


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 9)])
def test_forward_is_the_head_of_the_features(name: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    model = MODELS[name](**SMALL[name]).build(shape, 4).eval()
    assert isinstance(model, PooledNetwork)
    inputs = torch.randn(2, *shape)
    features = model.features(inputs)
    assert features.shape == (2, model.head.in_features)
    torch.testing.assert_close(model(inputs), model.head(features))
    with pytest.raises(InputError, match=rf"inputs: shape \(N, {shape[0]}, .*; got \(2, 5, 5\)"):
        model(torch.zeros(2, 5, 5))


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name](**SMALL[name]).build((1, 16, 16), 3)
    nn.functional.cross_entropy(model(torch.randn(16, 1, 16, 16)), torch.arange(16) % 3).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


@pytest.mark.parametrize(
    ("model", "pixels"),
    [
        (ImageNetResNet(CIFAR, 10, width=4), 4),
        (ImageNetResNet((3, 64, 64), 10, width=4, stem="large"), 2),
        (ResNetV2(CIFAR, 10, width=4), 4),
        (WideResNet(CIFAR, 10), 8),
        (ResNeXt(CIFAR, 10), 8),
        (DenseNet(CIFAR, 10, depth=10), 8),
        (MobileNetV2(CIFAR, 10, width=0.25), 4),
        (MobileNetV2((3, 64, 64), 10, width=0.25, stem="large"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_resolution_before_pooling(model: PooledNetwork, pixels: int) -> None:
    with torch.no_grad():
        assert model.eval().body(torch.zeros(1, *model.input_shape)).shape[2:] == (pixels, pixels)


def normalised(layer: nn.Module, signal: Tensor) -> Tensor:
    """Batch normalisation in training mode, from its formula, with the initial weight 1 and bias 0."""
    assert isinstance(layer, nn.BatchNorm2d)
    mean, variance = signal.mean((0, 2, 3), keepdim=True), signal.var((0, 2, 3), keepdim=True, unbiased=False)
    return (signal - mean) / (variance + 1e-5).sqrt()


def convolved(layer: nn.Module, signal: Tensor) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is None
    return nn.functional.conv2d(signal, layer.weight, None, layer.stride, layer.padding, 1, layer.groups)


def layers_of(model: nn.Module, *kinds: type[nn.Module]) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kinds or nn.Module)]


def test_a_block_with_projection_normalises_both_branches_and_activates_the_sum() -> None:
    torch.manual_seed(0)
    block = ImageNetResNet((3, 8, 8), 2, width=4).body[3]  # pyright: ignore[reportIndexIssue]
    first, norm1, second, norm2, projection, norm3 = layers_of(block, nn.Conv2d, nn.BatchNorm2d)
    inputs = torch.randn(3, 4, 8, 8)
    residual = normalised(norm2, convolved(second, normalised(norm1, convolved(first, inputs)).relu()))
    expected = (residual + normalised(norm3, convolved(projection, inputs))).relu()
    assert expected.shape == (3, 8, 4, 4)
    torch.testing.assert_close(block(inputs), expected)


@pytest.mark.parametrize("model", [ResNetV2((3, 8, 8), 2, width=4), WideResNet((3, 8, 8), 2, depth=16, widen=1)])
def test_a_preactivation_block_adds_to_its_input_unchanged(model: PooledNetwork) -> None:
    same = model.body[2]  # pyright: ignore[reportIndexIssue]
    norm1, first, norm2, second = layers_of(same, nn.Conv2d, nn.BatchNorm2d)
    width = first.in_channels
    inputs = torch.randn(3, width, 8, 8)
    signal = convolved(first, normalised(norm1, inputs).relu())
    torch.testing.assert_close(same(inputs), inputs + convolved(second, normalised(norm2, signal).relu()))


@pytest.mark.parametrize("model", [ResNetV2((3, 8, 8), 2, width=4), WideResNet((3, 8, 8), 2, depth=16, widen=1)])
def test_a_preactivation_block_projects_the_activated_input(model: PooledNetwork) -> None:
    block = model.body[3]  # pyright: ignore[reportIndexIssue]
    norm1, first, norm2, second, projection = layers_of(block, nn.Conv2d, nn.BatchNorm2d)
    inputs = torch.randn(3, first.in_channels, 8, 8)
    activated = normalised(norm1, inputs).relu()
    residual = convolved(second, normalised(norm2, convolved(first, activated)).relu())
    torch.testing.assert_close(block(inputs), residual + convolved(projection, activated))


def test_resnext_groups_its_middle_convolution() -> None:
    model = ResNeXt(CIFAR, 10, depth=29, cardinality=8, base_width=64, width=64)
    grouped = [layer for layer in layers_of(model, nn.Conv2d) if layer.groups > 1]
    assert [(layer.groups, layer.out_channels) for layer in grouped] == [(8, 512)] * 3 + [(8, 1024)] * 3 + [
        (8, 2048)
    ] * 3


def test_densenet_appends_what_each_layer_adds() -> None:
    torch.manual_seed(0)
    model = DenseNet((1, 8, 8), 2, depth=10, growth=3)
    layer = model.body[1]  # pyright: ignore[reportIndexIssue]
    norm1, first, norm2, second = layers_of(layer, nn.Conv2d, nn.BatchNorm2d)
    inputs = torch.randn(2, 6, 8, 8)
    new = convolved(second, normalised(norm2, convolved(first, normalised(norm1, inputs).relu())).relu())
    torch.testing.assert_close(layer(inputs), torch.cat([inputs, new], dim=1))
    assert (first.out_channels, second.out_channels) == (12, 3)


def test_mobilenet_adds_shortcuts_where_shapes_agree_and_its_bottlenecks_are_linear() -> None:
    model = MobileNetV2((3, 32, 32), 10)
    blocks: list[Any] = [block for block in model.body.children() if hasattr(block, "added")]
    assert [int(block.added) for block in blocks] == [0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 0]
    assert all(isinstance(layers_of(block.residual)[-1], nn.BatchNorm2d) for block in blocks)
    depthwise = [layer for layer in layers_of(model, nn.Conv2d) if layer.groups > 1]
    assert len(depthwise) == 17
    assert all(layer.groups == layer.in_channels == layer.out_channels for layer in depthwise)


def test_dropout_is_between_the_convolutions_of_a_wide_block_and_before_mobilenets_head() -> None:
    torch.manual_seed(0)
    wide, mobile = (
        WideResNet((1, 8, 8), 2, depth=10, widen=1, dropout=0.5),
        MobileNetV2((1, 8, 8), 2, 0.25, dropout=0.5),
    )
    inputs = torch.randn(4, 1, 8, 8)
    for model in (wide.eval(), mobile.eval()):
        assert torch.equal(model(inputs), model(inputs))
    mobile.dropout.train()
    dropped = mobile.features(inputs)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * mobile.eval().features(inputs)[kept])
    assert len(layers_of(wide, nn.Dropout)) == 3


def test_convolutions_start_as_he_et_al() -> None:
    torch.manual_seed(0)
    for model in (WideResNet(CIFAR, 10, widen=4), ImageNetResNet(CIFAR, 10)):
        last = [layer for layer in layers_of(model, nn.Conv2d) if layer.kernel_size == (3, 3)][-1]
        deviation = math.sqrt(2 / (9 * last.out_channels))
        assert float(last.weight.detach().std()) == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"name": "imagenet_resnet", "depth": 20}, "depth: one of 18, 34, 50, 101, 152; got 20"),
        ({"name": "imagenet_resnet", "stem": "smal"}, "stem: one of small, large; got 'smal'; did you mean 'small'?"),
        ({"name": "wide_resnet", "depth": 20}, "depth: 6n + 4 with n >= 1, of which 16 and 22 is nearest; got 20"),
        ({"name": "resnext", "depth": 30}, "depth: 9n + 2 with n >= 1, of which 29 and 38 is nearest; got 30"),
        ({"name": "densenet", "depth": 3}, "depth: 6n + 4 with n >= 1, of which 10 is nearest; got 3"),
        ({"name": "mobilenet_v2", "width": 0.0}, "width: above 0; got 0.0"),
    ],
)
def test_what_a_specification_refuses(data: dict, text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        MODELS[data["name"]].parse(data)


def test_what_a_network_refuses() -> None:
    with pytest.raises(InputError, match=r"input_shape: images of at least 4x4 pixels; got \(1, 3, 8\); enlarge"):
        DenseNet((1, 3, 8), 10)
    for model in (ImageNetResNet, ResNetV2, WideResNet, ResNeXt, DenseNet, MobileNetV2):
        with pytest.raises(InputError, match=r"input_shape: \(C, H, W\), the shape of an image; got \(64,\)"):
            model((64,), 10)
        with pytest.raises(InputError, match="num_classes: at least 2; got 1"):
            model((1, 8, 8), 1)
    for model, form in ((WideResNet, r"6n \+ 4"), (ResNeXt, r"9n \+ 2"), (DenseNet, r"6n \+ 4")):
        with pytest.raises(InputError, match=rf"depth: {form} with n >= 1; got 12; use"):
            model((1, 8, 8), 10, depth=12)
