"""Arrays in the columns of .parquet, .csv and .tsv files."""

import contextlib
import csv
import gzip
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail, nearest, shortened
from softtargets._storage import parse_json
from softtargets.data._tables import limited_lines
from softtargets.data.arrays.file import ARGUMENT, ArrayFile, Wanted, reading
from softtargets.data.limits import MAX_CLASSES

# Read buffer of all columns of a Parquet file, and block size of a CSV file.
_BUFFER_BYTES = 2**25
_BLOCK_BYTES = 2**18
_MOST_BLOCK_BYTES = 2**24
# Arrow's words for a row with another number of fields.
_UNEVEN = re.compile(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+)")
# Values of a column of lists that can be read to name the row that is wrong.
_FEW_VALUES = 2**24


class TableFile(ArrayFile):
    """A file of columns."""

    is_table = True
    num_rows: int | None = None

    def shape(self, wanted: Wanted) -> tuple[int | None, ...]:
        # only the first column is read, since opening a thousand takes seconds
        first = next(self.blocks((Wanted(wanted.columns[:1], wanted.classes),), rows=1), None)
        width = (len(wanted.columns),) if len(wanted.columns) > 1 else ()
        return (0,) if first is None else (self.num_rows, *width, *first[0].shape[1:])

    def blocks(self, wanted: Sequence[Wanted], rows: int) -> Iterator[tuple[Tensor, ...]]:
        columns = list(dict.fromkeys(name for array in wanted for name in array.columns))
        start, widths = 0, None
        with reading(self.path):
            for batch in self.batches(columns, rows):
                block = tuple(_array(batch, array, self.path, start) for array in wanted)
                found = [array.shape[1:] for array in block]
                for first, other in zip(widths or found, found, strict=True):
                    if first != other:
                        raise _uneven(first.numel(), other.numel(), self.path, start)
                widths = widths or found
                yield block
                start += batch.num_rows

    @abstractmethod
    def batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield these columns in blocks of rows, in order."""


class ParquetFile(TableFile):
    """A .parquet file."""

    def __init__(self, path: Path) -> None:
        with pq.ParquetFile(path) as file:
            super().__init__(path, file.schema_arrow.names)
            self.num_rows = file.metadata.num_rows

    def shape(self, wanted: Wanted) -> tuple[int | None, ...]:
        with reading(self.path):
            self._check_lists(wanted)
        return super().shape(wanted)

    def _check_lists(self, wanted: Wanted) -> None:
        """Refuse long lists that cannot be rows of predictions, before one of them is read."""
        starts = tuple(f"{name}.list." for name in wanted.columns)
        with pq.ParquetFile(self.path) as file:
            groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
        for group in groups:
            for column in (group.column(number) for number in range(group.num_columns)):
                values, rows = column.num_values, group.num_rows
                if values <= _FEW_VALUES or not column.path_in_schema.startswith(starts):
                    continue
                if values % rows or values // rows > MAX_CLASSES:
                    required = f"lists of one length of at most {MAX_CLASSES:,} values"
                    got = f"{values:,} values in {rows:,} rows of {self.path}"
                    raise fail(ARGUMENT, required, got, "write one value for each class in every row")

    def batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        size = max(2**14, _BUFFER_BYTES // len(columns))
        with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=size) as file:
            yield from file.iter_batches(batch_size=rows, columns=columns)


class CsvFile(TableFile):
    """A .csv or .tsv file, read as text, so that a cell that is not a number can be shown as written, with its row.

    It may be compressed by gzip.
    """

    def __init__(self, path: Path) -> None:
        self._delimiter = "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","
        with opened_text(path) as stream:
            lines = limited_lines(stream)
            header = next(csv.reader(lines, delimiter=self._delimiter), [])
            # Arrow holds 32 blocks ahead, and each must hold at least one row.
            line = len(next(lines, ""))
            self._block_bytes = max(_BLOCK_BYTES, min(64 * line, _MOST_BLOCK_BYTES), 2 * line)
        if len(set(header)) < len(header):
            raise fail(ARGUMENT, "columns with different names", f"{path}: {', '.join(header)}", "rename one")
        super().__init__(path, header)

    def batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        convert = pa_csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        )
        # A blank line counts as a row, so that the numbers of later rows are right. A handler of uneven rows in Python
        # would be released by a thread of Arrow, which aborts the process if that is ending.
        parse = pa_csv.ParseOptions(delimiter=self._delimiter, ignore_empty_lines=False)
        # with several threads the number of a row is unknown
        read = pa_csv.ReadOptions(use_threads=False, block_size=self._block_bytes)
        try:
            with pa_csv.open_csv(self.path, read, parse, convert) as batches:
                yield from batches
        except pa.ArrowInvalid as error:
            uneven = _UNEVEN.match(str(error))
            if uneven is None:
                raise
            row, expected, actual = map(int, uneven.groups())
            required = f"{expected} fields in every row, as in the first line"
            # Arrow counts rows from 1 and includes the header
            got = f"{actual} in {self.path}, row {row - 2}"
            raise fail(ARGUMENT, required, got, "fix that row, or write the file again if it was cut short") from None


def opened_text(path: Path) -> AbstractContextManager[TextIO]:
    """Open a text file, also one that is compressed by gzip."""
    if path.suffix.lower() == ".gz":
        return cast(AbstractContextManager[TextIO], gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def read_cells_as_numbers(column: pa.Array, path: Path, start: int, name: str) -> Tensor:
    """Return the cells of a column as (n,) numbers, or (n, K) for lists; missing cells are NaN.

    Args:
        column: numbers, lists of numbers, or either of them as text (a list as JSON).
        path: its file, for errors.
        start: the row of the file that is its first, for errors.
        name: its name, for errors.

    Raises:
        InputError: a cell that is something else, or lists of several lengths.
    """
    return _numbers(column, path, start, name, None)


def _array(batch: pa.RecordBatch, wanted: Wanted, path: Path, start: int) -> Tensor:
    arrays = [_numbers(batch.column(name), path, start, name, wanted.classes) for name in wanted.columns]
    return arrays[0] if len(arrays) == 1 else torch.stack(arrays, dim=1)


def _numbers(column: pa.Array, path: Path, start: int, name: str, classes: tuple[str, ...] | None) -> Tensor:
    """Return (n,) for a column of numbers or class names, (n, K) for a column of lists; missing cells are NaN."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parsed(column, path, start, name, classes)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.call_function("list_value_length", [column])
        _check_even(torch.tensor(lengths.fill_null(0).to_numpy()), path, start)
        return _numbers(column.flatten(), path, start, name, None).reshape(len(column), -1)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise fail(ARGUMENT, "numbers", f"{kind} as '{name}' in {path}", "save class indices and numbers")
    if column.null_count or pa.types.is_boolean(kind):
        column = column.cast(pa.float64())
    # a copy, since Arrow's memory is read-only
    return torch.tensor(column.to_numpy(zero_copy_only=False))


def _parsed(column: pa.Array, path: Path, start: int, name: str, classes: tuple[str, ...] | None) -> Tensor:
    """Return the numbers in a column of text that holds numbers, class names or JSON lists of numbers."""
    if classes is not None:
        # a name is replaced by its index as text, which is then read like an index that was written
        names = pc.SetLookupOptions(pa.array(classes, column.type))
        index = pc.call_function("index_in", [column], names)
        column = pc.call_function("coalesce", [index.cast(column.type), column])
    try:
        return torch.tensor(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        cells = [_cell(text, path, start + row, name, classes) for row, text in enumerate(column.to_pylist())]
    _check_even(torch.tensor([len(cell) if isinstance(cell, list) else 1 for cell in cells]), path, start)
    return torch.tensor(cells, dtype=torch.float64)


def _cell(text: str | None, path: Path, row: int, name: str, classes: tuple[str, ...] | None) -> Any:
    with contextlib.suppress(ValueError, TypeError):
        return float(text or "")
    with contextlib.suppress(ValueError, TypeError):
        value = parse_json(text or "")
        if isinstance(value, list) and value and all(type(entry) in (int, float) for entry in value):
            return value
    shown = shortened(repr(text)) if text else "nothing"
    close = nearest(text, classes) if text and classes else None
    raise fail(
        ARGUMENT,
        "a number in every row" if classes is None else f"a number or one of {_some(classes)} in every row",
        f"{shown} in {path}, row {row}, column '{name}'",
        f"did you mean '{close}'?" if close else "fix that row",
    )


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join([*shown[:20], "..."] if len(shown) > 20 else shown)


def _check_even(sizes: Tensor, path: Path, start: int) -> None:
    index = first_bad(sizes != sizes[:1])
    if index is not None:
        raise _uneven(int(sizes[0]), int(sizes[index]), path, start + index[0])


def _uneven(first: int, other: int, path: Path, row: int) -> InputError:
    required = f"as many numbers in every row as in the first, {first}"
    return fail(ARGUMENT, required, f"{other} in {path}, row {row}", "fix that row")
