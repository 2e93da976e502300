"""Predictions in memory, read from files or given as arrays."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, from_numpy

from softtargets._errors import fail, fail_type
from softtargets._rows import is_one_column, two_columns
from softtargets.data.predictions.checks import IGNORED, RowPlaces, check_values, checked_labels, floating, token_labels
from softtargets.metrics.arguments import Kind
from softtargets.metrics.soft_labels import read_soft_labels

# NumPy arrays, tensors, and what NumPy converts to arrays, such as lists and tables
ArrayLike = Any
_CHUNK_ROWS = 65_536
_CHUNK_NUMBERS = 2**22


@dataclass(frozen=True, eq=False)
class PredictionChunk:
    """Consecutive rows of one file, checked.

    Attributes:
        values: (n, K) floating point, as stored. Those of tokens that are not evaluated are not checked.
        labels: (n,) int64 in [0, K), or `IGNORED` for tokens that are not evaluated; or None. Of soft labels, the most
            likely class.
        first_row: The index of the first row, counted from 0 over all files.
        file: The file; "memory" for arrays.
        file_row: The index of the first row in that file.
        soft: (n, K) float64, the distribution of the label of each row; None for hard labels.
    """

    values: Tensor
    labels: Tensor | None
    first_row: int
    file: Path
    file_row: int
    soft: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a model for every row.

    The rows of sequences are their tokens, N * L in place of N.

    Attributes:
        values: (N, K) floating point, as stored. Memory-mapped if they come from a single uncompressed .npz or
            .safetensors file, or exceed 1 GiB.
        kind: Whether the values are logits or probabilities.
        labels: (N,) int64 in [0, K) if the files hold labels, else None; `IGNORED` for tokens that are not evaluated.
            Of soft labels, the most likely class.
        class_names: The class names in the files, in the order of the values, or None.
        positions: L if the rows are the tokens of sequences, else None.
        soft: (N, K) float64, the distribution of the label of each row; None for hard labels.
    """

    values: Tensor
    kind: Kind
    labels: Tensor | None
    class_names: tuple[str, ...] | None = None
    positions: int | None = None
    soft: Tensor | None = None

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

    def label_chunks(self) -> Iterator[Tensor]:
        """Yield the labels in order."""
        assert self.labels is not None
        yield self.labels

    def chunks(self, rows: int | None = None) -> Iterator[PredictionChunk]:
        """Yield all rows in order, by default in chunks of the size that :meth:`PredictionFiles.chunks` uses."""
        size = rows or chunk_rows(self.num_classes)
        for start in range(0, len(self), size):
            some = slice(start, start + size)
            labels, soft = (None if given is None else given[some] for given in (self.labels, self.soft))
            yield PredictionChunk(self.values[some], labels, start, Path("memory"), start, soft)


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
    mask: ArrayLike | None = None,
    sequences: bool = False,
) -> Predictions:
    """Check arrays of predictions as files of predictions are checked, and return them as `Predictions`.

    Args:
        probs, logits: (N, K) values, N >= 1 and K >= 2; one of the two. (N,) or (N, 1): those of class 1 of two.
        labels: (N,) whole numbers in [0, K), (N, K) soft labels (votes, or probabilities that sum to 1), or None.
        class_names: K names, or None.
        argument: The name of the values in errors (default: probs or logits).
        mask: (N, L) bool or 0 and 1, false for tokens of sequences that are not evaluated, or None.
        sequences: Whether the values may be those of sequences, (N, L, K) with labels (N, L).

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
    values = as_tensor(argument, given)
    if is_one_column(values) and not values.is_floating_point():
        # more likely predicted classes, or the labels
        required, got = (
            "one value for each class, or floating-point values of class 1",
            f"whole numbers, {values.dtype}",
        )
        raise fail(argument, required, got, "pass the values of all classes, not classes; or swap it with the labels")
    values = two_columns(kind, floating(values))
    positions = values.shape[1] if sequences and values.ndim == 3 else None
    if (values.ndim != 2 and positions is None) or values.shape[-1] < 2 or not values.numel():
        shapes = "(N, K) or (N, L, K)" if sequences else "(N, K)"
        required, got = f"shape {shapes} with N of at least 1 and K of at least 2", f"shape {tuple(values.shape)}"
        raise fail(argument, required, got, "give one value for each class, also for two classes")
    shape = tuple(values.shape[:-1])
    values = values.reshape(-1, values.shape[-1])
    num_classes = values.shape[1]
    if class_names is not None and len(class_names) != num_classes:
        required = f"{num_classes} names, one for each class"
        raise fail("class_names", required, len(class_names), "pass one name for each class")
    soft = None if labels is None else _soft(labels, mask, (*shape, num_classes))
    found = None if soft is None else soft.max(1).indices
    if labels is not None and found is None:
        found = _labels(labels, mask, shape, num_classes)
    _check_counted(values, found, kind, argument, positions)
    names = None if class_names is None else tuple(map(str, class_names))
    return Predictions(values, kind, found, names, positions, soft)


def _soft(labels: ArrayLike, mask: ArrayLike | None, shape: tuple[int, ...]) -> Tensor | None:
    """Return the distribution of the label of each row, (N, K) float64, if labels are soft."""
    if len(shape) != 2 or mask is not None or tuple(getattr(labels, "shape", ())) != shape:
        return None
    return read_soft_labels(as_tensor("labels", labels), RowPlaces(None).of)


def _labels(labels: ArrayLike, mask: ArrayLike | None, shape: tuple[int, ...], num_classes: int) -> Tensor:
    """Return the labels of all rows, (N,) int64, after checking them and the mask."""
    of_tokens = len(shape) == 2
    if mask is not None and not of_tokens:
        got = "a mask for values of shape (N, K)"
        raise fail("mask", "values of sequences, of shape (N, L, K)", got, "leave out these rows instead")
    entries = "token" if of_tokens else "row"
    found = as_tensor("labels", labels)
    if found.shape != shape:
        soft = "" if of_tokens else f", or {(*shape, num_classes)}, votes for each class"
        required, got = f"shape {shape}, one label for each {entries}{soft}", f"shape {tuple(found.shape)}"
        raise fail("labels", required, got, f"give one class index for each {entries}")
    places = RowPlaces(None, positions=shape[1] if of_tokens else None)
    if not of_tokens:
        return checked_labels(found, num_classes, "labels", places)
    kept = None if mask is None else as_tensor("mask", mask)
    if kept is not None and kept.shape != shape:
        required, got = f"shape {shape}, that of the labels", f"shape {tuple(kept.shape)}"
        raise fail("mask", required, got, "give one entry for each token")
    flat = None if kept is None else kept.reshape(-1)
    return token_labels(found.reshape(-1), flat, num_classes, ("labels", "mask"), places)


def _check_counted(values: Tensor, labels: Tensor | None, kind: Kind, argument: str, positions: int | None) -> None:
    """Check the values of all rows, except those of tokens that are not evaluated."""
    for start in range(0, len(values), size := chunk_rows(values.shape[1])):
        some, places = values[start : start + size], RowPlaces(None, start, positions)
        if labels is not None and positions is not None:
            kept = labels[start : start + size] != IGNORED
            some, places = some[kept], places.among(kept)
        check_values(some, kind, "logits=", places, argument)


def as_tensor(argument: str, array: ArrayLike) -> Tensor:
    """Return an array of numbers as a tensor on the CPU, with the same data type and without a copy if possible.

    Raises:
        InputTypeError: if it is not an array of real numbers.
    """
    if not isinstance(array, Tensor):
        try:
            found = np.asarray(array)
        except ValueError as error:
            uneven = "inhomogeneous" in str(error)
            got = "lists of several lengths" if uneven else f"{type(array).__name__} ({error})"
            padded = "pad sequences to one length and label the padding -100"
            remedy = padded if uneven else "pass a NumPy array or a tensor"
            raise fail_type(argument, "an array of numbers", got, remedy) from error
        if found.dtype.kind not in "biuf":
            predicts = hasattr(array, "predict_proba")
            got = type(array).__name__ + ("" if predicts else f" of {found.dtype}")
            remedy = "pass what its predict_proba(inputs) returns" if predicts else "convert it to a numeric type"
            raise fail_type(argument, "an array of numbers", got, remedy)
        # contiguous, so that torch can share the memory; a warning of it that nothing here writes is left out
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            array = from_numpy(np.require(found, found.dtype.newbyteorder("="), ["C"]))
    elif array.is_complex():
        raise fail_type(argument, "an array of real numbers", f"dtype {array.dtype}", "convert it to a real type")
    return array.detach().cpu().contiguous()
