"""Reading label columns as class indices."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import InputError, fail, shortened
from softtargets.data._numbers import number_of
from softtargets.data._splits import no_training_example
from softtargets.data._tables import Part, no_rows
from softtargets.data.spec import DataSpec

_FIX = "fix or drop that row"


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of a data set.

    Args:
        labels: (N,) int64; 0 for a row without a label.
        labelled: (N,) bool, False for a row without a label; None if all rows have one.
        class_names: the name of each class.
        votes: (N, K) float32, the votes of several annotators or a distribution, whose most frequent class is the
            label; None if labels are classes.
    """

    labels: Tensor
    labelled: Tensor | None
    class_names: tuple[str, ...]
    votes: Tensor | None = None


def read_labels(parts: Sequence[Part], spec: DataSpec) -> Labels:
    """Read the labels of all parts, one part after the other.

    Whole numbers (also written as 3.0, or as text) are class indices. A column without any number holds class names,
    which are numbered in sorted order; True and False are class names. An empty cell and NaN are missing labels.

    Args:
        parts: Every file of the data set.
        spec: The number of classes that it declares, and whether training rows without a label are allowed.

    Raises:
        InputError: a label that is missing, not a class or out of range, with its file and row; fewer than 2 classes; a
            class without an example.
    """
    column = parts[0].columns.label
    cells = [_own_cells(part, column, spec) for part in parts]
    if not any(cells):
        raise no_rows(parts[0].file)
    indices, names = as_indices(cells, parts, declared_names(parts), spec, "label")
    if len(names) < 2:
        got = f"only '{''.join(names)}' in {files_of(parts)}, column '{column}'"
        raise fail("label", "at least 2 classes", got, "add examples of another class")
    whole = [cell for part in indices for cell in part]
    labelled = None if None not in whole else torch.tensor([cell is not None for cell in whole])
    return Labels(torch.tensor([cell or 0 for cell in whole]), labelled, names)


def as_indices(
    cells: list[list[int | str | None]],
    parts: Sequence[Part],
    declared: tuple[str, ...] | None,
    spec: DataSpec,
    argument: str,
) -> tuple[list[list[int | None]], tuple[str, ...]]:
    """Return class indices for cells that are class indices or class names, and the name of each class.

    Args:
        cells: of each part; None for a row without a label.
        parts: where they come from.
        declared: the class names that the files declare, or None.
        spec: the number of classes that it declares.
        argument: names the labels in errors.

    Raises:
        InputError: numbers beside names, a number out of range, no label at all, or another number of classes.
    """
    files, text, number = files_of(parts), _first(str, cells, parts), _first(int, cells, parts)
    if text is not None and number is not None:
        got = f"{shortened(repr(text[0]))} in {text[1]} beside {number[0]} in {number[1]}"
        required = "a whole number in every row, or a class name in every row"
        raise fail(argument, required, got, _fix(number[0]))
    if text is not None:
        if declared is not None:
            got = f"{shortened(repr(text[0]))} in {text[1]}"
            raise fail(argument, "whole numbers, as its class names are given", got, _FIX)
        names = tuple(sorted({str(cell) for part in cells for cell in part if cell is not None}))
        number_of = {name: index for index, name in enumerate(names)}
        indices = [[None if cell is None else number_of[str(cell)] for cell in part] for part in cells]
    elif number is not None:
        names = _numbered(cells, parts, declared, spec.num_classes, argument)
        indices = [[None if cell is None else int(cell) for cell in part] for part in cells]
    else:
        raise fail(argument, "a label in at least two rows", f"none in {files}", "add labels")
    if spec.num_classes is not None and len(names) != spec.num_classes:
        required = f"{len(names)}, the number of class names in {files}"
        raise fail("num_classes", required, spec.num_classes, "omit it or set it to that number")
    return indices, names


def _own_cells(part: Part, column: str, spec: DataSpec) -> list[int | str | None]:
    """Read the labels of a part of the data set; those of training rows may be missing if the specification says so."""
    optional = part.unlabelled or (spec.unlabelled is not None and part.split == "train")
    try:
        return _cells(part, column, optional=optional)
    except InputError as error:
        if "got a missing label" not in str(error):
            raise
        if all(_is_missing(value) for value in part.values(column)):
            got = f"none in {part.file}, column '{column}'"
            remedy = "name the column of the labels, or add labels"
            raise fail("label", "rows with a label", got, remedy) from None
        if part.split != "train":
            raise
        raise InputError(f"{error}; a run with data.unlabelled = 0.0 trains on it without a label") from None


def read_cells(parts: Sequence[Part], column: str) -> list[list[int | str]]:
    """Read every cell as a class index or a class name; class names declared by the files are not used."""
    return [[cell for cell in _cells(part, column) if cell is not None] for part in parts]


def read_optional_cells(part: Part, column: str, argument: str) -> list[int | str | None]:
    """Read the cells of a column as class indices or class names; a missing cell is None. Errors name `argument`."""
    return _cells(part, column, optional=True, argument=argument)


def _cells(part: Part, column: str, *, optional: bool = False, argument: str = "label") -> list[int | str | None]:
    """Read the cells of a column; a missing label is None where it is optional."""
    return [
        None if optional and _is_missing(value) else _cell(value, part, row, argument)
        for row, value in enumerate(part.values(column))
    ]


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    number = number_of(value)
    return number is not None and math.isnan(number)


def files_of(parts: Sequence[Part]) -> str:
    """Return the names of the files, for an error; of many the first and the last."""
    names = list(dict.fromkeys(part.file for part in parts))
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} to {names[-1]}"


def _cell(value: Any, part: Part, row: int, argument: str) -> int | str:
    """Return a class index or a class name."""
    if _is_missing(value):
        raise _bad(argument, part, row, "a missing label")
    if isinstance(value, str):
        value = value.strip()
    if isinstance(value, bool):
        return str(value)
    number = number_of(value)
    if number is None:
        if isinstance(value, str):
            return value
        raise _bad(argument, part, row, f"a value of type {type(value).__name__}")
    # above any number of classes, and well within the integers that float64 represents
    if not (math.isfinite(number) and abs(number) < 2**31 and number == int(number)):
        raise _bad(argument, part, row, shortened(f"{value}"))
    return int(number)


def _bad(argument: str, part: Part, row: int, got: str) -> InputError:
    return fail(argument, "a whole number of at least 0, or a class name", f"{got} in {part.place(row)}", _FIX)


def _fix(cell: int | str) -> str:
    """Return how to fix a label; -1 is scikit-learn's mark of rows without one."""
    return f"{_FIX}; if it is a training row without a label, leave the cell empty" if cell == -1 else _FIX


def _first(
    kind: type[int] | type[str], cells: list[list[int | str | None]], parts: Sequence[Part]
) -> tuple[int | str, str] | None:
    for part, column in zip(parts, cells, strict=True):
        for row, cell in enumerate(column):
            if isinstance(cell, kind):
                return cell, part.place(row)
    return None


def declared_names(parts: Sequence[Part]) -> tuple[str, ...] | None:
    """Return the class names that the files declare, or None."""
    declared = {part.class_names: part.file for part in parts if part.class_names is not None}
    if len(declared) > 1:
        (names, file), (others, other) = list(declared.items())[:2]
        got = f"{', '.join(names[:5])} ... in {file} and {', '.join(others[:5])} ... in {other}"
        raise fail("label", "the same class names in every file", got, "write the files with one list of names")
    return next(iter(declared), None)


def _numbered(
    cells: list[list[int | str | None]],
    parts: Sequence[Part],
    declared: tuple[str, ...] | None,
    num_classes: int | None,
    argument: str,
) -> tuple[str, ...]:
    """Check class indices; return the names of the classes."""
    limit = len(declared) if declared is not None else num_classes
    high = "" if limit is None else f" and below {limit}, the number of classes"
    present: set[int] = set()
    for part, column in zip(parts, cells, strict=True):
        for row, cell in enumerate(column):
            if cell is None:
                continue
            if int(cell) < 0 or (limit is not None and int(cell) >= limit):
                raise fail(argument, f"at least 0{high}", f"{cell} in {part.place(row)}", _fix(cell))
            present.add(int(cell))
    if declared is not None:
        return declared
    count = limit or max(present) + 1
    if len(present) < count:
        absent = next(index for index in range(count) if index not in present)
        raise no_training_example(absent, str(absent), files_of(parts), "number the classes from 0 without gaps")
    return tuple(str(index) for index in range(count))
