"""The networks themselves."""

import pytest
import torch
from torch import nn

from softtargets._errors import InputError, InputTypeError
from softtargets.models.convnet import ConvNet, ConvNetSpec
from softtargets.models.mlp import Mlp, MlpSpec
from softtargets.models.resnet import ResNet, ResNetSpec


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("depth", "expected"), [(20, 269_722), (32, 464_154), (56, 853_018)])
def test_resnet_parameters(depth: int, expected: int) -> None:
    assert count(ResNet((3, 32, 32), 10, depth=depth)) == expected


def test_mlp_parameters() -> None:
    assert count(Mlp((1, 8, 8), 10, hidden=(5, 4))) == 64 * 5 + 5 + 5 * 4 + 4 + 4 * 10 + 10
    assert count(Mlp((7,), 3, hidden=())) == 7 * 3 + 3


@pytest.mark.parametrize("spec", [MlpSpec(hidden=(6, 5), dropout=0.5), ResNetSpec(depth=8, width=4)])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 9), (1, 1, 1)])
def test_forward_is_the_head_of_the_features(spec: MlpSpec | ResNetSpec, shape: tuple[int, ...]) -> None:
    model = spec.build(input_shape=shape, num_classes=4).eval()
    inputs = torch.randn(5, *shape)
    features = model.features(inputs)  # pyright: ignore[reportCallIssue]
    assert isinstance(model.head, nn.Linear)
    assert features.shape == (5, model.head.in_features)
    assert model.head.out_features == 4
    torch.testing.assert_close(model(inputs), model.head(features))
    assert [module for module in model.modules() if isinstance(module, nn.Linear)][-1] is model.head


@pytest.mark.parametrize("spec", [MlpSpec(hidden=(6,)), ConvNetSpec(widths=(4, 6)), ResNetSpec(depth=8, width=4)])
def test_every_parameter_learns(spec: MlpSpec | ConvNetSpec | ResNetSpec) -> None:
    torch.manual_seed(0)
    model = spec.build(input_shape=(1, 8, 8), num_classes=3)
    nn.functional.cross_entropy(model(torch.randn(16, 1, 8, 8)), torch.arange(16) % 3).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_convnet_is_a_stage_for_each_width_and_its_features_are_what_the_head_sees() -> None:
    model = ConvNet((3, 8, 9), 10, widths=(4, 6, 5)).eval()
    assert count(model) == 9 * (3 * 4 + 4 * 6 + 6 * 5) + 2 * (4 + 6 + 5) + 5 * 10 + 10
    inputs = torch.randn(2, 3, 8, 9)
    assert model.body(inputs).shape == (2, 5, 1, 1)
    assert model.features(inputs).shape == (2, 5)
    torch.testing.assert_close(model(inputs), model.head(model.features(inputs)))


def test_convnet_by_hand() -> None:
    """One stage that passes the centre pixel: the maximum of each 2x2 square, normalised by the start of the norm."""
    model = ConvNet((1, 2, 4), 2, widths=(1,)).eval()
    with torch.no_grad():
        weight = next(model.parameters())
        weight.zero_()
        weight[0, 0, 1, 1] = 1.0
    inputs = torch.tensor([[[[1.0, 5.0, -3.0, -4.0], [2.0, 0.0, -1.0, -2.0]]]])
    # maxima 5 and -1; relu leaves 5 and 0, whose mean is 2.5
    assert model.features(inputs).item() == pytest.approx(2.5, rel=1e-4)


def test_the_shortcut_is_the_input_subsampled_and_padded() -> None:
    model = ResNet((1, 8, 8), 2, depth=8, width=4).eval()
    block = model.blocks[1]
    nn.init.zeros_(block.norm2.weight)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    inputs = torch.rand(2, 4, 8, 8)
    expected = torch.cat([inputs[:, :, ::2, ::2], torch.zeros(2, 4, 4, 4)], dim=1)
    torch.testing.assert_close(block(inputs), expected)


def test_stages_halve_the_resolution_and_double_the_channels() -> None:
    model = ResNet((3, 32, 32), 10, depth=14)
    shapes, signal = [], model.stem(torch.randn(1, 3, 32, 32))
    for block in model.blocks:
        signal = block(signal)
        shapes.append(tuple(signal.shape[1:]))
    assert shapes == [(16, 32, 32)] * 2 + [(32, 16, 16)] * 2 + [(64, 8, 8)] * 2


def test_convolutions_start_as_he_et_al_and_no_norm_starts_at_zero() -> None:
    torch.manual_seed(0)
    model = ResNet((3, 32, 32), 10, depth=8, width=64)
    convolution = model.blocks[-1].conv2.weight  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(convolution, torch.Tensor)
    assert float(convolution.detach().std()) == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)
    assert all(bool((m.weight == 1).all()) for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_the_seed_decides_the_weights() -> None:
    def made(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return ResNetSpec(depth=8).build(input_shape=(1, 8, 8), num_classes=2).state_dict()["stem.0.weight"]

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))


def test_dropout_acts_in_training_only() -> None:
    model = Mlp((4,), 2, hidden=(64,), dropout=0.5)
    inputs = torch.randn(8, 4)
    assert not torch.equal(model(inputs), model(inputs))
    model.eval()
    assert torch.equal(model(inputs), model(inputs))


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"input_shape: \(C, H, W\), the shape of an image; got \(64,\); .*use mlp"):
        ResNet((64,), 10)
    with pytest.raises(InputError, match=r"input_shape: positive sizes; got \(1, 0, 8\); give"):
        Mlp((1, 0, 8), 10)
    with pytest.raises(InputError, match=r"input_shape: positive sizes; got \(\); give"):
        Mlp((), 10)
    with pytest.raises(
        InputError, match=r"widths: images of at least 8x8 pixels for 3 stages; got \(1, 8, 7\); remove a stage"
    ):
        ConvNet((1, 8, 7), 10)
    with pytest.raises(InputError, match=r"depth: 6n \+ 2 with n >= 1; got 21; use 20 or 26"):
        ResNet((1, 8, 8), 10, depth=21)
    with pytest.raises(InputError, match="num_classes: at least 2; got 1"):
        Mlp((3,), 1)
    for model in (Mlp((1, 8, 8), 10), ConvNet((1, 8, 8), 10), ResNet((1, 8, 8), 10, depth=8)):
        with pytest.raises(InputError, match=r"inputs: shape \(N, 1, 8, 8\); got \(2, 3, 8, 8\); build the model with"):
            model(torch.zeros(2, 3, 8, 8))
        with pytest.raises(InputError, match=r"inputs: shape \(N, 1, 8, 8\); got \(1, 8, 8\)"):
            model(torch.zeros(1, 8, 8))
        with pytest.raises(InputTypeError, match=r"inputs: a floating-point tensor; got dtype torch.uint8"):
            model(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
