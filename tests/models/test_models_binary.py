"""Binary layers against references written from the papers, and the networks made of them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softtargets._errors import InputError
from softtargets.models import MODELS
from softtargets.models.binary import BinaryConv2d, RPReLU, RSign, approx_sign, binary_weights
from softtargets.models.binary_resnet import BinaryResNet
from softtargets.models.layers import PooledNetwork
from softtargets.models.reactnet import ReActNet
from softtargets.runs.spec import RunSpec
from softtargets.train.run import train_run

VALUES = [-3.0, -1.0, -0.999, -0.5, -1e-30, -0.0, 0.0, 1e-30, 0.25, 0.999, 1.0, 7.0]


def sign_slope(x: float) -> float:
    """The derivative of Bi-Real Net's piecewise polynomial: -1; 2x + x^2; 2x - x^2; 1."""
    if x < -1 or x >= 1:
        return 0.0
    return 2 + 2 * x if x < 0 else 2 - 2 * x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_signs_are_plus_and_minus_one_with_the_polynomials_gradient(dtype: torch.dtype) -> None:
    inputs = torch.tensor(VALUES, dtype=dtype, requires_grad=True)
    outputs = approx_sign(inputs)
    assert outputs.dtype == dtype
    assert outputs.tolist() == [-1.0 if value < 0 else 1.0 for value in inputs.tolist()]
    weights = torch.arange(1.0, len(VALUES) + 1, dtype=dtype)
    (outputs * weights).sum().backward()
    expected = [k * sign_slope(value) for k, value in enumerate(inputs.tolist(), 1)]
    assert inputs.grad is not None
    torch.testing.assert_close(inputs.grad, torch.tensor(expected, dtype=dtype))


def test_the_gradient_is_that_of_the_polynomial_by_finite_differences() -> None:
    def polynomial(x: Tensor) -> Tensor:
        inner = torch.where(x < 0, 2 * x + x**2, 2 * x - x**2)
        return torch.where(x < -1, -1.0, torch.where(x < 1, inner, 1.0))

    inputs = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64)[1::2].requires_grad_()
    approx_sign(inputs).sum().backward()
    step = 1e-6
    slopes = (polynomial(inputs + step) - polynomial(inputs - step)).detach() / (2 * step)
    torch.testing.assert_close(inputs.grad, slopes, atol=2e-6, rtol=0)


def reference_weights(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Binary weights and the mask of the gradient, a number at a time."""
    binary, mask = torch.zeros_like(weights), torch.zeros_like(weights)
    for channel, row in enumerate(weights.flatten(1).tolist()):
        scale = sum(abs(value) for value in row) / len(row)
        flat, passed = binary[channel].view(-1), mask[channel].view(-1)
        for place, value in enumerate(row):
            flat[place] = -scale if value < 0 else scale
            passed[place] = 1.0 if abs(value) <= 1 else 0.0
    return binary, mask


@pytest.mark.parametrize("shape", [(3, 2, 3, 3), (4, 5), (2, 3, 1, 1)])
def test_weights_are_signs_scaled_by_the_channels_mean_magnitude(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weights = (1.5 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    binary, mask = reference_weights(weights.detach())
    outputs = binary_weights(weights)
    torch.testing.assert_close(outputs, binary)
    assert all(len(channel.abs().unique()) == 1 for channel in outputs.detach())
    slopes = torch.randn(shape, dtype=torch.float64)
    (outputs * slopes).sum().backward()
    torch.testing.assert_close(weights.grad, slopes * mask)


def test_a_binary_convolution_is_one_with_binary_weights() -> None:
    torch.manual_seed(0)
    layer = BinaryConv2d(3, 4, 3, stride=2).double()
    inputs = torch.randn(2, 3, 7, 8, dtype=torch.float64, requires_grad=True)
    outputs = layer(inputs)
    binary, _ = reference_weights(layer.weight.detach())
    expected = nn.functional.conv2d(inputs, binary, None, 2, 1)
    torch.testing.assert_close(outputs, expected)
    ours, theirs = (torch.autograd.grad(each.square().sum(), inputs)[0] for each in (outputs, expected))
    torch.testing.assert_close(ours, theirs)


def test_rsign_has_a_threshold_for_each_channel_and_learns_it() -> None:
    layer = RSign(2)
    with torch.no_grad():
        layer.move.shift.copy_(torch.tensor([0.5, -0.25]))
    inputs = torch.tensor([-0.75, -0.5, 0.0, 0.3]).expand(1, 2, 1, 4)
    outputs = layer(inputs)
    assert outputs[0, :, 0].tolist() == [[-1, 1, 1, 1], [-1, -1, -1, 1]]
    outputs.sum().backward()
    expected = [sum(sign_slope(x + shift) for x in inputs[0, 0, 0].tolist()) for shift in (0.5, -0.25)]
    torch.testing.assert_close(layer.move.shift.grad, torch.tensor(expected))


def test_rprelu_shifts_before_and_after_the_slope() -> None:
    layer = RPReLU(2)
    gammas, zetas, betas = torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.1]), torch.tensor([0.1, 0.3])
    with torch.no_grad():
        layer.before.shift.copy_(-gammas)
        layer.after.shift.copy_(zetas)
        layer.slope.weight.copy_(betas)
    inputs = torch.linspace(-2, 2, 9).expand(1, 2, 1, 9)
    for channel, (gamma, zeta, beta) in enumerate(zip(gammas, zetas, betas, strict=True)):
        expected = [
            x - gamma + zeta if x > gamma else beta * (x - gamma) + zeta for x in inputs[0, channel, 0].tolist()
        ]
        torch.testing.assert_close(layer(inputs)[0, channel, 0], torch.stack(expected))
    fresh = RPReLU(1)
    torch.testing.assert_close(fresh(inputs[:, :1]), nn.functional.leaky_relu(inputs[:, :1], 0.25))


@pytest.mark.parametrize(
    ("name", "stem", "expected"),
    # ResNet-18 and its 1x1 shortcuts, plus 16 units with RSign and RPReLU; ReActNet-A has 29.3 M
    [("reactnet", "large", 29_343_592), ("binary_resnet", "large", 11_704_424)],
)
def test_numbers_of_parameters(name: str, stem: str, expected: int) -> None:
    assert MODELS[name].parse({"stem": stem}).parameters((3, 224, 224), 1000) == expected


NETWORKS = {"reactnet": ReActNet, "binary_resnet": BinaryResNet}


@pytest.mark.parametrize("name", NETWORKS)
def test_all_convolutions_but_the_first_and_those_of_shortcuts_multiply_signs(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]((3, 32, 32), 10, width=4)
    seen: list[tuple[Tensor, Tensor]] = []

    def record(layer: nn.Module, inputs: Any, outputs: Tensor) -> None:
        seen.append((inputs[0], binary_weights(layer.weight)))  # pyright: ignore[reportArgumentType]

    for layer in network.modules():
        if isinstance(layer, BinaryConv2d):
            layer.register_forward_hook(record)
    network(torch.randn(2, 3, 32, 32))
    real = [layer for layer in network.modules() if type(layer) is nn.Conv2d]
    assert real[0] is next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert (len(real), len(seen)) == {"reactnet": (1, 13 + 18), "binary_resnet": (1 + 3, 16)}[name]
    for activations, weights in seen:
        assert activations.unique().tolist() == [-1.0, 1.0]
        assert all(channel.abs().unique().numel() == 1 for channel in weights)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stem", ["small", "large"])
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 33, 21), (2, 1, 2)])
def test_forward_is_the_head_of_the_features_at_any_size(name: str, stem: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    model = MODELS[name].parse({"width": 2, "stem": stem}).build(shape, 4).eval()
    assert isinstance(model, PooledNetwork)
    inputs = torch.randn(2, *shape)
    assert model.features(inputs).shape == (2, model.head.in_features)
    torch.testing.assert_close(model(inputs), model.head(model.features(inputs)))


@pytest.mark.parametrize(("name", "pixels"), [("reactnet", 4), ("binary_resnet", 4)])
def test_the_resolution_before_pooling(name: str, pixels: int) -> None:
    model = NETWORKS[name]((3, 32, 32), 10, width=2).eval()
    assert model.body(torch.zeros(1, 3, 32, 32)).shape[2:] == (pixels, pixels)
    large = NETWORKS[name]((3, 64, 64), 10, width=2, stem="large").eval()
    assert large.body(torch.zeros(1, 3, 64, 64)).shape[2:] == (2, 2)


def test_a_block_of_reactnet_from_its_parts() -> None:
    torch.manual_seed(0)
    block = ReActNet((3, 8, 8), 2, width=2).eval().body[3]  # pyright: ignore[reportIndexIssue]
    parts: Any = block
    inputs = torch.randn(2, 8, 8, 8)
    signs = approx_sign(inputs)
    spatial = parts.spatial[2](nn.functional.conv2d(signs, binary_weights(parts.spatial[1].weight), None, 1, 1))
    signal = parts.first(spatial + inputs)
    both = [
        each[1](nn.functional.conv2d(approx_sign(signal), binary_weights(each[0].weight))) + signal
        for each in parts.pointwise
    ]
    torch.testing.assert_close(block(inputs), parts.second(torch.cat(both, 1)))
    assert len(parts.pointwise) == 1
    assert len(ReActNet((3, 8, 8), 2, width=2).body[1].pointwise) == 2  # pyright: ignore


def test_a_binary_network_learns_and_every_parameter_moves(tmp_path: Any) -> None:
    run = RunSpec.parse(
        {
            "data": {"name": "digits", "limit": {"train": 500}},
            "model": {"name": "binary_resnet", "width": 8},
            "optimizer": {"name": "adamw", "learning_rate": 0.01},
            "schedule": {"name": "linear"},
            "training": {"epochs": 6, "batch_size": 50},
        }
    )
    assert train_run(run, runs=tmp_path).metrics["test.accuracy"] > 0.4
    for name in NETWORKS:
        torch.manual_seed(0)
        model = MODELS[name].parse({"width": 4}).build((1, 16, 16), 3)
        nn.functional.cross_entropy(model(torch.randn(16, 1, 16, 16)), torch.arange(16) % 3).backward()
        assert [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="depth: one of 18, 34; got 50"):
        MODELS["binary_resnet"].parse({"depth": 50})
    with pytest.raises(InputError, match="num_classes: at least 2; got 1"):
        ReActNet((3, 8, 8), 1)
