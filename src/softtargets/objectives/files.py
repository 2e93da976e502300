"""Side information of objectives in files: class tables and hierarchies of classes.

Errors name the field of the specification, the file and the row or class.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail
from softtargets._storage import check_depth, read_regular
from softtargets.data.arrays.file import Wanted
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

# the column of a class table that names its rows
ROW_NAMES = "class"


def read_class_table(argument: str, text: str, class_names: Sequence[str]) -> Tensor:
    """Read a square table with one row and one column for each class.

    A CSV or Parquet file has a column for each class, named after it. Its rows are in the order of the classes, or are
    named in a column "class". A .json, .npz or .safetensors file has the rows in the order of the classes.

    Returns:
        (K, K) float64, finite.

    Raises:
        InputError: for a missing column, a missing or repeated row, a number of rows other than K, or an entry that is
            not finite, with the file and the class or row.
    """
    path = existing(argument, text)
    if path.suffix.lower() == ".json":
        return square(argument, read_json(argument, path), class_names, str(path))
    with naming(argument, path):
        file = opened(argument, path)
        if not file.is_table:
            return square(argument, read_array(file, Wanted((only_array(argument, file),))), class_names, str(path))
        require_columns(argument, file, class_names)
        values = read_array(file, Wanted(tuple(class_names)))
        if ROW_NAMES in file.names and ROW_NAMES not in class_names:
            rows = read_array(file, Wanted((ROW_NAMES,), tuple(class_names)))
            values = values[_order(argument, rows, class_names, path)]
    return square(argument, values, class_names, str(path))


def square(argument: str, values: Any, class_names: Sequence[str], source: str) -> Tensor:
    """Return a class table as (K, K) float64, checked against the classes of the data set.

    Raises:
        InputError: if it has another shape, or an entry that is not a finite number, with the class of its row.
    """
    size = len(class_names)
    table = as_tensor(argument, values, f"a table with a row and a column of numbers for each class ({source})")
    if table.shape != (size, size):
        required = f"{size} rows of {size} numbers, one for each class of the data set"
        got = f"{' x '.join(map(str, table.shape))} in {source}"
        raise fail(argument, required, got, "give one row and one column for each class")
    index = first_bad(~table.isfinite())
    if index is not None:
        row, column = (class_names[place] for place in index)
        got = f"{table[index].item()} in {source}, row of '{row}', column of '{column}'"
        raise fail(argument, "finite numbers", got, "fix that entry")
    return table


def read_tree(argument: str, text: str) -> Any:
    """Read nested tables from a .toml or .json file.

    Raises:
        InputError: if the file cannot be read, or has another type.
    """
    path = existing(argument, text)
    if path.suffix.lower() == ".json":
        return read_json(argument, path)
    if path.suffix.lower() != ".toml":
        raise fail(argument, "a .toml or .json file", f"'{text}'", "save the hierarchy as one of these")
    try:
        with naming(argument, path):
            content = tomllib.loads(read_regular(path).decode("utf-8"))
            check_depth(content)
            return content
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise fail(argument, "valid TOML", f"{path}: {error}", "fix that line") from None


def _order(argument: str, rows: Tensor, class_names: Sequence[str], path: Path) -> Tensor:
    """Return the row of each class."""
    size = len(class_names)
    if len(rows) != size:
        raise fail(argument, f"{size} rows, one for each class", f"{len(rows)} in {path}", "give one row per class")
    place = torch.full((size,), -1)
    for row, number in enumerate(rows.tolist()):
        if number not in range(size):
            raise fail(argument, "a class in every row", f"{number:g} in {path}, row {row}", "fix that row")
        if place[int(number)] >= 0:
            got = f"'{class_names[int(number)]}' twice in {path}, row {row}"
            raise fail(argument, "every class in one row", got, "drop one of the two")
        place[int(number)] = row
    return place
