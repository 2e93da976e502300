"""Columns of Parquet files, CSV files and hub sets, as Arrow tables read by Hugging Face's datasets."""

import contextlib
import csv
import glob
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from softtargets._errors import InputError, fail, nearest
from softtargets.data._files import File, Files
from softtargets.data.spec import DataSpec

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Columns:
    """The columns that are read: the labels, and either an image column, or one of texts, or features."""

    label: str
    image: str | None
    features: tuple[str, ...]
    text: str | None = None

    @property
    def names(self) -> list[str]:
        """All of them, the labels first."""
        return [self.label, *(name for name in (self.image, self.text) if name), *self.features]


@dataclass(frozen=True)
class Part:
    """The rows of one file (or of one split of a hub set), or of one split of a folder of images.

    Attributes:
        split: "train", "validation" or "test".
        file: What an error calls it.
        table: The chosen columns, an image as a struct of bytes and path.
        columns: Which they are.
        class_names: The names that the file gives to its labels.
        image_files: Where each row is a file of its own, the name of that file.
        opens_paths: Whether an image without bytes is read from its path (never where a stranger wrote the path).
    """

    split: str
    file: str
    table: pa.Table
    columns: Columns
    class_names: tuple[str, ...] | None = None
    image_files: tuple[str, ...] | None = None
    opens_paths: bool = False

    def place(self, row: int) -> str:
        """Where a row is, for an error."""
        return self.image_files[row] if self.image_files else f"{self.file}, row {row}"


def is_image(feature: Any) -> bool:
    """Say whether a column has the hub's schema of images."""
    return type(feature).__name__ == "Image" or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def choose(features: Mapping[str, Any], spec: DataSpec, file: str, earlier: Sequence[Part] = ()) -> Columns:
    """Choose the columns to read from those there are: the same as of the parts read earlier.

    Raises:
        InputError: a column that is not there, or image columns to choose from.
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
        raise fail("image", f"one of {', '.join(images)}", "nothing", "say which column to read")
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
                f"did you mean '{close}'?" if close else "use one of these names",
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
        # A cache of its own that goes at once: an edited file is never served as it was before.
        with reading(file.inner), tempfile.TemporaryDirectory() as cache:
            table = read(file, features, columns.names, cache)
        parts.append(Part(file.split, file.inner, table, columns, names_of(features[columns.label])))
    return parts


def no_rows(file: str) -> InputError:
    """Build the error of a file without examples."""
    return fail("name", "at least one row in every file", f"none in {file}", "add examples or take the file away")


def names_of(feature: Any) -> tuple[str, ...] | None:
    """Return the class names of a label column of the hub's ClassLabel type."""
    names = getattr(feature, "names", None)
    return None if names is None else tuple(names)


@contextlib.contextmanager
def reading(file: str) -> Iterator[None]:
    """Silence the reader's progress and log, restore both, and turn what it raises into one error."""
    import datasets

    verbosity, silent = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    try:
        # The switch of the progress bars warns where an environment variable has fixed it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            datasets.disable_progress_bars()
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)
        yield
    except InputError:
        raise
    except Exception as error:
        reason = error.__cause__ or error
        remedy = "check that it is whole and of the type its name says"
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
            return datasets.Features.from_arrow_schema(parquet.schema_arrow)


def _csv_schema(file: File) -> "datasets.Features":
    with reading(file.inner):
        import datasets

        with file.path.open(encoding="utf-8-sig", newline="") as stream:
            lines = (line for line in csv.reader(stream) if line)
            header, first = next(lines, []), next(lines, [])
        if len(header) == 1 and any(separator in header[0] for separator in ";\t"):
            got = f"{file.inner} with one column, {header[0]!r:.100}"
            raise fail("name", "columns separated by commas", got, "write the file with commas")
        if len(set(header)) < len(header):
            raise fail("name", "columns with names of their own", f"{file.inner}: {', '.join(header)}", "rename one")
        if not first:
            raise no_rows(file.inner)
        if len(first) != len(header):
            # The reader would take the first column for an index and shift the others.
            raise fail(
                "name",
                f"{len(header)} values in every row, one for each column",
                f"{len(first)} in {file.inner}, row 0",
                "fix that row or the header",
            )
        return datasets.Features({name: datasets.Value("string") for name in header})


def _read_parquet(file: File, features: "datasets.Features", names: list[str], cache: str) -> pa.Table:
    import datasets

    # As stored: the reader's own check of labels and images names no row.
    image = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    stored = {name: image if is_image(features[name]) else features[name] for name in names}
    stored = {name: datasets.Value("int64") if names_of(kind) else kind for name, kind in stored.items()}
    data = datasets.Dataset.from_parquet(
        _literal(file), features=datasets.Features(stored), cache_dir=cache, keep_in_memory=True, columns=names
    )
    return data.data.table


def _read_csv(file: File, features: "datasets.Features", names: list[str], cache: str) -> pa.Table:
    import datasets

    # Text throughout, so that a cell that is no number can be shown as it was written, with its row.
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
    # The reader takes brackets and stars in a path for a pattern.
    return glob.escape(str(file.path.resolve()))
