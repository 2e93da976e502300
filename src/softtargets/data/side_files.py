"""Files that a specification names beside its data set: their bytes, arrays and columns.

Errors name the field of the specification, the file and the row.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import InputError, fail, nearest, shortened
from softtargets._storage import UnfitFileError, open_regular, parse_json, read_regular, user_path
from softtargets.data.arrays.file import ARGUMENT, ArrayFile, Wanted, joined
from softtargets.data.arrays.opening import open_arrays

TABLES = (".csv", ".parquet", ".npz", ".safetensors")
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
        with naming(argument, path), open_regular(path) as stream:
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


def read_json(argument: str, path: Path) -> Any:
    """Read a JSON file; InputError if it cannot be read."""
    try:
        with naming(argument, path):
            return parse_json(read_regular(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise fail(argument, "valid JSON", f"{path}: {error}", "fix that file") from None


@contextlib.contextmanager
def naming(argument: str, path: Path) -> Iterator[None]:
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


def opened(argument: str, path: Path) -> ArrayFile:
    """Open a file of arrays or columns; InputError for another type."""
    if path.suffix.lower() not in TABLES:
        raise fail(argument, f"a file of type {', '.join((*TABLES, '.json'))}", f"'{path}'", "save it as one of these")
    return open_arrays(path)


def only_array(argument: str, file: ArrayFile) -> str:
    """Return the name of the only array of a file; InputError if there are several."""
    if len(file.names) != 1:
        raise fail(argument, "one array", f"{', '.join(file.names) or 'none'} in {file.path}", "save one array")
    return file.names[0]


def require_columns(argument: str, file: ArrayFile, columns: Sequence[str]) -> None:
    """Require columns of a file; the error names the first that is missing."""
    for column in columns:
        if column not in file.names:
            there = ", ".join(file.names[:20]) + (", ..." if len(file.names) > 20 else "")
            close = nearest(column, file.names)
            remedy = f"did you mean '{close}'?" if close else "name its columns as the data set names its classes"
            raise fail(argument, f"a column '{column}'", f"{there} in {file.path}", remedy)


def read_array(file: ArrayFile, wanted: Wanted) -> Tensor:
    """Return all rows of an array as float64."""
    blocks = [block for (block,) in file.blocks((wanted,), _BLOCK_ROWS)]
    return joined(blocks).double() if blocks else torch.zeros(0, len(wanted.columns), dtype=torch.float64)


def as_tensor(argument: str, values: Any, required: str) -> Tensor:
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
