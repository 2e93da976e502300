"""A data set in memory."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs, labels and splits. The rows of all splits are in one tensor.

    Attributes:
        name: The specification's name; for a path, its last part without the suffix.
        fingerprint: SHA-256 (hex) of the content, independent of its path and splits.
        inputs: (N, C, H, W) uint8 for images, C = 1 grey or 3 RGB; (N, D) float64 for a table; (N, D) uint8 for texts,
            the hashed counts of their words.
        labels: (N,) int64 in [0, num_classes). The number of a row without a label means nothing.
        class_names: The name of each class.
        splits: "train", "validation" and "test", each (n,) int64 rows of `inputs` in ascending order.
        origin: (N,) uint8, index into SPLITS: the source's own split of each row. Default: all from its training part.
        texts: The texts, if the inputs are word counts, else None.
        labelled: (N,) bool, False for a training row whose label is missing or hidden; None if all rows have a label.
    """

    name: str
    fingerprint: str
    inputs: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    splits: dict[str, Tensor]
    origin: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    texts: tuple[str, ...] | None = None
    labelled: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.origin) == 0:
            object.__setattr__(self, "origin", torch.zeros(len(self.labels), dtype=torch.uint8))

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) for images, (D,) for a table or texts."""
        return tuple(self.inputs.shape[1:])

    @property
    def is_image(self) -> bool:
        """Whether the inputs are images."""
        return self.inputs.ndim == 4

    @property
    def is_text(self) -> bool:
        """Whether the inputs are word counts of texts."""
        return self.texts is not None


def normalization(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of the training inputs.

    The deviation is the population's (divided by n). It is 1 for a constant channel or column, and for a column whose
    deviation is so small that 1 / std overflows, so that ``(inputs - mean) / std`` is finite.

    Returns:
        mean and std: for images (C,) float32, scaled so that 255 is 1; for a table (D,) float64 in its own units.

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
    # in units of a power of two, which is exact: the squares of 1e200 and 1e-200 overflow and underflow
    peaks = torch.maximum(low.abs(), high.abs()).tolist()
    unit = torch.tensor([math.ldexp(1.0, math.frexp(peak)[1] - 1) for peak in peaks], dtype=torch.float64)
    std, mean = torch.std_mean(rows / unit, dim=0, correction=0)
    std, mean = std * unit, mean * unit
    # std == 0 is not enough: rounding of the mean of equal values leaves a relative deviation of about 1e-17
    equal = low == high
    return torch.where(equal, high, mean), torch.where(equal | (1 / std).isinf(), 1.0, std)


def _of_images(images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    totals = torch.zeros(2, images.shape[1], dtype=torch.int64)
    for chunk in rows.split(4096):
        values = images[chunk].to(torch.int32)
        totals[0] += values.sum((0, 2, 3))
        totals[1] += values.square().sum((0, 2, 3))
    count = len(rows) * images.shape[2] * images.shape[3]
    # Python's integers are exact, so that a constant channel is recognised
    moments = [(first, count * second - first * first) for first, second in zip(*totals.tolist(), strict=True)]
    mean = [first / count / 255 for first, _ in moments]
    std = [spread**0.5 / count / 255 if spread else 1.0 for _, spread in moments]
    return torch.tensor(mean), torch.tensor(std)
