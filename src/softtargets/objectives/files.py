"""Side information of objectives in files: class tables, hierarchies of classes, and votes for every example.

Errors name the field of the specification, the file and the row or class.
"""

import contextlib
import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail, nearest, shortened
from softtargets._storage import UnfitFileError, check_depth, open_regular, parse_json, read_regular, user_path
from softtargets.data.arrays.file import ARGUMENT, ArrayFile, Wanted, joined
from softtargets.data.arrays.opening import open_arrays

TABLES = (".csv", ".parquet", ".npz", ".safetensors")
# the column of a class table that names its rows
ROW_NAMES = "class"
_BLOCK_ROWS = 4096


def fingerprint_of(paths: Mapping[str, str]) -> str | None:
    """Return the SHA-256 (hex) of the bytes of files, given by the arguments that name them; None without files.

    Raises:
        InputError: if a file does not exist or cannot be read, naming its argument.
    """
    if not paths:
        return None
    whole = hashlib.sha256()
    for argument, text in paths.items():
        path = existing(argument, text)
        with _naming(argument, path), open_regular(path) as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()


def existing(argument: str, text: str) -> Path:
    """Return the path of an existing file. A folder stands for the train.parquet or train.csv in it.

    Raises:
        InputError: if there is no such file, with the most similar name beside it.
    """
    path = user_path(argument, text)
    for found in (path, path / "train.parquet", path / "train.csv"):
        if found.is_file():
            return found
    if path.is_dir():
        raise fail(argument, "a file, or a folder with train.parquet or train.csv", f"'{text}'", "name one file in it")
    beside = [entry.name for entry in path.parent.iterdir() if entry.is_file()] if path.parent.is_dir() else []
    close = nearest(path.name, beside, cutoff=0.75)
    remedy = f"did you mean '{path.parent / close}'?" if close else "give the path of an existing file"
    raise fail(argument, "an existing file", f"'{text}'", remedy)


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
    with _naming(argument, path):
        file = _opened(argument, path)
        if not file.is_table:
            return square(argument, _read(file, Wanted((_only_array(argument, file),))), class_names, str(path))
        _require_columns(argument, file, class_names)
        values = _read(file, Wanted(tuple(class_names)))
        if ROW_NAMES in file.names and ROW_NAMES not in class_names:
            rows = _read(file, Wanted((ROW_NAMES,), tuple(class_names)))
            values = values[_order(argument, rows, class_names, path)]
    return square(argument, values, class_names, str(path))


def square(argument: str, values: Any, class_names: Sequence[str], source: str) -> Tensor:
    """Return a class table as (K, K) float64, checked against the classes of the data set.

    Raises:
        InputError: if it has another shape, or an entry that is not a finite number, with the class of its row.
    """
    size = len(class_names)
    table = _as_tensor(argument, values, f"a table with a row and a column of numbers for each class ({source})")
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


def read_votes(argument: str, text: str, columns: Sequence[str] | None, class_names: Sequence[str]) -> Tensor:
    """Read the votes for each example: one number per class.

    Args:
        argument: the field, for errors.
        text: the path of a .parquet or .csv file, or of a .json, .npz or .safetensors file with one array of N rows.
        columns: one column per class in the order of the classes, or one column of lists. None: the columns that are
            named after the classes.
        class_names: of the data set.

    Returns:
        (N, K) float64.

    Raises:
        InputError: for a missing column, another number of classes, or a cell that is not a number, with file and row.
    """
    path = existing(argument, text)
    size = len(class_names)
    if path.suffix.lower() == ".json":
        content = read_json(argument, path)
        if isinstance(content, list):
            content = [_listed(argument, row, place, class_names, path) for place, row in enumerate(content)]
        votes = _as_tensor(argument, content, f"a list with one list of {size} numbers for each example ({path})")
    else:
        with _naming(argument, path):
            file = _opened(argument, path)
            if file.is_table:
                wanted = tuple(class_names if columns is None else columns)
                _require_columns(argument, file, wanted)
            else:
                wanted = (_only_array(argument, file),) if columns is None else tuple(columns)
            votes = _read(file, Wanted(wanted))
    if votes.ndim != 2 or votes.shape[1] != size:
        required = f"{size} numbers for each example, one for each class"
        got = f"{' x '.join(map(str, votes.shape))} in {path}"
        raise fail(argument, required, got, "give one column for each class, or one column of lists")
    return votes


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
    with _naming(argument, path):
        file = _opened(argument, path)
        _require_columns(argument, file, columns)
        labels = torch.stack([_read(file, Wanted((column,), tuple(class_names))) for column in columns], dim=1)
    given = labels.isfinite() & (labels != -1)
    index = first_bad(given & ((labels < 0) | (labels >= size) | (labels != labels.floor())))
    if index is not None:
        row, column = index
        got = f"{labels[index].item():g} in {path}, row {row}, column '{columns[column]}'"
        raise fail(argument, f"classes: whole numbers of at least 0 and below {size}, or class names", got, "fix it")
    counts = torch.zeros(len(labels), size, dtype=torch.float64)
    counts.scatter_add_(1, labels.where(given, torch.zeros_like(labels)).long(), given.double())
    return counts


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
        with _naming(argument, path):
            content = tomllib.loads(read_regular(path).decode("utf-8"))
            check_depth(content)
            return content
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise fail(argument, "valid TOML", f"{path}: {error}", "fix that line") from None


def read_json(argument: str, path: Path) -> Any:
    """Read a JSON file; InputError if it cannot be read."""
    try:
        with _naming(argument, path):
            return parse_json(read_regular(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise fail(argument, "valid JSON", f"{path}: {error}", "fix that file") from None


@contextlib.contextmanager
def _naming(argument: str, path: Path) -> Iterator[None]:
    """Make errors of the shared readers name the field of the specification."""
    try:
        yield
    except UnfitFileError as error:
        raise fail(argument, "a regular file", f"'{path}', {error}", "give the path of a file") from None
    except OSError as error:
        raise fail(argument, "a file that can be read", f"{path}: {error.strerror}", "check its permissions") from None
    except InputError as error:
        first, colon, rest = str(error).partition(": ")
        raise InputError(f"{argument if first == ARGUMENT else first}{colon}{rest}") from None


def _opened(argument: str, path: Path) -> ArrayFile:
    if path.suffix.lower() not in TABLES:
        raise fail(argument, f"a file of type {', '.join((*TABLES, '.json'))}", f"'{path}'", "save it as one of these")
    return open_arrays(path)


def _only_array(argument: str, file: ArrayFile) -> str:
    if len(file.names) != 1:
        raise fail(argument, "one array", f"{', '.join(file.names) or 'none'} in {file.path}", "save one array")
    return file.names[0]


def _require_columns(argument: str, file: ArrayFile, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in file.names:
            there = ", ".join(file.names[:20]) + (", ..." if len(file.names) > 20 else "")
            close = nearest(column, file.names)
            remedy = f"did you mean '{close}'?" if close else "name its columns as the data set names its classes"
            raise fail(argument, f"a column '{column}'", f"{there} in {file.path}", remedy)


def _read(file: ArrayFile, wanted: Wanted) -> Tensor:
    blocks = [block for (block,) in file.blocks((wanted,), _BLOCK_ROWS)]
    return joined(blocks).double() if blocks else torch.zeros(0, len(wanted.columns), dtype=torch.float64)


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


def _as_tensor(argument: str, values: Any, required: str) -> Tensor:
    """Return a tensor, or a list of lists of equal length, as float64."""
    if isinstance(values, Tensor):
        return values.double()
    remedy = "write a list of lists of numbers"
    if not isinstance(values, list | tuple):
        raise fail(argument, required, shortened(repr(values)), remedy)
    for place, row in enumerate(values):
        if not isinstance(row, list | tuple) or any(type(number) not in (int, float) for number in row):
            raise fail(argument, required, f"{shortened(repr(row))} in row {place}", remedy)
        if len(row) != len(values[0]):
            got = f"{len(row)} numbers in row {place}, {len(values[0])} before"
            raise fail(argument, required, got, "fix that row")
    try:
        return torch.tensor(values, dtype=torch.float64)
    except OverflowError:
        raise fail(argument, required, "a whole number of more than 308 digits", "write smaller numbers") from None
