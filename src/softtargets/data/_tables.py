"""Columns of Parquet files, CSV files and data sets on the Hugging Face Hub, as Arrow tables."""

import contextlib
import csv
import glob
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from softtargets._errors import InputError, fail, nearest, shortened
from softtargets._storage import open_regular, shown_bytes
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
class Columns:
    """The columns that are read: the labels, and either an image column, a text column or features."""

    label: str
    image: str | None
    features: tuple[str, ...]
    text: str | None = None

    @property
    def names(self) -> list[str]:
        """All columns, the labels first."""
        return [self.label, *(name for name in (self.image, self.text) if name), *self.features]


@dataclass(frozen=True)
class Part:
    """The rows of one file, of one split of a data set on the Hub, or of one split of a folder of images.

    Attributes:
        split: "train", "validation" or "test".
        file: Its name in errors.
        table: The chosen columns; an image is a struct of bytes and path.
        columns: The chosen columns by their role.
        class_names: The class names that the file declares, or None.
        image_files: The file of each row in a folder of images, else None.
        opens_paths: Whether an image without bytes is read from its path. Never for a path written in a data file.
    """

    split: str
    file: str
    table: pa.Table
    columns: Columns
    class_names: tuple[str, ...] | None = None
    image_files: tuple[str, ...] | None = None
    opens_paths: bool = False

    def place(self, row: int) -> str:
        """Return where a row is, for an error."""
        return self.image_files[row] if self.image_files else f"{self.file}, row {row}"

    def values(self, column: str) -> Iterator[Any]:
        """Yield the cells of a column as Python values, of which a limited number exist at a time."""
        for batch in self.table.select([column]).to_batches(max_chunksize=_CELLS):
            yield from batch.column(0).to_pylist()


def is_image(feature: Any) -> bool:
    """Return whether a column has the Hub's schema of images."""
    return type(feature).__name__ == "Image" or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def choose(features: Mapping[str, Any], spec: DataSpec, file: str, earlier: Sequence[Part] = ()) -> Columns:
    """Choose the columns to read; for later files the same as for the first one.

    Raises:
        InputError: a column that does not exist, or several image columns and none named.
    """
    require([spec.label], "label", features, file)
    if earlier:
        columns = earlier[0].columns
        require([columns.image] if columns.image else [], "image", features, file)
        require([columns.text] if columns.text else [], "text", features, file)
        require(columns.features, "features", features, file)
        return columns
    if spec.features is not None:
        require(spec.features, "features", features, file)
        return Columns(spec.label, None, spec.features)
    if spec.text is not None:
        require([spec.text], "text", features, file)
        return Columns(spec.label, None, (), spec.text)
    images = [name for name, feature in features.items() if is_image(feature) and name != spec.label]
    if spec.image is not None:
        require([spec.image], "image", features, file)
        if spec.image not in images:
            raise fail(
                "image",
                "a column of images, each {bytes, path}",
                f"'{spec.image}' of {file}",
                f"use one of {', '.join(images)}" if images else "leave it out to read a table of numbers",
            )
        return Columns(spec.label, spec.image, ())
    if len(images) > 1:
        raise fail("image", f"one of {', '.join(images)}", "nothing", "name the column to read")
    if images:
        return Columns(spec.label, images[0], ())
    others = tuple(name for name in features if name != spec.label)
    if not others:
        raise fail(
            "features", "at least one column beside the label", f"none in {file}", "add a column of numbers or texts"
        )
    return Columns(spec.label, None, others)


def require(names: Iterable[str], argument: str, known: Iterable[str], file: str) -> None:
    """Require columns of a file."""
    there = list(known)
    for name in names:
        if name not in there:
            close = nearest(name, there)
            raise fail(
                argument,
                f"one of the columns of {file}: {', '.join(there)}",
                f"'{name}'",
                f"did you mean '{close}'?" if close else f"set {argument} to one of these names",
            )


def read_tables(source: Files, spec: DataSpec) -> list[Part]:
    """Read the chosen columns of Parquet or CSV files, a part for each file."""
    return _read_parts(source, lambda features, file, parts: choose(features, spec, file, parts))


def read_column(source: Files, name: str) -> list[Part]:
    """Read one column of Parquet or CSV files, a part for each file."""

    def only(features: Mapping[str, Any], file: str, _: Sequence[Part]) -> Columns:
        require([name], "column", features, file)
        return Columns(name, None, ())

    return _read_parts(source, only)


def _read_parts(source: Files, chosen: Callable[[Mapping[str, Any], str, Sequence[Part]], Columns]) -> list[Part]:
    schema, read = (_parquet_schema, _read_parquet) if source.kind == "parquet" else (_csv_schema, _read_csv)
    parts: list[Part] = []
    for file in source.files:
        features = schema(file)
        columns = chosen(features, file.inner, parts)
        with reading(file.inner):
            table = read(file, features, columns.names)
        check_rows("name", sum(len(part.table) for part in parts) + len(table), file.inner)
        parts.append(Part(file.split, file.inner, table, columns, names_of(features[columns.label])))
    return parts


def no_rows(file: str) -> InputError:
    """Build the error of a file without examples."""
    return fail("name", "at least one row in every file", f"none in {file}", "add examples or remove the file")


def names_of(feature: Any) -> tuple[str, ...] | None:
    """Return the class names of a label column of the Hub's ClassLabel type."""
    names = getattr(feature, "names", None)
    return None if names is None else tuple(names)


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
        for batch in parquet.iter_batches(_CELLS if plain else _LONG_CELLS, columns=names):
            batches.append(_decoded(batch))
            size += batches[-1].nbytes
            check_raw_bytes("name", size, file.inner)
    return pa.Table.from_batches(batches).select(names)


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
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
