"""A data set in memory."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs, labels and splits; the rows of all splits lie in one tensor.

    Attributes:
        name: The specification's name; of a path, the last part without its suffix.
        fingerprint: SHA-256 (hex) of the content, whatever its path and its splits.
        inputs: (N, C, H, W) uint8 of images, C = 1 grey or 3 RGB; (N, D) float64 of a table; (N, D) uint8 of texts, the
            counts of their words by hash.
        labels: (N,) int64 in [0, num_classes).
        class_names: One name for each class.
        splits: "train", "validation" and "test", each (n,) int64 rows of `inputs` in ascending order.
        origin: (N,) uint8, index into SPLITS: which of the source's own splits a row comes from. Left out, every row
            comes from the source's training part.
        texts: Where the inputs count the words of texts, these texts, else None.
    """

    name: str
    fingerprint: str
    inputs: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    splits: dict[str, Tensor]
    origin: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    texts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.origin) == 0:
            object.__setattr__(self, "origin", torch.zeros(len(self.labels), dtype=torch.uint8))

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) of images, (D,) of a table or of texts."""
        return tuple(self.inputs.shape[1:])

    @property
    def is_image(self) -> bool:
        """Whether the inputs are images."""
        return self.inputs.ndim == 4

    @property
    def is_text(self) -> bool:
        """Whether the inputs count the words of texts."""
        return self.texts is not None


def normalization(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the training inputs, and of no others.

    The deviation is the population's (divided by n). A constant channel or column has deviation 1, so that
    ``(inputs - mean) / std`` is finite; so has a column whose deviation is too small to divide by (1 / std overflows).

    Returns:
        mean and std: of images (C,) float32 on the scale in which 255 is 1; of a table (D,) float64 in its own units.

    Example:
        >>> rows = torch.tensor([[1.0, 5.0], [3.0, 5.0], [99.0, 99.0]], dtype=torch.float64)
        >>> splits = {"train": torch.tensor([0, 1]), "validation": torch.tensor([2]), "test": torch.tensor([2])}
        >>> normalization(Dataset("table", "", rows, torch.tensor([0, 1, 0]), ("a", "b"), splits))
        (tensor([2., 5.], dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
    """
    train = dataset.splits["train"]
    return _of_images(dataset.inputs, train) if dataset.is_image else _of_columns(dataset.inputs[train])


def _of_columns(rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.double()
    low, high = torch.aminmax(rows, dim=0)
    # In units of a power of two, which is exact: the squares of 1e200 or 1e-200 are no float64.
    peaks = torch.maximum(low.abs(), high.abs()).tolist()
    unit = torch.tensor([math.ldexp(1.0, math.frexp(peak)[1] - 1) for peak in peaks], dtype=torch.float64)
    std, mean = torch.std_mean(rows / unit, dim=0, correction=0)
    std, mean = std * unit, mean * unit
    # Not std == 0 alone: the mean of equal values is rounded, which leaves a deviation of 1e-17 or so of them.
    equal = low == high
    return torch.where(equal, high, mean), torch.where(equal | (1 / std).isinf(), 1.0, std)


def _of_images(images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    totals = torch.zeros(2, images.shape[1], dtype=torch.int64)
    for chunk in rows.split(4096):
        values = images[chunk].to(torch.int32)
        totals[0] += values.sum((0, 2, 3))
        totals[1] += values.square().sum((0, 2, 3))
    count = len(rows) * images.shape[2] * images.shape[3]
    # Python's integers are exact, so that a constant channel is seen as such.
    moments = [(first, count * second - first * first) for first, second in zip(*totals.tolist(), strict=True)]
    mean = [first / count / 255 for first, _ in moments]
    std = [spread**0.5 / count / 255 if spread else 1.0 for _, spread in moments]
    return torch.tensor(mean), torch.tensor(std)
