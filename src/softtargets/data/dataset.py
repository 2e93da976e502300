"""A data set: inputs, labels and splits."""

import functools
import hashlib
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softtargets._storage import parse_json, read_regular, write_atomically
from softtargets.data.spec import AugmentationSpec
from softtargets.data.stream import ROWS_PER_TASK, StreamedImages
from softtargets.data.tokenizer import Tokenizer
from softtargets.data.tokens import TokenRows
from softtargets.data.views import View

SPLITS = ("train", "validation", "test")
# Training images of a stream from which the mean and the standard deviation are computed.
_SAMPLE = 5_000
# Bytes of images whose values are added at a time.
_SUMMED_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs, labels and splits. The rows of all splits are numbered together.

    Attributes:
        name: The specification's name; for a path, its last part without the suffix.
        fingerprint: SHA-256 (hex) of the content, independent of its path and splits.
        inputs: (N, C, H, W) uint8 for images, C = 1 grey or 3 RGB; (N, D) float64 for a table; (N, D) uint8 for texts,
            the hashed counts of their words. Or images that are streamed, which have such a shape and give such rows.
            With a tokenizer: the N rows of tokens of the texts, or of the sources of sentence pairs.
        labels: (N,) int64 in [0, num_classes). The number of a row without a label means nothing. 0 for every row of
            `outputs`.
        class_names: The name of each class. With `outputs`: the tokens of their vocabulary.
        splits: "train", "validation" and "test", each (n,) int64 rows of `inputs` in ascending order.
        origin: (N,) uint8, index into SPLITS: the source's own split of each row. Default: all from its training part.
        texts: The texts, if the inputs are word counts or tokens, else None. Of pairs: their sources.
        labelled: (N,) bool, False for a training row whose label is missing or hidden; None if all rows have a label.
        votes: (N, K) float32, the votes of several annotators or a distribution over the classes for each row, whose
            most frequent class is its label; of several, the first. None: labels are classes.
        hidden: (N,) bool, True for a training row whose label is hidden but known: `labels` has it, for counts only.
            None if no label is hidden.
        chosen_classes: Whether rows of other classes were left out.
        given_normalization: (C,) mean and (C,) standard deviation of images, if the specification gives them.
        workers: Number of worker processes that decode or augment images; None: chosen by the number of cores.
        columns: The names of the columns of a table, or of the column of texts; empty for images.
        view: What images in memory show of their files, if they were resized.
        tokenizer: What made the inputs of texts, if they are tokens.
        outputs: The rows of tokens that a network learns to write: the targets of sentence pairs, or for a language
            model the inputs themselves, the same object. None: the network predicts labels.
        output_tokenizer: What made the outputs.
        output_texts: The texts of the outputs of sentence pairs.
        longest_row: Where the row with the most tokens is, for errors.
    """

    name: str
    fingerprint: str
    # a Tensor, StreamedImages or TokenRows; most code knows which of them it has
    inputs: Any
    labels: Tensor
    class_names: tuple[str, ...]
    splits: dict[str, Tensor]
    origin: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    texts: tuple[str, ...] | None = None
    labelled: Tensor | None = None
    votes: Tensor | None = None
    hidden: Tensor | None = None
    chosen_classes: bool = False
    given_normalization: tuple[Tensor, Tensor] | None = None
    workers: int | None = None
    columns: tuple[str, ...] = ()
    view: View | None = None
    tokenizer: Tokenizer | None = None
    outputs: TokenRows | None = None
    output_tokenizer: Tokenizer | None = None
    output_texts: tuple[str, ...] | None = None
    longest_row: str = ""

    def __post_init__(self) -> None:
        if len(self.origin) == 0:
            object.__setattr__(self, "origin", torch.zeros(len(self.labels), dtype=torch.uint8))

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) for images, (D,) for a table or texts; a :class:`TokenShape` for rows of tokens."""
        if self.tokenizer is None:
            return tuple(self.inputs.shape[1:])
        return self.tokenizer.shape(int(self.row_lengths.max()))

    @property
    def is_image(self) -> bool:
        """Whether the inputs are images."""
        return self.tokenizer is None and self.inputs.ndim == 4

    @property
    def is_text(self) -> bool:
        """Whether the inputs are word counts of texts."""
        return self.texts is not None and self.tokenizer is None

    @property
    def is_sequence(self) -> bool:
        """Whether a network learns to write rows of tokens instead of predicting labels."""
        return self.outputs is not None

    @property
    def is_pair(self) -> bool:
        """Whether the rows are sentence pairs."""
        return self.outputs is not None and self.outputs is not self.inputs

    @property
    def tokenizers(self) -> tuple[Tokenizer, ...]:
        """What made the inputs, and for sentence pairs what made the outputs; empty for data that are not tokens."""
        both = (self.tokenizer, self.output_tokenizer if self.is_pair else None)
        return tuple(tokenizer for tokenizer in both if tokenizer is not None)

    @functools.cached_property
    def row_lengths(self) -> Tensor:
        """(N,) int64, the number of tokens of each row; of a pair that of its longer side."""
        assert self.tokenizer is not None
        lengths: Tensor = self.inputs.lengths
        return torch.maximum(lengths, self.outputs.lengths) if self.outputs is not None else lengths

    @property
    def labelled_train(self) -> Tensor:
        """(n,) int64, the rows of the training split that have a label, in ascending order."""
        rows = self.splits["train"]
        return rows if self.labelled is None else rows[self.labelled[rows]]

    @property
    def labelled_splits(self) -> dict[str, Tensor]:
        """The splits without the training rows whose label is missing or hidden."""
        return {**self.splits, "train": self.labelled_train}

    @property
    def unlabelled_counts(self) -> dict[str, int]:
        """The number of training rows whose label is "hidden", and of those whose label is "missing" in the data."""
        without = len(self.splits["train"]) - len(self.labelled_train)
        hidden = 0 if self.hidden is None else int(self.hidden.sum())
        return {"hidden": hidden, "missing": without - hidden}

    @property
    def class_counts(self) -> dict[str, list[int]]:
        """The number of rows of each class, by split; see :attr:`labelled_splits`."""
        splits = self.labelled_splits.items()
        return {name: self.labels[rows].bincount(minlength=self.num_classes).tolist() for name, rows in splits}

    @property
    def test_shape(self) -> tuple[int, ...]:
        """The shape of an input in evaluation and prediction, which for images may be larger than in training."""
        view = self.inputs.view if isinstance(self.inputs, StreamedImages) else None
        return self.input_shape if view is None else (view.channels, *view.test)


@functools.lru_cache(maxsize=2)  # the runs of a process share a data set
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
    if dataset.given_normalization is not None:
        return dataset.given_normalization
    train, inputs = dataset.splits["train"], dataset.inputs
    if isinstance(inputs, StreamedImages):
        return _of_stream(inputs, train[dataset.labels[train].argsort(stable=True)], dataset.fingerprint)
    if dataset.is_image:
        return _of_pixels(inputs[chunk] for chunk in train.split(4096))
    return _of_columns(inputs[train])


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


def _of_pixels(batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    totals, count = np.zeros((2, 1), dtype=np.int64), 0
    for batch in batches:
        # few at a time, and by NumPy: torch's sums copy them to 64 bits, into blocks that the C library does not reuse
        for images in batch.split(max(1, _SUMMED_BYTES // batch[0].numel())):
            values = images.numpy().astype(np.int32)
            first = values.sum((0, 2, 3), dtype=np.int64)
            totals = totals + np.stack([first, np.square(values, out=values).sum((0, 2, 3), dtype=np.int64)])
        count += len(batch) * batch.shape[2] * batch.shape[3]
    # Python's integers are exact, so that a constant channel is recognised
    moments = [(first, count * second - first * first) for first, second in zip(*totals.tolist(), strict=True)]
    mean = [first / count / 255 for first, _ in moments]
    std = [spread**0.5 / count / 255 if spread else 1.0 for _, spread in moments]
    return torch.tensor(mean), torch.tensor(std)


def _of_stream(images: StreamedImages, rows: Tensor, fingerprint: str) -> tuple[Tensor, Tensor]:
    """Return the statistics of evenly spaced rows, which are sorted by class, and keep them in the cache."""
    count = min(len(rows), _SAMPLE)
    rows = rows[torch.arange(count) * len(rows) // count].sort().values
    told = f"{fingerprint} {images.view} {hashlib.sha256(rows.numpy().tobytes()).hexdigest()}"
    path = None if images.cache is None else images.cache / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, TypeError):
        if path is not None:
            mean, std = parse_json(read_regular(path))
            return torch.tensor(mean), torch.tensor(std)
    mean, std = _of_pixels(images.batches(rows.split(ROWS_PER_TASK), AugmentationSpec()))
    if path is not None:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps([mean.tolist(), std.tolist()]).encode())
    return mean, std
