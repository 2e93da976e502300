"""Observed labels, for example from annotators, read from a file other than the data set."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from softtargets._errors import InputError, fail, nearest
from softtargets._storage import user_path
from softtargets.data._files import find, suggestion
from softtargets.data._labels import declared_names, read_cells
from softtargets.data._tables import Part, read_column
from softtargets.data.dataset import SPLITS, Dataset

_FIX = "fix that row"
# argument names of the data set readers -> argument names in this file
_ARGUMENTS = {"name": "file", "label": "column"}


def read_observed(file: str, column: str, dataset: Dataset) -> Tensor:
    """Read one observed label for each row of the data set's own training part, in its order.

    Whole numbers are class indices of the data set. Text is a class name of the data set. If both the file and the data
    set name their classes, a number stands for the file's class name.

    Args:
        file: A .parquet or .csv file, or a folder with train.parquet or train.csv (or its shards).
        column: The column of the labels.
        dataset: The data set that the labels belong to. Its own training part is its source's train split (all rows
            if the source has no splits), before a test split, a limit or a fold is taken from it.

    Returns:
        (N,) int64 over the whole data set in [0, num_classes). Rows of the other splits keep their label.

    Raises:
        InputError: no such file or column; a file that cannot be read; a wrong number of rows; a label that is missing,
            not a class or out of range, with its file and row.
    """
    if dataset.chosen_classes:
        required = "labels of all classes, as some of data.classes may be labelled as others"
        raise fail("file", required, f"'{file}' with a subset of the classes", "remove data.classes")
    parts = _parts(file, column)
    with _in_our_words():
        cells, names = read_cells(parts, column), declared_names(parts)
    train = torch.nonzero(dataset.origin == SPLITS.index("train")).flatten()
    count = sum(map(len, cells))
    if count != len(train):
        raise fail(
            "file",
            f"{len(train)} rows, one for each training row of '{dataset.name}'",
            f"{count} in {', '.join(part.file for part in parts)}",
            "give the labels of this data set, in its order",
        )
    labels = dataset.labels.clone()
    labels[train] = torch.tensor(_indices(parts, cells, names, dataset))
    return labels


def observed_fingerprint(file: str, column: str) -> str:
    """Return the SHA-256 (hex) of the cells of a column of observed labels, wherever its file is.

    A CSV and a Parquet file with the same cells have the same hash.

    Raises:
        InputError: as :func:`read_observed`, except for checks that need the data set.
    """
    parts = _parts(file, column)
    with _in_our_words():
        content = [declared_names(parts), *(cell for cells in read_cells(parts, column) for cell in cells)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _parts(file: str, column: str) -> list[Part]:
    path = user_path("file", file)
    if not path.exists():
        # joined, so that it is taken for a path and not for the name of an embedded data set
        close = suggestion(os.path.join(os.curdir, file))
        remedy = f"did you mean '{close}'?" if close else "give the path of one"
        raise fail("file", "an existing .parquet or .csv file, or a folder of them", f"'{file}'", remedy)
    with _in_our_words():
        found = find(path)
        if found.kind == "images":
            raise fail(
                "file", "a folder with train.parquet or train.csv", f"images in '{file}'", "give the path of a file"
            )
        train = dataclasses.replace(found, files=tuple(item for item in found.files if item.split == "train"))
        return read_column(train, column)


@contextlib.contextmanager
def _in_our_words() -> Iterator[None]:
    """Rename the arguments in errors of the shared readers to those of this file's functions."""
    try:
        yield
    except InputError as error:
        argument, colon, rest = str(error).partition(": ")
        # dropping a row would shift all that follow
        rest = rest.replace("fix or drop that row", _FIX)
        raise InputError(f"{_ARGUMENTS.get(argument, argument)}{colon}{rest}") from error


def _indices(
    parts: Sequence[Part], cells: Sequence[Sequence[int | str]], names: tuple[str, ...] | None, dataset: Dataset
) -> list[int]:
    """Convert class indices and class names to the data set's class indices."""
    number_of = {name: index for index, name in enumerate(dataset.class_names)}
    # if the data set's classes have no names, numbers can only be indices
    named = names if all(not re.fullmatch(r"\d+", name) for name in number_of) else None
    indices: list[int] = []
    for part, column in zip(parts, cells, strict=True):
        for row, cell in enumerate(column):
            limit = len(number_of if named is None else named)
            if isinstance(cell, int) and not 0 <= cell < limit:
                required = f"at least 0 and below {limit}, the number of classes"
                raise fail("column", required, f"{cell} in {part.place(row)}", _FIX)
            if isinstance(cell, int) and named is None:
                indices.append(cell)
                continue
            name = cell if isinstance(cell, str) else (named or ())[cell]
            if name not in number_of:
                close = nearest(name, number_of)
                remedy = f"did you mean '{close}'?" if close else _FIX
                raise fail("column", f"a class of '{dataset.name}'", f"'{name}' in {part.place(row)}", remedy)
            indices.append(number_of[name])
    return indices
