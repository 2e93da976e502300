"""Normalisation."""

import pytest
import torch

from softtargets.data import Dataset, normalization


def dataset(inputs: torch.Tensor, train: list[int]) -> Dataset:
    rows = {"train": torch.tensor(train), "validation": torch.tensor([0]), "test": torch.tensor([0])}
    return Dataset("set", "", inputs, torch.arange(len(inputs)) % 2, ("a", "b"), rows)


def test_images_by_channel_on_the_scale_of_one() -> None:
    images = torch.randint(0, 256, (50, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    train = list(range(10, 50))
    mean, std = normalization(dataset(images, train))
    scaled = images[train].double() / 255
    torch.testing.assert_close(mean.double(), scaled.mean((0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(std.double(), scaled.std((0, 2, 3), correction=0), rtol=1e-6, atol=0)
    assert mean.dtype == std.dtype == torch.float32


def test_tables_by_column() -> None:
    rows = torch.tensor([[1000.0, 0], [1, 3], [3, 7]], dtype=torch.float64)
    mean, std = normalization(dataset(rows, [1, 2]))
    assert (mean.tolist(), std.tolist()) == ([2, 5], [1, 2])
    assert mean.dtype == std.dtype == torch.float64


@pytest.mark.parametrize("scale", [1e-307, 1e-200, 1e-40, 1.0, 1e40, 1e200, 1e308])
def test_tables_of_any_scale(scale: float) -> None:
    rows = torch.tensor([[1.0], [-1], [0.5], [-1.5]], dtype=torch.float64)
    mean, std = normalization(dataset(rows * scale, [0, 1, 2, 3]))
    torch.testing.assert_close(mean / scale, rows.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(std / scale, rows.std(0, correction=0), rtol=1e-14, atol=0)


def test_what_is_constant_has_deviation_one() -> None:
    # The mean of 0.1, 0.1, 0.1 is not 0.1 in floating point.
    rows = torch.tensor([[0.1, 1e300]] * 3, dtype=torch.float64)
    mean, std = normalization(dataset(rows, [0, 1, 2]))
    assert (mean.tolist(), std.tolist()) == ([0.1, 1e300], [1, 1])
    _, std = normalization(dataset(torch.tensor([[0.0], [5e-324]], dtype=torch.float64), [0, 1]))
    assert std.tolist() == [1]
    images = torch.full((3, 1, 7, 7), 77, dtype=torch.uint8)
    mean, std = normalization(dataset(images, [0, 1, 2]))
    assert std.tolist() == [1]
    torch.testing.assert_close(mean, torch.tensor([77 / 255]))


def test_properties() -> None:
    table = dataset(torch.zeros(3, 2, dtype=torch.float64), [0])
    images = dataset(torch.zeros(3, 1, 4, 5, dtype=torch.uint8), [0])
    assert (table.num_classes, table.input_shape, table.is_image) == (2, (2,), False)
    assert (images.num_classes, images.input_shape, images.is_image) == (2, (1, 4, 5), True)
