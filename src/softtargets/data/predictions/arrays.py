"""Predictions in memory, read from files or given as arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, from_numpy

from softtargets._errors import fail, fail_type
from softtargets.data.predictions.checks import check_values, checked_labels, floating
from softtargets.metrics.arguments import Kind

# NumPy arrays, tensors, and what NumPy converts to arrays, such as lists and tables
ArrayLike = Any
_CHUNK_ROWS = 65_536
_CHUNK_NUMBERS = 2**22


@dataclass(frozen=True, eq=False)
class PredictionChunk:
    """Consecutive rows of one file, checked.

    Attributes:
        values: (n, K) floating point, as stored.
        labels: (n,) int64 in [0, K), or None.
        first_row: The index of the first row, counted from 0 over all files.
        file: The file; "memory" for arrays.
        file_row: The index of the first row in that file.
    """

    values: Tensor
    labels: Tensor | None
    first_row: int
    file: Path
    file_row: int

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a model for every row.

    Attributes:
        values: (N, K) floating point, as stored. Memory-mapped if they come from a single uncompressed .npz or
            .safetensors file, or exceed 1 GiB.
        kind: Whether the values are logits or probabilities.
        labels: (N,) int64 in [0, K) if the files hold labels, else None.
        class_names: The class names in the files, in the order of the values, or None.
    """

    values: Tensor
    kind: Kind
    labels: Tensor | None
    class_names: tuple[str, ...] | None = None

    # as `PredictionFiles` has them
    paths: ClassVar[tuple[Path, ...]] = ()
    notes: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.values)

    def counted_rows(self) -> int:
        """Return N."""
        return len(self.values)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.values.shape[1]

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def probs(self, rows: slice | Tensor) -> Tensor:
        """Return the probabilities of some rows, (n, K) float32, normalised to a sum of 1.

        Computed in float64: the softmax of logits, or probabilities divided by their sum to undo rounding.

        Example:
            >>> Predictions(torch.tensor([[0.0, 0.0], [9.0, 9.0]]), "logits", None).probs(slice(1, 2))
            tensor([[0.5000, 0.5000]])
        """
        values = self.values[rows].double()
        return (values.softmax(1) if self.kind == "logits" else values / values.sum(1, keepdim=True)).float()

    def chunks(self, rows: int | None = None) -> Iterator[PredictionChunk]:
        """Yield all rows in order, by default in chunks of the size that :meth:`PredictionFiles.chunks` uses."""
        size = rows or chunk_rows(self.num_classes)
        for start in range(0, len(self), size):
            some = slice(start, start + size)
            labels = None if self.labels is None else self.labels[some]
            yield PredictionChunk(self.values[some], labels, start, Path("memory"), start)


def as_probs(values: Tensor, kind: Kind) -> Tensor:
    """Return (n, K) probabilities in float32 or float64: as stored, or the softmax of logits in float32.

    The softmax is computed in float64.
    """
    if kind == "logits":
        return values.double().softmax(1).float()
    return values.float() if values.itemsize < 4 else values


def chunk_rows(num_classes: int) -> int:
    """Return the number of rows in a chunk: at most 65,536 rows and about 4 million numbers."""
    return max(1, min(_CHUNK_ROWS, _CHUNK_NUMBERS // num_classes))


def predictions_of(
    probs: ArrayLike | None = None,
    logits: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    class_names: Sequence[str] | None = None,
    argument: str | None = None,
) -> Predictions:
    """Check arrays of predictions as files of predictions are checked, and return them as `Predictions`.

    Args:
        probs, logits: (N, K) values, N >= 1 and K >= 2; one of the two.
        labels: (N,) whole numbers in [0, K), or None.
        class_names: K names, or None.
        argument: The name of the values in errors (default: probs or logits).

    Raises:
        InputError: neither or both of `probs` and `logits`; a wrong shape; a value that is not finite; a row of
            probabilities with a negative value or a sum other than 1; a label that is not a class.
        InputTypeError: a value that is not an array of numbers.
    """
    if (probs is None) == (logits is None):
        got = "neither" if probs is None else "both"
        raise fail("probs", "either probs or logits", got, "pass one of them, or files as predictions")
    kind, given = ("logits", logits) if probs is None else ("probs", probs)
    argument = argument or kind
    values = floating(as_tensor(argument, given))
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        required, got = "shape (N, K) with N of at least 1 and K of at least 2", f"shape {tuple(values.shape)}"
        raise fail(argument, required, got, "give one value for each class, also for two classes")
    num_rows, num_classes = values.shape
    for start in range(0, num_rows, size := chunk_rows(num_classes)):
        check_values(values[start : start + size], kind, "logits=", None, start, argument)
    if class_names is not None and len(class_names) != num_classes:
        required = f"{num_classes} names, one for each class"
        raise fail("class_names", required, len(class_names), "pass one name for each class")
    found = None
    if labels is not None:
        found = as_tensor("labels", labels)
        if found.shape != (num_rows,):
            required, got = f"shape ({num_rows},), one label for each row", f"shape {tuple(found.shape)}"
            raise fail("labels", required, got, "give one class index for each row")
        found = checked_labels(found, num_classes, "labels", None, 0)
    return Predictions(values, kind, found, None if class_names is None else tuple(map(str, class_names)))


def as_tensor(argument: str, array: ArrayLike) -> Tensor:
    """Return an array of numbers as a tensor on the CPU, with the same data type and without a copy if possible.

    Raises:
        InputTypeError: if it is not an array of real numbers.
    """
    if not isinstance(array, Tensor):
        try:
            found = np.asarray(array)
        except ValueError as error:
            raise fail_type(
                argument, "an array of numbers", f"{type(array).__name__} ({error})", "pass a NumPy array or a tensor"
            ) from error
        if found.dtype.kind not in "biuf":
            raise fail_type(
                argument,
                "an array of numbers",
                f"{type(array).__name__} of {found.dtype}",
                "convert it to a numeric type",
            )
        # contiguous and writable, so that torch can share the memory
        array = from_numpy(np.require(found, found.dtype.newbyteorder("="), ["C", "W"]))
    elif array.is_complex():
        raise fail_type(argument, "an array of real numbers", f"dtype {array.dtype}", "convert it to a real type")
    return array.detach().cpu().contiguous()
