"""The small network after airbench94, and its recipe."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from softtargets._errors import InputError
from softtargets._spec import merged, read_toml
from softtargets.models.fastconv import FastConv, FastConvSpec
from softtargets.runs.spec import RunSpec
from softtargets.train.run import train_run

RECIPE = Path(__file__).resolve().parents[2] / "docs" / "recipes" / "cifar10_fastconv.toml"
WIDTHS = (4, 6, 5)


def images(count: int = 64, shape: tuple[int, int, int] = (3, 12, 10)) -> Tensor:
    """Return images whose neighbouring pixels and channels are correlated."""
    torch.manual_seed(1)
    smooth = nn.functional.avg_pool2d(torch.randn(count, *shape), 3, 1, 1)
    return smooth + smooth.mean(1, keepdim=True)


def patches_of(inputs: Tensor) -> Tensor:
    """Return the 2x2 patches as rows, one at a time."""
    height, width = inputs.shape[2:]
    places = [(i, j) for i in range(height - 1) for j in range(width - 1)]
    return torch.cat([inputs[:, :, i : i + 2, j : j + 2].flatten(1) for i, j in places]).double()


def test_airbenchs_number_of_parameters() -> None:
    model = FastConv((3, 32, 32), 10)
    first = 24 * 12 + 24
    convolutions = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    norms, head = 2 * 2 * (64 + 256 + 256), 256 * 10 + 10
    assert sum(parameter.numel() for parameter in model.parameters()) == first + convolutions + norms + head
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert fixed == {"whitening.weight", *(f"body.{place}.weight" for place in (3, 6, 10, 13, 17, 20))}


@pytest.mark.parametrize("shape", [(3, 12, 10), (1, 9, 9)])
def test_the_first_layer_whitens_patches(shape: tuple[int, int, int]) -> None:
    model, data = FastConv(shape, 10, WIDTHS).double(), images(shape=shape).double()
    model.whiten(data.split(20))
    half = 4 * shape[0]
    assert model.whitening.weight.shape == (2 * half, shape[0], 2, 2)
    outputs = model.whitening(data)
    assert torch.equal(outputs[:, :half], -outputs[:, half:])
    rows = outputs[:, :half].movedim(1, -1).reshape(-1, half)
    second_moments = rows.T @ rows / len(rows)
    variances = torch.linalg.eigvalsh(patches_of(data).T @ patches_of(data) / len(rows)).flip(0)
    torch.testing.assert_close(second_moments, torch.diag(variances / (variances + 5e-4)), atol=1e-6, rtol=1e-5)
    assert bool((model.whitening.bias == 0).all())


def test_groups_from_their_parts() -> None:
    torch.manual_seed(0)
    model = FastConv((3, 12, 10), 4, WIDTHS, scale=0.5)
    inputs = images()
    model.whiten([inputs])
    signal = nn.functional.gelu(model.whitening(inputs))
    layers: list[Any] = list(model.body.children())[1:]
    for group in range(3):
        conv1, _, norm1, _, conv2, norm2, _ = layers[7 * group : 7 * group + 7]
        for conv, norm, pooled in ((conv1, norm1, True), (conv2, norm2, False)):
            signal = nn.functional.conv2d(signal, conv.weight, padding=1)
            signal = nn.functional.max_pool2d(signal, 2) if pooled else signal
            deviation = signal.var((0, 2, 3), unbiased=False, keepdim=True).sqrt()
            signal = (signal - signal.mean((0, 2, 3), keepdim=True)) / deviation + norm.bias.view(1, -1, 1, 1)
            signal = nn.functional.gelu(signal)
    expected = 0.5 * signal.flatten(2).max(2).values
    features = model.features(inputs)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(inputs), features @ model.head.weight.T + model.head.bias)


def test_convolutions_start_as_the_identity() -> None:
    model = FastConv((1, 9, 9), 4, (16, 8, 8))
    for conv in (layer for layer in model.body if isinstance(layer, nn.Conv2d)):
        inputs = torch.randn(2, conv.in_channels, 6, 6)
        kept = min(conv.in_channels, conv.out_channels)
        torch.testing.assert_close(conv(inputs)[:, :kept], inputs[:, :kept])
        assert all(bool(filters.any()) for filters in conv.weight.detach()[kept:])


def test_all_but_the_fixed_weights_learn() -> None:
    model = FastConv((3, 12, 10), 3, WIDTHS)
    model.whiten([images()])
    nn.functional.cross_entropy(model(images()), torch.arange(64) % 3).backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())}
    assert still == {name for name, p in model.named_parameters() if not p.requires_grad}


def run_of(**model: Any) -> RunSpec:
    return RunSpec.parse(
        {
            "data": {"name": "digits"},
            "model": {"name": "fastconv", "widths": WIDTHS, **model},
            "training": {"epochs": 1, "batch_size": 100, "snapshot_every": 1, "precision": "float32"},
        }
    )


def test_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"input_shape: images of at least 9x9 pixels; got \(1, 8, 8\); enlarge"):
        train_run(run_of(), runs=tmp_path)


def test_initialise_asks_for_images_unless_weights_are_loaded(tmp_path: Path) -> None:
    asked: list[int] = []

    def some(count: int) -> list[Tensor]:
        asked.append(count)
        return [images()]

    spec = FastConvSpec(widths=WIDTHS)
    torch.manual_seed(0)
    network = spec.build((3, 12, 10), 4)
    before = network.state_dict()["whitening.weight"].clone()
    spec.initialise(network, some)
    assert asked == [5000]
    whitened = network.state_dict()["whitening.weight"]
    assert not torch.equal(whitened, before)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    again = spec.changed(init_from=str(tmp_path))
    other = again.build((3, 12, 10), 4)
    again.initialise(other, some)
    assert asked == [5000]
    assert torch.equal(other.state_dict()["whitening.weight"], whitened)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Write 60 coloured images of three classes."""
    folder = tmp_path / "images"
    for place, pixels in enumerate((40 * images(60) + 128).clamp(0, 255).byte()):
        path = folder / "abc"[place % 3] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.movedim(0, -1).numpy()).save(path)
    return folder


def test_the_recipe_trains(tmp_path: Path, image_folder: Path) -> None:
    """On a few coloured images with the settings of the recipe; the first layer is that of the training images."""
    once = {"epochs": 1, "snapshot_every": 1, "batch_size": 8}
    small = {"data": {"name": str(image_folder)}, "model": {"widths": WIDTHS}, "schedule": {"warmup_steps": 3}}
    run = RunSpec.parse(merged(read_toml(RECIPE), {**small, "training": once}), source=str(RECIPE))
    result = train_run(run, runs=tmp_path)
    assert result.status == "trained", result.message
    weights = load_file(result.folder / "snapshots.safetensors")
    first, last = (weights[f"epoch.{epoch}/whitening.weight"] for epoch in (0, 1))
    assert torch.equal(first, last)
    assert not torch.equal(weights["epoch.0/whitening.bias"], weights["epoch.1/whitening.bias"])
    half = len(first) // 2
    assert torch.equal(first[:half], -first[half:])
