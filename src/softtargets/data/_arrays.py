"""Named arrays of numbers in .npz, .safetensors, .parquet and .csv files, one manner of asking for all of them."""

import contextlib
import csv
import json
import math
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ARGUMENT = "predictions"
_CHUNK_BYTES = 2**22


@dataclass(frozen=True)
class ArrayFile:
    """A file of named arrays, of which one is read when it is asked for.

    Attributes:
        path: Where it lies.
        names: The arrays or columns there are.
        read: From names of columns, or the one name of an array, to the numbers and their type as stored.
        is_table: Whether what it holds are columns, of which several can make one array.
    """

    path: Path
    names: tuple[str, ...]
    read: Callable[[Sequence[str]], Tensor]
    is_table: bool

    def columns(self, name: str) -> tuple[str, ...]:
        """Return the column of this name, else those named ``name_...`` or ``name....``; none where there are none.

        Numbered columns come in the order of their numbers, which count from 0 without gaps; named ones in the file's.
        """
        if name in self.names or not self.is_table:
            return (name,) if name in self.names else ()
        found = [column for column in self.names if column.startswith((f"{name}_", f"{name}."))]
        numbers = {self._suffix(name, column): column for column in found}
        if not any(suffix.isdecimal() for suffix in numbers):
            return tuple(found)
        expected = [str(number) for number in range(len(found))]
        if set(numbers) != set(expected):
            required = f"columns {name}_0 to {name}_{len(found) - 1}, or one for each class by its name"
            raise fail(ARGUMENT, required, f"{', '.join(found)} in {self.path.name}", "rename the columns")
        return tuple(numbers[number] for number in expected)

    def class_names(self, name: str) -> tuple[str, ...] | None:
        """Return the names of classes that the columns of `name` carry, or None where they are numbered."""
        columns = self.columns(name)
        suffixes = tuple(self._suffix(name, column) for column in columns)
        return None if columns == (name,) or "0" in suffixes else suffixes

    @staticmethod
    def _suffix(name: str, column: str) -> str:
        return column[len(name) + 1 :]


def open_arrays(path: Path) -> ArrayFile:
    """Look into a file that exists, without reading its numbers.

    Raises:
        InputError: a file of another type, or one that cannot be read.
    """
    openers: dict[str, Callable[[Path], ArrayFile]] = {
        ".npz": _open_npz,
        ".safetensors": _open_safetensors,
        ".parquet": _open_parquet,
        ".csv": _open_csv,
    }
    opener = openers.get(path.suffix.lower())
    if opener is None:
        raise fail(ARGUMENT, f"files of type {', '.join(openers)}", f"'{path}'", "save the predictions as one of these")
    with reading(path):
        return opener(path)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a reader raises for a file that is damaged or of another type into one error."""
    try:
        yield
    except InputError:
        raise
    # Readers raise errors of many types for damaged files.
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        remedy = "check that it is whole and of the type its name says"
        raise fail(ARGUMENT, "a file that can be read", f"{path.name}: {reason}", remedy) from error


def joined(blocks: list[Tensor]) -> Tensor:
    """Join blocks of rows, emptying the list on the way, so that no more than one block is held twice."""
    if len(blocks) == 1:
        return blocks.pop()
    dtype = blocks[0].dtype
    for block in blocks:
        dtype = torch.promote_types(dtype, block.dtype)
    whole = torch.empty(sum(map(len, blocks)), *blocks[0].shape[1:], dtype=dtype)
    start = 0
    while blocks:
        block = blocks.pop(0)
        whole[start : start + len(block)] = block
        start += len(block)
    return whole


def _open_npz(path: Path) -> ArrayFile:
    with zipfile.ZipFile(path) as archive:
        names = tuple(name.removesuffix(".npy") for name in archive.namelist())
    return ArrayFile(path, names, lambda name: _from_numpy(_read_npy(path, f"{name[0]}.npy"), path, name[0]), False)


def _read_npy(path: Path, member: str) -> "np.ndarray":
    """Read an array of an .npz file, or map it where it is not compressed; nothing is unpickled."""
    import numpy as np

    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
        with archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = header(stream)
            start = stream.tell()
            # The archive's checksum is compared at the end: memory that is mapped is checked by nobody else.
            while stream.read(_CHUNK_BYTES):
                pass
        if dtype.hasobject or info.compress_type != zipfile.ZIP_STORED:
            with archive.open(info) as stream:
                return np.lib.format.read_array(stream, allow_pickle=False)
        held, promised = info.file_size - start, math.prod(shape) * dtype.itemsize
        if held != promised:
            raise ValueError(f"{held} bytes of '{member[:-4]}', where its header promises {promised}")
    with path.open("rb") as stream:
        stream.seek(info.header_offset + 26)
        start += info.header_offset + 30 + sum(struct.unpack("<HH", stream.read(4)))
    # Pages are read when they are looked at, and a change would stay in memory.
    return np.memmap(path, dtype, "c", start, shape, "F" if fortran else "C")


def _from_numpy(array: "np.ndarray", path: Path, name: str) -> Tensor:
    if array.dtype.kind not in "biuf":
        raise fail(ARGUMENT, "numbers", f"{array.dtype} as '{name}' in {path.name}", "save class indices and numbers")
    return torch.from_numpy(array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))


def _open_safetensors(path: Path) -> ArrayFile:
    from safetensors import safe_open

    def read(name: Sequence[str]) -> Tensor:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name[0])

    with safe_open(path, framework="pt") as file:
        return ArrayFile(path, tuple(file.keys()), read, False)


def _open_parquet(path: Path) -> ArrayFile:
    import pyarrow.parquet as pq

    def read(columns: Sequence[str]) -> Tensor:
        # Column by column into place: rows of many columns would be decoded for a whole group of a million at once.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_CHUNK_BYTES) as file:
            single = all(str(file.schema_arrow.field(name).type) in ("float", "halffloat") for name in columns)
            whole = torch.empty(0)
            for place, name in enumerate(columns):
                column = _from_batches(file.iter_batches(columns=[name]), [name], path)
                if len(columns) == 1:
                    return column
                if place == 0:
                    whole = torch.empty(len(column), len(columns), dtype=torch.float32 if single else torch.float64)
                whole[:, place] = column
            return whole

    with pq.ParquetFile(path) as file:
        return ArrayFile(path, tuple(file.schema_arrow.names), read, True)


def _open_csv(path: Path) -> ArrayFile:
    import pyarrow.csv
    from pyarrow import string

    def read(columns: Sequence[str]) -> Tensor:
        # As text, so that a cell that is no number can be shown as it was written, with its row.
        convert = pyarrow.csv.ConvertOptions(
            include_columns=list(columns), column_types=dict.fromkeys(columns, string()), strings_can_be_null=False
        )
        # a blank line is a row too, or those that follow would be called by other numbers
        parse = pyarrow.csv.ParseOptions(ignore_empty_lines=False)
        with pyarrow.csv.open_csv(path, parse_options=parse, convert_options=convert) as batches:
            return _from_batches(batches, columns, path)

    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream), [])
    if len(set(header)) < len(header):
        raise fail(ARGUMENT, "columns with names of their own", f"{path.name}: {', '.join(header)}", "rename one")
    return ArrayFile(path, tuple(header), read, True)


def _from_batches(batches: "Iterable[pa.RecordBatch]", columns: Sequence[str], path: Path) -> Tensor:
    blocks: list[Tensor] = []
    start = 0
    for batch in batches:
        arrays = [_numbers(batch.column(name), path, start, name) for name in columns]
        block = arrays[0] if len(columns) == 1 else torch.stack(arrays, dim=1)
        if blocks and block.shape[1:] != blocks[0].shape[1:]:
            raise _uneven(blocks[0].shape[1], block.shape[1], path, start)
        blocks.append(block)
        start += len(block)
    return joined(blocks) if blocks else torch.empty(0)


def _numbers(column: "pa.Array", path: Path, start: int, name: str) -> Tensor:
    """Return (n,) of a column of numbers, (n, K) of one of lists; what is missing is NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parsed(column, path, start, name)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.call_function("list_value_length", [column])
        _check_even(torch.tensor(lengths.fill_null(0).to_numpy()), path, start)
        return _numbers(column.flatten(), path, start, name).reshape(len(column), -1)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise fail(ARGUMENT, "numbers", f"{kind} as '{name}' in {path.name}", "save class indices and numbers")
    if column.null_count or pa.types.is_boolean(kind):
        column = column.cast(pa.float64())
    # A copy: Arrow's memory may not be written to.
    return torch.tensor(column.to_numpy(zero_copy_only=False))


def _parsed(column: "pa.Array", path: Path, start: int, name: str) -> Tensor:
    """Return the numbers, or JSON lists of numbers, that a column of text says."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return torch.tensor(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        cells = [_cell(text, path, start + row, name) for row, text in enumerate(column.to_pylist())]
    _check_even(torch.tensor([len(cell) if isinstance(cell, list) else 1 for cell in cells]), path, start)
    return torch.tensor(cells, dtype=torch.float64)


def _cell(text: str | None, path: Path, row: int, name: str) -> Any:
    with contextlib.suppress(ValueError, TypeError):
        return float(text or "")
    with contextlib.suppress(ValueError, TypeError):
        value = json.loads(text or "")
        if isinstance(value, list) and value and all(type(entry) in (int, float) for entry in value):
            return value
    shown = repr(text)[:60] if text else "nothing"
    raise fail(
        ARGUMENT, "a number in every row", f"{shown} in {path.name}, row {row}, column '{name}'", "mend that row"
    )


def _check_even(sizes: Tensor, path: Path, start: int) -> None:
    index = first_bad(sizes != sizes[:1])
    if index is not None:
        raise _uneven(int(sizes[0]), int(sizes[index]), path, start + index[0])


def _uneven(first: int, other: int, path: Path, row: int) -> InputError:
    required = f"as many numbers in every row as in the first, {first}"
    return fail(ARGUMENT, required, f"{other} in {path.name}, row {row}", "mend that row")
