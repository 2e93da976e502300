"""Predictions given as arrays, read like those in files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets.data.predictions import PredictionChunk
from softtargets.data.predictions.checks import check_values, checked_labels, floating
from softtargets.metrics.rows import Kind

# NumPy arrays, tensors, and what NumPy makes arrays of, such as lists and tables
ArrayLike = Any
_CHUNK_ROWS = 65_536
_CHUNK_NUMBERS = 2**22


@dataclass(frozen=True, eq=False)
class ArrayPredictions:
    """Predictions in memory, with the attributes that :class:`softtargets.data.predictions.PredictionFiles` has.

    Args:
        values: (N, K), N >= 1, K >= 2.
        kind: what the values are.
        labels: (N,), which the caller checks.
        class_names: K names, or None.
        place: how errors name the array of values.
    """

    values: Tensor
    kind: Kind
    labels: Tensor
    class_names: tuple[str, ...] | None
    place: str

    paths: ClassVar[tuple[Path, ...]] = ()
    notes: ClassVar[tuple[str, ...]] = ()
    has_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        shape, names = tuple(self.values.shape), self.class_names
        if len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
            remedy = "pass one row per example and one column per class, also where there are two classes"
            raise fail(self.place, "shape (N, K) with N >= 1 and K >= 2", f"shape {shape}", remedy)
        if names is not None and len(names) != shape[1]:
            raise fail("class_names", f"{shape[1]} names", len(names), "pass one name for each class")

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.values)

    @property
    def num_classes(self) -> int:
        """K."""
        return self.values.shape[1]

    def chunks(self) -> Iterator[PredictionChunk]:
        """Yield all rows in order, checked like those of files.

        Raises:
            InputError: a value that is not finite, a row of probabilities with a negative value or whose sum is not 1,
                or a label that is not a class.
        """
        size = max(1, min(_CHUNK_ROWS, _CHUNK_NUMBERS // self.num_classes))
        for start in range(0, self.num_rows, size):
            values, labels = floating(self.values[start : start + size]), self.labels[start : start + size]
            check_values(values, self.kind, "logits=", Path(self.place), start)
            checked = checked_labels(labels, self.num_classes, "labels", Path("labels"), start)
            yield PredictionChunk(values, checked, start, Path(self.place), start)


def as_tensor(argument: str, array: ArrayLike) -> Tensor:
    """Return an array of numbers as a tensor on the CPU, of the same type and without a copy where possible.

    Raises:
        InputTypeError: for what is not an array of real numbers.
    """
    if not isinstance(array, Tensor):
        found = np.asarray(array)
        if found.dtype.kind not in "biuf":
            raise fail_type(argument, "an array of numbers", f"{type(array).__name__} of {found.dtype}", "convert it")
        # rows in order, in memory that torch may share
        array = torch.from_numpy(np.require(found, found.dtype.newbyteorder("="), ["C", "W"]))
    elif array.is_complex():
        raise fail_type(argument, "an array of real numbers", f"dtype {array.dtype}", "convert it")
    return array.detach().cpu().contiguous()
