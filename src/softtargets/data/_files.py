"""The files of a data set, by its path, and the hash of their content."""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from softtargets._errors import InputError, fail, nearest
from softtargets._storage import UnfitFileError, kind_of, memory_bytes, open_regular
from softtargets.data.dataset import SPLITS
from softtargets.data.limits import data_bytes, unreadable

Kind = Literal["parquet", "csv", "images", "listed"]

ALIASES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_TABLES: dict[str, Kind] = {".parquet": "parquet", ".csv": "csv"}
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm"}
# The folder of training images without a label.
UNLABELLED = "unlabelled"
# Paths share suffixes and parts of words, so unrelated names are similar too: nofile.csv and one.csv have 0.7.
_PATH_CUTOFF = 0.75
_SPLIT_FILE = re.compile(rf"({'|'.join(ALIASES)})(?:-(\d+)-of-(\d+)(?:-\w+)?)?")


@dataclass(frozen=True, slots=True)
class File:
    """One file: its split, the folder of the data set, its path inside it, and the class of an image, if it has one."""

    split: str
    folder: Path
    inner: str
    class_name: str | None = None

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.folder / self.inner


@dataclass(frozen=True)
class Files:
    """The files of a data set in a fixed order, and the classes of images, which are files each.

    The path of an image in a folder of images ("images") tells its split and its class; of other images ("listed") a
    list does.

    Attributes:
        table: The table that names the images, if it has their votes, too.
    """

    name: str
    kind: Kind
    files: tuple[File, ...]
    class_names: tuple[str, ...] = ()
    table: "Files | None" = None

    @property
    def holds_images(self) -> bool:
        """Whether each file is an image."""
        return self.kind in ("images", "listed")

    def identity(self) -> str:
        """Return the SHA-256 of every file's bytes with its split, or with its path and class if it is an image."""
        digest = hashlib.sha256(self.kind.encode())
        for name in self.class_names:
            digest.update(b"\0class " + os.fsencode(name))
        if self.table is not None:
            digest.update(b"\0table " + self.table.identity().encode())
        limit = data_bytes() if self.kind == "csv" else memory_bytes()
        for file in self.files:
            digest.update(b"\0" + os.fsencode(self._told(file)) + b"\0" + _hash(file.path, limit))
        return digest.hexdigest()

    def _told(self, file: File) -> str:
        """Return what is hashed with a file's bytes; in a folder of images its path tells the split and the class."""
        if self.kind == "listed":
            return "\0".join((file.split, file.inner, file.class_name or ""))
        return file.inner if self.kind == "images" else file.split


def find(path: Path) -> Files:
    """Find the data files of an existing file or folder.

    Raises:
        InputError: if there are none, or if they can be read in two ways.
    """
    if not path.is_file() and not path.is_dir():
        got = f"'{path}', {kind_of(path.stat().st_mode)}"
        raise fail("name", "a file or a folder", got, "give the path of a data file")
    check_name(path)
    if path.is_file():
        kind = _TABLES.get(path.suffix.lower())
        if kind is None:
            raise fail("name", "a .parquet or .csv file, or a folder", f"'{path}'", "convert it to one of these")
        return Files(path.stem, kind, (File("train", path.parent, path.name),))
    tables = _split_tables(path) or _split_tables(path / "data")
    return Files(path.resolve().name, *tables) if tables else _image_folder(path)


def missing(name: str) -> InputError:
    """Build the error of a name that is neither a file, nor a folder, nor a data set on the Hugging Face Hub."""
    close = suggestion(name)
    remedy = f"did you mean '{close}'?" if close else "give the path of an existing file or folder"
    return fail(
        "name",
        "'digits', an existing file or folder, or a name 'user/set' on the Hugging Face Hub",
        f"'{name}'",
        remedy,
    )


def suggestion(name: str, *, folders_only: bool = False) -> str | None:
    """Return the existing name or path most similar to `name`, or None."""
    path = Path(name).expanduser()
    while not path.parent.is_dir():
        path = path.parent
    siblings = [entry.name for entry in visible(path.parent) if entry.is_dir() or not folders_only]
    embedded = ["digits"] if name == path.name else []
    close = nearest(path.name, [*embedded, *siblings], cutoff=_PATH_CUTOFF)
    if close is None or close in embedded:
        return close
    return str(path.parent / close)


def _hash(path: Path, max_bytes: int) -> bytes:
    try:
        with open_regular(path, max_bytes=max_bytes) as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except UnfitFileError as error:
        raise unreadable("name", path, error) from None
    except OSError as error:
        remedy = "remove it, or make it readable"
        raise fail("name", "files that can be read", f"{path}: {error.strerror}", remedy) from error


def visible(folder: Path) -> list[Path]:
    """Return the entries of a folder whose names do not begin with a dot, sorted; none if it is not a folder."""
    if not folder.is_dir():
        return []
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    for entry in entries:
        check_name(entry)
    return entries


def check_name(path: Path) -> None:
    """Require a name that can be shown and stored as text."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        got = repr(os.fsencode(path.name))
        raise fail("name", "file names in UTF-8", got, "rename that file or folder") from None


def _split_tables(folder: Path) -> tuple[Kind, tuple[File, ...]] | None:
    """Find Parquet or CSV files that are named by split, one file or shards per split."""
    named: dict[str, list[tuple[Path, re.Match[str]]]] = {}
    for entry in visible(folder):
        match = _SPLIT_FILE.fullmatch(entry.stem.lower())
        if match and entry.is_file() and entry.suffix.lower() in _TABLES:
            named.setdefault(ALIASES[match[1]], []).append((entry, match))
    if "train" not in named:
        return None
    found = [entry for group in named.values() for entry, _ in group]
    kinds = {entry.suffix.lower() for entry in found}
    if len(kinds) > 1:
        raise fail("name", "either Parquet or CSV files in one folder", _listed(found), "move the others elsewhere")
    ordered = [File(split, folder, entry.name) for split in SPLITS for entry in _whole(split, named.get(split, []))]
    return _TABLES[kinds.pop()], tuple(ordered)


def _whole(split: str, group: list[tuple[Path, re.Match[str]]]) -> list[Path]:
    """Return the file of a split, or its shards in order."""
    numbers = [(match[1], int(match[2] or 0), int(match[3] or 1)) for _, match in group]
    shards = sorted(zip(numbers, (entry for entry, _ in group), strict=True))
    if shards and sorted(numbers) != [(numbers[0][0], index, numbers[0][2]) for index in range(numbers[0][2])]:
        raise fail(
            "name",
            f"one {split} file, or every shard of one set of shards",
            _listed(entry for entry, _ in group),
            "add the missing files or move the others elsewhere",
        )
    return [entry for _, entry in shards]


def _image_folder(folder: Path) -> Files:
    """Find one folder of images per class, in `folder` or in its train, validation and test folders."""
    inside = [entry for entry in visible(folder) if entry.is_dir()]
    roots = [(ALIASES[entry.name.lower()], entry) for entry in inside if entry.name.lower() in ALIASES]
    splits = [split for split, _ in roots]
    if len(set(splits)) < len(splits):
        raise fail("name", "one folder for each split", _listed(root for _, root in roots), "merge these folders")
    if "train" not in splits:
        if roots and len(roots) == len(inside):
            raise fail("name", "a folder named train", f"only {_listed(inside)} in '{folder}'", "add the training data")
        roots = [("train", folder)]
    files, classes = [], set()
    for split, root in sorted(roots, key=lambda item: SPLITS.index(item[0])):
        classes |= {entry.name for entry in visible(root) if entry.is_dir()}
        inner = "" if root == folder else f"{root.name}/"
        for path in _images_in(root):
            name, below, _ = path.partition("/")
            if not below:
                got = f"'{root / path}'"
                raise fail("name", "every image in the folder of its class", got, "move it into one")
            files.append(File(split, folder, inner + path, None if name.lower() == UNLABELLED else name))
    if not files:
        required = (
            "a folder with train.parquet or train.csv (and test, validation), or a folder of images for each class"
        )
        there = _listed(visible(folder)) or "nothing"
        raise fail("name", required, f"'{folder}' with {there}", "check the path, or name one file in it")
    named = sorted(name for name in classes if name.lower() != UNLABELLED)
    return Files(folder.resolve().name, "images", tuple(files), tuple(named))


def _images_in(root: Path) -> list[str]:
    """Return the paths of the images below a folder, with slashes, sorted as paths are: by their parts."""
    found: list[tuple[str, ...]] = []
    for folder, below, names in os.walk(root, followlinks=True, onerror=_unreadable_folder):
        below[:] = [name for name in below if not name.startswith(".")]
        parts = Path(folder).relative_to(root).parts
        for name in (*below, *names):
            check_name(Path(folder, name))
        found += [
            (*parts, name) for name in names if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGES
        ]
    return ["/".join(parts) for parts in sorted(found)]


def _unreadable_folder(error: OSError) -> None:
    raise fail("name", "folders that can be read", f"{error.filename}: {error.strerror}", "check its permissions")


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(path.name for path in paths))
