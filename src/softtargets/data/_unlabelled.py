"""A second file of rows without labels, which join the training split."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from softtargets._errors import InputError, fail
from softtargets._storage import user_path
from softtargets.data._columns import Columns, is_image
from softtargets.data._files import Files
from softtargets.data._layouts import find_data, loose_images
from softtargets.data._tables import Part, read_parts
from softtargets.data.spec import DataSpec

_ARGUMENT = "data.unlabelled_file"
# Columns that an error lists.
_LISTED = 5


def unlabelled_files(spec: DataSpec) -> Files | None:
    """Find the files of unlabelled rows; None if the specification names none.

    Raises:
        InputError: no such file; files of several splits, whose test rows would be trained on.
    """
    if spec.unlabelled_file is None:
        return None
    path = user_path("unlabelled_file", spec.unlabelled_file)
    if not path.exists():
        raise fail(_ARGUMENT, "an existing file or folder", f"'{path}'", "give the path of the unlabelled rows")
    with _named():
        found = loose_images(path) or find_data(path, spec)
    other = next((file.split for file in found.files if file.split != "train"), None)
    if other is not None:
        remedy = "give the file of its training rows"
        raise fail(_ARGUMENT, "rows of one file, or a folder without splits", f"a {other} split in '{path}'", remedy)
    return found


def with_unlabelled(identity: str, files: Files | None) -> str:
    """Return the hash of a data set's content together with that of its unlabelled files."""
    if files is None:
        return identity
    # each image counts, and neither its name nor its class
    content = replace(files, kind="listed" if files.holds_images else files.kind, class_names=())
    nameless = replace(content, files=tuple(replace(file, class_name=None) for file in content.files))
    return hashlib.sha256(f"{identity} unlabelled {nameless.identity()}".encode()).hexdigest()


def unlabelled_parts(files: Files, like: Part) -> list[Part]:
    """Read unlabelled rows with the columns of a data set, of which `like` is the first part.

    Raises:
        InputError: images for a table, or the opposite; a column that is missing.
    """
    columns = like.columns
    if files.holds_images and columns.image is None:
        raise fail(_ARGUMENT, f"the columns of {like.file}", f"images ('{files.name}')", "give a .csv or .parquet file")
    if files.holds_images:
        return [_images(files, columns)]
    if like.folder is not None:
        got = f"the table {files.files[0].inner}"
        raise fail(_ARGUMENT, f"images in files, as in '{like.file}'", got, "give a folder or a list of images")
    with _named():
        parts = read_parts(files, partial(_chosen, columns, like.file))
    return [_without_labels(part, columns) for part in parts]


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Make errors of the readers of data sets name the field of the unlabelled rows."""
    try:
        yield
    except InputError as error:
        argument, colon, rest = str(error).partition(": ")
        raise InputError(f"{_ARGUMENT if argument == 'name' else argument}{colon}{rest}") from None


def _chosen(wanted: Columns, like: str, features: Mapping[str, Any], file: str, _: Columns | None) -> Columns:
    """Return the columns of a data set without its label, which an unlabelled file must have."""
    names = [name for name in (wanted.text, *wanted.features) if name]
    images = [name for name, feature in features.items() if is_image(feature)]
    absent = [name for name in names if name not in features]
    if absent or (wanted.image is not None and wanted.image not in images):
        named = _few([f"'{name}'" for name in absent or [wanted.image]])
        required = f"the columns of {like}, which are {_few(names or [str(wanted.image)])}"
        raise fail(_ARGUMENT, required, f"none of {named} in {file} ({_few(list(features))})", "add or rename columns")
    return replace(wanted, label="")


def _few(names: Sequence[str]) -> str:
    """List names; of many the first ones, and how many others there are."""
    others = len(names) - _LISTED
    return ", ".join(names) if others <= 1 else f"{', '.join(names[:_LISTED])} and {others} others"


def _without_labels(part: Part, columns: Columns) -> Part:
    """Return a part with an empty column of labels."""
    others = {name: part.table[name] for name in part.columns.names}
    table = pa.table({columns.label: pa.nulls(len(part.table)), **others})
    return replace(part, table=table, columns=columns, class_names=None, unlabelled=True)


def _images(files: Files, columns: Columns) -> Part:
    paths = tuple(str(file.path.absolute()) for file in files.files)
    table = pa.table({columns.label: pa.nulls(len(paths))})
    images, folder = partial(iter, paths), files.files[0].folder
    return Part("train", files.name, table, columns, None, paths, images, folder, unlabelled=True)
