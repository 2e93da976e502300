"""The data sets that rows for a trained network are read from: files of images, tables, and the Hugging Face Hub."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from softtargets._errors import InputError, fail
from softtargets._storage import user_path
from softtargets.data._columns import Columns, is_image, is_label, names_of, require, written_columns
from softtargets.data._files import File, Files
from softtargets.data._hub import Hub, hub_image
from softtargets.data._layouts import find_data, loose_images
from softtargets.data._tables import Part, decoded, reading, schema_of
from softtargets.data.arrays.tables import CsvFile
from softtargets.data.dataset import SPLITS
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.sources import hub
from softtargets.data.spec import DataSpec

# Of each column of a Parquet file.
_BUFFER_BYTES = 2**18


@dataclass(frozen=True, eq=False)
class Opening:
    """A data set that is read in blocks: parts with at most so many rows of a split.

    Attributes:
        name: name of the data set.
        splits: the data set's own splits, in order; "train" alone if it has none.
        columns: the columns that are read; the label is "" if there is none.
        labelled: whether there are labels.
        parts: (split, largest number of rows) -> parts, in order.
    """

    name: str
    splits: tuple[str, ...]
    columns: Columns
    labelled: bool
    parts: Callable[[str, int], Iterator[Part]]


def open_source(spec: DataSpec, like: Preprocessing, *, references: bool | None = None) -> Opening:
    """Find a data set, and the columns to read by what the network was trained on.

    Args:
        spec: name and columns of the data set.
        like: what the network was trained on.
        references: of sentence pairs: whether to read the references. None: if there are any.

    Raises:
        InputError: no such data set or column.
    """
    source = _found(spec)

    def chosen(features: Mapping[str, Any], file: str) -> Columns:
        if like.is_pair:
            return written_columns(features, spec, file, references)
        return _chosen(features, spec, like, file)

    if isinstance(source, Files):
        return _of_images(source) if source.holds_images else _of_tables(source, chosen)
    return _of_hub(source, chosen)


def _found(spec: DataSpec) -> Files | Hub:
    path = user_path("name", spec.name)
    if path.exists():
        return loose_images(path) or find_data(path, spec)
    if spec.name == "digits":
        raise fail("name", "a data set other than the digits, which the run was not trained on", "'digits'", "use one")
    return hub(spec.name)


def _of_images(source: Files) -> Opening:
    columns = Columns("label", "image", ())
    number = {name: index for index, name in enumerate(source.class_names)}

    def parts(split: str, rows: int) -> Iterator[Part]:
        files = iter([file for file in source.files if file.split == split])
        while block := list(islice(files, rows)):
            labels = [None if file.class_name is None else number[file.class_name] for file in block]
            table = pa.table({"label": pa.array(labels, pa.int64())})
            names, paths = tuple(file.inner for file in block), [str(file.path) for file in block]
            yield Part(split, source.name, table, columns, source.class_names, names, partial(iter, paths))

    labelled = any(file.class_name is not None for file in source.files)
    return Opening(source.name, _splits(file.split for file in source.files), columns, labelled, parts)


def _of_tables(source: Files, chosen: Callable[[Mapping[str, Any], str], Columns]) -> Opening:
    schemas = {file: schema_of(file) for file in source.files}
    first = next(iter(schemas.values()))
    columns = chosen(first, source.files[0].inner)
    for file, features in schemas.items():
        require(_named(columns), "features", features, file.inner)

    def parts(split: str, rows: int) -> Iterator[Part]:
        for file in source.files:
            if file.split != split:
                continue
            names = names_of(schemas[file][columns.label]) if columns.label else None
            start = 0
            for table in _read(file, _named(columns), rows):
                yield _part(split, file.inner, table, columns, names, start)
                start += len(table)

    return Opening(source.name, _splits(f.split for f in source.files), columns, bool(columns.label), parts)


def _read(file: File, names: list[str], rows: int) -> Iterator[pa.Table]:
    """Yield blocks of some columns of a Parquet file, or of a CSV file as text."""
    if file.path.suffix.lower() == ".csv":
        for batch in CsvFile(file.path).batches(names, rows):
            table = pa.Table.from_batches([batch])
            yield from (table.slice(start, rows) for start in range(0, len(table), rows))
        return
    # without a buffer size, a whole column of a row group is in memory
    with reading(file.inner), pq.ParquetFile(file.path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as parquet:
        for batch in parquet.iter_batches(rows, columns=names):
            yield pa.Table.from_batches([decoded(batch)]).select(names)


def _of_hub(source: Hub, chosen: Callable[[Mapping[str, Any], str], Columns]) -> Opening:
    splits = source.splits
    columns = chosen(next(iter(splits.values())).features, source.name)

    def parts(split: str, rows: int) -> Iterator[Part]:
        data = splits[split].select_columns(_named(columns))
        names = names_of(data.features[columns.label]) if columns.label else None
        for start in range(0, len(data), rows):
            table = data.select(range(start, min(start + rows, len(data)))).flatten_indices().data.table
            yield _part(split, f"{source.name} ({split})", table, columns, names, start, hub_image)

    return Opening(source.name, tuple(splits), columns, bool(columns.label), parts)


def _part(
    split: str,
    file: str,
    table: pa.Table,
    columns: Columns,
    names: tuple[str, ...] | None,
    start: int,
    image: Callable[[Any], bytes | str | None] = lambda cell: (cell or {}).get("bytes"),
) -> Part:
    """Return a block of rows; `image` returns the encoded image of a cell."""
    images = None
    if columns.image is not None:
        cells = table[columns.image].to_pylist()
        images = lambda: map(image, cells)  # noqa: E731
    return Part(split, file, columns.flat(table), columns, names, None, images, first_row=start)


def _splits(names: Iterator[str]) -> tuple[str, ...]:
    there = set(names)
    return tuple(name for name in SPLITS if name in there)


def _named(columns: Columns) -> list[str]:
    return [*columns.names, *([columns.image] if columns.image else [])]


def _chosen(features: Mapping[str, Any], spec: DataSpec, like: Preprocessing, file: str) -> Columns:
    """Choose the columns of a table by what the network was trained on. The label is "" if there is none."""
    label = _label(features, spec, file)
    others = [name for name in features if name != label]
    if like.kind == "images":
        images = [name for name in others if is_image(features[name])]
        if spec.image is not None and (spec.image in features or len(images) != 1):
            require([spec.image], "image", images or others, file)
            return Columns(label, spec.image, ())
        if not images:
            raise of_another_kind(like, f"the columns {', '.join(others)} in {file}")
        if len(images) > 1:
            raise fail("image", f"one of {', '.join(images)}", "nothing", "name the column to read")
        return Columns(label, images[0], ())
    if like.kind in ("texts", "tokens"):
        known = [name for name in (spec.text, *like.columns, "text") if name]
        chosen = next((name for name in known if name in features), None)
        if spec.text is not None or (chosen is None and len(others) != 1):
            require(known[:1], "text", features, file)
        return Columns(label, None, (), chosen or others[0])
    named = spec.features or like.columns
    require(named, "features", features, file)
    return Columns(label, None, tuple(named))


def _label(features: Mapping[str, Any], spec: DataSpec, file: str) -> str:
    if spec.label in features:
        return spec.label
    classes = [name for name, feature in features.items() if is_label(feature)]
    return classes[0] if len(classes) == 1 else ""


def of_another_kind(like: Preprocessing, got: str) -> InputError:
    shown = {"table": "a table of numbers", "tokens": "texts"}.get(like.kind, like.kind)
    return fail("name", f"a data set of {shown}, as the run was trained on", got, "use such a data set")
