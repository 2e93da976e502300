"""Votes in a file of their own: a row for each row of the data set's own training part."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail, nearest
from softtargets.data._content import Content
from softtargets.data._votes import VOTED, check_votes
from softtargets.data.arrays.file import ArrayFile, Wanted, column_classes, named_columns
from softtargets.data.dataset import SPLITS
from softtargets.data.side_files import (
    as_tensor,
    existing,
    naming,
    only_array,
    opened,
    read_array,
    read_json,
    require_columns,
)
from softtargets.data.spec import DataSpec

_ARGUMENT = "votes_file"


def with_votes_file(content: Content, spec: DataSpec) -> Content:
    """Return a data set whose own training part has the votes in `spec.votes_file`; every other row has one vote.

    Raises:
        InputError: a file that cannot be read, another number of rows, or a row that is not votes or probabilities.
    """
    assert spec.votes_file is not None
    names = content.class_names
    if spec.annotators is None:
        votes = read_votes(_ARGUMENT, spec.votes_file, spec.votes, names)
    else:
        votes = read_annotators(_ARGUMENT, spec.votes_file, spec.annotators, names)
    train = torch.nonzero(content.origin == SPLITS.index("train")).flatten()
    if len(votes) != len(train):
        required = f"{len(train)} rows, one for each training row of the data set"
        got = f"{len(votes)} in {spec.votes_file}"
        raise fail(_ARGUMENT, required, got, "give the votes for this data set, in its order")
    # dropping a row would shift all that follow
    check_votes(votes, lambda row: f"{spec.votes_file}, row {row}", _ARGUMENT, "fix that row")
    whole = torch.nn.functional.one_hot(content.labels, len(names)).to(VOTED)
    whole[train] = votes.to(VOTED)
    labels = content.labels.clone()
    labels[train] = votes.argmax(1)
    return replace(content, labels=labels, votes=whole)


def read_votes(argument: str, text: str, votes: str | None, class_names: Sequence[str]) -> Tensor:
    """Read the votes for each example: one number per class.

    Args:
        argument: the field, for errors.
        text: the path of a .parquet or .csv file, or of a .json, .npz or .safetensors file with one array of N rows.
        votes: what the columns or the array are called, as in :class:`DataSpec`. Columns without class names are in the
            order of the classes. None: the columns that are named after the classes, or the only array.
        class_names: of the data set.

    Returns:
        (N, K) float64, not checked to be votes.

    Raises:
        InputError: for a missing column, another number of classes, or a cell that is not a number, with file and row.
    """
    path = existing(argument, text)
    size = len(class_names)
    if path.suffix.lower() == ".json":
        content = read_json(argument, path)
        if isinstance(content, list):
            content = [_listed(argument, row, place, class_names, path) for place, row in enumerate(content)]
        found = as_tensor(argument, content, f"a list with one list of {size} numbers for each example ({path})")
    else:
        with naming(argument, path):
            file = opened(argument, path)
            found = read_array(file, Wanted(_columns(argument, file, votes, class_names)))
    if found.ndim != 2 or found.shape[1] != size:
        required = f"{size} numbers for each example, one for each class"
        got = f"{' x '.join(map(str, found.shape))} in {path}"
        raise fail(argument, required, got, "give one column for each class, or one column of lists")
    return found


def _columns(argument: str, file: ArrayFile, votes: str | None, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the votes in the order of the classes."""
    if votes is None:
        if not file.is_table:
            return (only_array(argument, file),)
        require_columns(argument, file, class_names)
        return tuple(class_names)
    found = named_columns(file.names, votes, str(file.path), argument)
    if not found:
        require_columns(argument, file, [name.strip() for name in votes.split(",")])
    named = column_classes(found, votes)
    if named is not None and set(named) == set(class_names):
        column = dict(zip(named, found, strict=True))
        return tuple(column[name] for name in class_names)
    if named is not None and named != found:
        missing = next((name for name in class_names if name not in named), ", ".join(named))
        required = f"a column for each class, such as '{votes}_{missing}'"
        raise fail(argument, required, f"{', '.join(found)} in {file.path}", "name its columns after the classes")
    return found


def read_annotators(argument: str, text: str, columns: Sequence[str], class_names: Sequence[str]) -> Tensor:
    """Count the labels that several annotators gave to each example.

    Args:
        argument: the field, for errors.
        text: the path of a .parquet or .csv file.
        columns: one column per annotator, of class indices or class names; -1, or a missing cell of a Parquet file, is
            no label.
        class_names: of the data set.

    Returns:
        (N, K) float64 counts.

    Raises:
        InputError: for a missing column or a cell that is not a class, with file, row and column.
    """
    path, size = existing(argument, text), len(class_names)
    with naming(argument, path):
        file = opened(argument, path)
        require_columns(argument, file, columns)
        labels = torch.stack([read_array(file, Wanted((column,), tuple(class_names))) for column in columns], dim=1)
    given = labels.isfinite() & (labels != -1)
    index = first_bad(given & ((labels < 0) | (labels >= size) | (labels != labels.floor())))
    if index is not None:
        row, column = index
        got = f"{labels[index].item():g} in {path}, row {row}, column '{columns[column]}'"
        raise fail(argument, f"classes: whole numbers of at least 0 and below {size}, or class names", got, "fix it")
    counts = torch.zeros(len(labels), size, dtype=torch.float64)
    counts.scatter_add_(1, labels.where(given, torch.zeros_like(labels)).long(), given.double())
    return counts


def _listed(argument: str, row: Any, place: int, class_names: Sequence[str], path: Path) -> Any:
    """Return a row of votes as a list; in a table of votes, classes that are not named have none."""
    if isinstance(row, list) and len(row) != len(class_names):
        required = f"{len(class_names)} numbers for each example, one for each class"
        raise fail(argument, required, f"{len(row)} in {path}, row {place}", "fix that row")
    if not isinstance(row, dict):
        return row
    for name in row:
        if name not in class_names:
            close = nearest(name, class_names)
            remedy = f"did you mean '{close}'?" if close else "fix that row"
            raise fail(argument, "classes of the data set", f"'{name}' in {path}, row {place}", remedy)
    return [row.get(name, 0) for name in class_names]
