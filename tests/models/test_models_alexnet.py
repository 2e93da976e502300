"""AlexNet as in TensorFlow's tutorial."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from softtargets._errors import InputError
from softtargets.models.alexnet import AlexNet, AlexNetSpec
from softtargets.runs.optimization import GroupSpec, OptimizerSpec
from softtargets.train.optimizers import build_optimizer


def small(shape: tuple[int, int, int] = (1, 6, 5), hidden: tuple[int, ...] = (7, 4)) -> AlexNet:
    torch.manual_seed(0)
    return AlexNet(shape, 3, channels=12, hidden=hidden)


def same_pool(inputs: Tensor) -> Tensor:
    """TensorFlow's "SAME" 3x3 pooling of stride 2, from its rule for the padding: the odd pixel goes to the end."""
    for axis in (-2, -1):
        size = inputs.shape[axis]
        pooled = -(-size // 2)
        before = max((pooled - 1) * 2 + 3 - size, 0) // 2
        windows = [
            inputs.narrow(axis, max(start, 0), min(start + 3, size) - max(start, 0)).amax(axis)
            for start in (2 * place - before for place in range(pooled))
        ]
        inputs = torch.stack(windows, axis)
    return inputs


def response_norm(inputs: Tensor) -> Tensor:
    """tf.nn.lrn(inputs, 4, bias=1.0, alpha=0.001 / 9.0, beta=0.75), a channel at a time."""
    channels = range(inputs.shape[1])
    sums = [sum(inputs[:, j] ** 2 for j in channels if abs(j - c) <= 4) for c in channels]
    return torch.stack([inputs[:, c] / (1 + 0.001 / 9 * sums[c]) ** 0.75 for c in channels], dim=1)


@pytest.mark.parametrize(("shape", "pixels"), [((3, 32, 32), 8 * 8), ((1, 28, 28), 7 * 7), ((3, 24, 24), 6 * 6)])
def test_the_published_size(shape: tuple[int, int, int], pixels: int) -> None:
    with torch.device("meta"):
        model = AlexNet(shape, 10)
        assert model(torch.empty(5, *shape)).shape == (5, 10)
    counts = [parameter.numel() for parameter in model.parameters()]
    convolutions = [25 * shape[0] * 64, 64, 25 * 64 * 64, 64]
    assert counts == [*convolutions, pixels * 64 * 384, 384, 384 * 192, 192, 192 * 10, 10]


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 7, 9), (2, 1, 2), (1, 3, 8)])
def test_the_layers_stand_in_the_tutorials_order_on_images_of_any_size(shape: tuple[int, int, int]) -> None:
    model = small(shape).double()
    inputs = 100 * torch.randn(2, *shape, dtype=torch.float64)  # large, so that the response is really normalised
    conv1, conv2 = (layer for layer in model.body if isinstance(layer, nn.Conv2d))
    signal = response_norm(same_pool(conv1(inputs).relu()))
    signal = same_pool(response_norm(conv2(signal).relu())).flatten(1)
    for layer in model.hidden:
        signal = layer(signal)
    torch.testing.assert_close(model.features(inputs), signal)
    torch.testing.assert_close(model(inputs), model.head(signal))
    unnormalised = same_pool(conv2(same_pool(conv1(inputs).relu())).relu()).flatten(1)
    assert not torch.allclose(model.body(inputs), unnormalised, rtol=0.01)


def test_the_response_norm_by_hand() -> None:
    """Ten channels of 3: the first sees 5 of them, the fifth 9; 3 / (1 + .001 · 9 · share)^.75 with share 5/9 and 1."""
    inputs, expected = torch.full((1, 10, 1, 1), 3.0), torch.tensor([3 / 1.005**0.75, 3 / 1.009**0.75])
    norms = [layer for layer in small().body if isinstance(layer, nn.LocalResponseNorm)]
    assert len(norms) == 2
    for normalise in (response_norm, *norms):
        torch.testing.assert_close(normalise(inputs).flatten()[[0, 4]], expected)


def test_weights_start_as_in_the_tutorial() -> None:
    torch.manual_seed(0)
    named = dict(AlexNet((3, 32, 32), 100).named_parameters())
    # a normal distribution cut at two deviations has .8796 of its deviation
    for name, deviation in {
        "body.0": 0.05,
        "body.4": 0.05,
        "hidden.0": 0.04,
        "hidden.2": 0.04,
        "head": 1 / 192,
    }.items():
        weight = named.pop(f"{name}.weight").detach()
        assert float(weight.std()) == pytest.approx(0.8796 * deviation, rel=0.03)
        assert 1.9 * deviation < float(weight.abs().max()) <= 2 * deviation
    starts = {"body.0.bias": 0.0, "body.4.bias": 0.1, "hidden.0.bias": 0.1, "hidden.2.bias": 0.1, "head.bias": 0.0}
    assert list(named) == list(starts)
    assert all(bool((bias == starts[name]).all()) for name, bias in named.items())


def test_decay_of_the_last_two_dense_layers_is_tensorflows() -> None:
    """One step of the optimiser's groups is one plain step on the loss plus wd · sum(w^2) / 2 of each."""
    ours, theirs = small(), small()
    inputs, labels = torch.randn(8, 1, 6, 5), torch.arange(8) % 3
    spec = OptimizerSpec(
        learning_rate=0.1,
        momentum=0.0,
        weight_decay=0.0,
        groups=(GroupSpec(match="hidden.*.weight", weight_decay=0.04),),
    )
    optimizer = build_optimizer(spec, ours.named_parameters())
    nn.functional.cross_entropy(ours(inputs), labels).backward()
    optimizer.step()
    loss = nn.functional.cross_entropy(theirs(inputs), labels)
    loss = loss + sum(0.04 * theirs.get_parameter(f"hidden.{i}.weight").square().sum() / 2 for i in (0, 2))
    loss.backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert other.grad is not None
        torch.testing.assert_close(mine, other - 0.1 * other.grad)
    decayed = [group for group in optimizer.param_groups if group["weight_decay"] == 0.04]
    assert [len(group["params"]) for group in decayed] == [2]


def test_it_is_built_from_its_specification_and_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = AlexNetSpec(channels=4, hidden=(6,)).build(input_shape=(1, 8, 8), num_classes=3)
    nn.functional.cross_entropy(model(torch.randn(16, 1, 8, 8)), torch.arange(16) % 3).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"input_shape: \(C, H, W\), the shape of an image; got \(64,\); .*use mlp"):
        AlexNet((64,), 10)
    with pytest.raises(InputError, match=r"hidden: at least one width; got \(\); use convnet"):
        AlexNet((1, 8, 8), 10, hidden=())
    with pytest.raises(InputError, match="num_classes: at least 2; got 1"):
        AlexNet((1, 8, 8), 1)
    with pytest.raises(InputError, match=r"inputs: shape \(N, 1, 6, 5\); got \(2, 1, 5, 6\); build the model with"):
        small()(torch.zeros(2, 1, 5, 6))
    with pytest.raises(ValidationError):
        AlexNetSpec(hidden=())
    with pytest.raises(ValidationError):
        AlexNetSpec(channels=0)
