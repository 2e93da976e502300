"""Columns of Parquet files, CSV files and data sets on the Hugging Face Hub, as Arrow tables."""

import contextlib
import csv
import glob
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from softtargets._errors import InputError, fail, shortened
from softtargets._storage import open_regular, shown_bytes
from softtargets.data._columns import Columns, choose, names_of, require
from softtargets.data._files import File, Files
from softtargets.data.limits import MAX_LINE_BYTES, check_raw_bytes, check_rows
from softtargets.data.spec import DataSpec

if TYPE_CHECKING:
    import datasets

# Cells of a column that are Python values at a time, and rows of Parquet that are read at a time: of numbers, and of
# texts or images.
_CELLS = 8192
_LONG_CELLS = 256


@dataclass(frozen=True)
class Part:
    """The rows of one file, of one split of a data set on the Hub, or of one split of a folder of images.

    Attributes:
        split: "train", "validation" or "test".
        file: Its name in errors.
        table: The chosen columns, except that of images.
        columns: The chosen columns by their role.
        class_names: The class names that the file declares, or None.
        image_files: The file of each row in a folder of images, else None.
        images: Yields the encoded image of each row, in order: its bytes, its path, or None if there is neither. Only
            the user's own lists and folders give paths; a path written beside bytes in a data file is never opened.
        folder: The folder that `image_files` are inside.
        first_row: The row of the file that is the first of the table.
        unlabelled: Whether its rows have no label: the column is empty.
    """

    split: str
    file: str
    table: pa.Table
    columns: Columns
    class_names: tuple[str, ...] | None = None
    image_files: tuple[str, ...] | None = None
    images: Callable[[], Iterator[bytes | str | None]] | None = None
    folder: Path | None = None
    first_row: int = 0
    unlabelled: bool = False

    def place(self, row: int) -> str:
        """Return where a row is, for an error."""
        return self.image_files[row] if self.image_files else f"{self.file}, row {self.first_row + row}"

    def values(self, column: str) -> Iterator[Any]:
        """Yield the cells of a column as Python values, of which a limited number exist at a time."""
        for batch in self.table.select([column]).to_batches(max_chunksize=_CELLS):
            yield from batch.column(0).to_pylist()


def read_tables(source: Files, spec: DataSpec) -> list[Part]:
    """Read the chosen columns of Parquet or CSV files, a part for each file."""
    return read_parts(source, lambda features, file, columns: choose(features, spec, file, columns))


def read_column(source: Files, name: str, argument: str = "column") -> list[Part]:
    """Read one column of Parquet or CSV files, a part for each file; `argument` names it in errors."""

    def only(features: Mapping[str, Any], file: str, _: Columns | None) -> Columns:
        require([name], argument, features, file)
        return Columns(name, None, ())

    return read_parts(source, only)


def read_parts(source: Files, chosen: Callable[[Mapping[str, Any], str, Columns | None], Columns]) -> list[Part]:
    """Read columns of Parquet or CSV files, a part for each file.

    Args:
        source: the files.
        chosen: (columns of a file with their types, its name, columns of the first file) -> columns to read.
    """
    read = _read_parquet if source.kind == "parquet" else _read_csv
    parts: list[Part] = []
    for file in source.files:
        features = schema_of(file)
        columns = chosen(features, file.inner, parts[0].columns if parts else None)
        with reading(file.inner):
            table = columns.flat(read(file, features, columns.names))
        check_rows("name", sum(len(part.table) for part in parts) + len(table), file.inner)
        images = partial(_parquet_images, file, columns.image) if columns.image else None
        names = names_of(features[columns.label]) if columns.label else None
        parts.append(Part(file.split, file.inner, table, columns, names, images=images))
    return parts


def _parquet_images(file: File, column: str) -> Iterator[bytes | None]:
    """Yield the bytes of each image, of which a limited number are in memory."""
    with reading(file.inner), pq.ParquetFile(file.path, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches(_LONG_CELLS, columns=[column]):
            for cell in batch.column(0):
                yield (cell.as_py() or {}).get("bytes")


def no_rows(file: str) -> InputError:
    """Build the error of a file without examples."""
    return fail("name", "at least one row in every file", f"none in {file}", "add examples or remove the file")


@contextlib.contextmanager
def reading(file: str) -> Iterator[None]:
    """Silence the reader's progress bars and log, and turn what it raises into an InputError."""
    import datasets

    verbosity, silent = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    try:
        # switching the progress bars warns if an environment variable has fixed them
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            datasets.disable_progress_bars()
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)
        yield
    except InputError:
        raise
    except Exception as error:
        reason = error.__cause__ or error
        remedy = "check that it is complete and of the type that its name says"
        raise fail("name", "data that can be read", f"{file}: {_one_line(reason)}", remedy) from error
    finally:
        datasets.logging.set_verbosity(verbosity)
        if not silent:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                datasets.enable_progress_bars()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def schema_of(file: File) -> "datasets.Features":
    """Return the columns of a Parquet or CSV file with their types; those of a CSV file are text.

    Raises:
        InputError: a file that cannot be read or has no rows.
    """
    return (_csv_schema if file.path.suffix.lower() == ".csv" else _parquet_schema)(file)


def _parquet_schema(file: File) -> "datasets.Features":
    with reading(file.inner):
        import datasets

        with pq.ParquetFile(file.path) as parquet:
            if parquet.metadata.num_rows == 0:
                raise no_rows(file.inner)
            check_rows("name", parquet.metadata.num_rows, file.inner)
            return datasets.Features.from_arrow_schema(parquet.schema_arrow)


def _csv_schema(file: File) -> "datasets.Features":
    with reading(file.inner):
        import datasets

        _check_csv_lines(file)
        with file.path.open(encoding="utf-8-sig", newline="") as stream:
            lines = (line for line in csv.reader(limited_lines(stream)) if line)
            header, first = next(lines, []), next(lines, [])
        if len(header) == 1 and any(separator in header[0] for separator in ";\t"):
            got = f"{file.inner} with one column, {shortened(repr(header[0]))}"
            raise fail("name", "columns separated by commas", got, "write the file with commas")
        if len(set(header)) < len(header):
            raise fail("name", "columns with different names", f"{file.inner}: {', '.join(header)}", "rename one")
        if not first:
            raise no_rows(file.inner)
        if len(first) != len(header):
            # pandas would take the first column for an index and shift the others
            raise fail(
                "name",
                f"{len(header)} values in every row, one for each column",
                f"{len(first)} in {file.inner}, row 0",
                "fix that row or the header",
            )
        return datasets.Features({name: datasets.Value("string") for name in header})


def limited_lines(stream: TextIO) -> Iterator[str]:
    """Yield the lines of a text file.

    Raises:
        ValueError: for a line above the limit; a file of zeros is one line.
    """
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"a line of more than {shown_bytes(MAX_LINE_BYTES)}")
        yield line


def _check_csv_lines(file: File) -> None:
    """Require a number of lines that can be held in memory."""
    lines = 0
    with open_regular(file.path) as stream:
        while block := stream.read(2**22):
            lines += block.count(b"\n")
    check_rows("name", lines - 1, file.inner)


def _read_parquet(file: File, features: "datasets.Features", names: list[str]) -> pa.Table:
    # Rows of texts and images may be long, and few of them take as much memory as many numbers.
    plain = all(getattr(features[name], "dtype", "string") not in ("string", "large_string") for name in names)
    batches, size = [], 0
    with pq.ParquetFile(file.path, pre_buffer=False) as parquet:
        if not names:  # images without labels
            return pa.table({"": pa.nulls(parquet.metadata.num_rows)})
        for batch in parquet.iter_batches(_CELLS if plain else _LONG_CELLS, columns=names):
            batches.append(decoded(batch))
            size += batches[-1].nbytes
            check_raw_bytes("name", size, file.inner)
    return pa.Table.from_batches(batches).select(names)


def decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose columns hold values instead of indices into a dictionary."""
    columns = [column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column for column in batch]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _read_csv(file: File, features: "datasets.Features", names: list[str]) -> pa.Table:
    import datasets

    # All columns as text, so that a cell that is not a number can be shown as it was written, with its row. The cache
    # is temporary: an edited file must never be served as it was before.
    with tempfile.TemporaryDirectory() as cache:
        data = datasets.Dataset.from_csv(
            _literal(file),
            features=features,
            cache_dir=cache,
            keep_in_memory=True,
            keep_default_na=False,
            na_filter=False,
        )
        return data.data.table.select(names)


def _literal(file: File) -> str:
    # the reader takes brackets and stars in a path for a pattern
    return glob.escape(str(file.path.resolve()))
