"""Data sets whose images are named in other files: lists, tables of paths, CUB-200-2011, and JSON as in COCO."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from softtargets._errors import InputError, fail, shortened
from softtargets._storage import UnfitFileError, open_regular, parse_json
from softtargets.data._files import ALIASES, IMAGES, File, Files, check_name, find, visible
from softtargets.data._tables import read_column
from softtargets.data.dataset import SPLITS
from softtargets.data.limits import MAX_CLASSES, check_rows, data_bytes, unreadable
from softtargets.data.spec import DataSpec

_NAMES = "|".join(ALIASES)
# train.txt, ImageNet_LT_val.txt
_LIST = re.compile(rf"(?:.*[_-])?({_NAMES})\.txt")
# train2019.json, val.json
_JSON = re.compile(rf"(?:.*[_-])?({_NAMES})[_-]?\d*\.json")
_CUB = ("images.txt", "image_class_labels.txt", "train_test_split.txt")


@dataclass(frozen=True)
class _Entry:
    """One image as it is named: its split, its path inside the folder, its label ("" if missing), and the place."""

    split: str
    inner: str
    label: str
    place: str


def find_data(path: Path, spec: DataSpec) -> Files:
    """Find the data files of an existing file or folder, by its layout.

    In this order: a list of images (.txt); files or shards named by split (Parquet or CSV); lists named by split;
    CUB-200-2011; JSON files named by split; folders of images.

    Raises:
        InputError: if there are none, if they can be read in two ways, or if a file that is named does not exist.
    """
    if path.is_file() and path.suffix.lower() == ".txt":
        entries = list(_read_list(path, "train"))
        if not entries:
            raise _without_lines(f"'{path}'")
        return _numbered(path.stem, path.parent, entries, {})
    if path.is_dir():
        entries = [entry for entry in visible(path) if entry.is_file()]
        names = {entry.name for entry in entries}
        tables = any(entry.suffix.lower() in (".parquet", ".csv") for entry in entries)
        if names.issuperset(_CUB):
            return _cub(path)
        for pattern, read in ((_LIST, _from_lists), (_JSON, _from_json)):
            matched = _by_split(entries, pattern)
            if "train" in matched and not tables:
                return read(path, matched)
    found = find(path)
    return _from_tables(found, spec) if spec.image is not None and found.kind == "csv" else found


def loose_images(path: Path) -> Files | None:
    """Return an image, or the images of a folder without folders; None for other paths."""
    if path.is_dir():
        entries = visible(path)
        inside = [entry for entry in entries if entry.suffix.lower() in IMAGES and entry.is_file()]
        if not inside or any(entry.is_dir() for entry in entries):
            return None
    elif path.suffix.lower() in IMAGES:
        inside = [path]
    else:
        return None
    files = tuple(File("train", entry.parent, entry.name) for entry in inside)
    return Files(path.stem, "listed", files)


def _by_split(entries: Sequence[Path], pattern: re.Pattern[str]) -> dict[str, Path]:
    """Return the file of each split."""
    found: dict[str, Path] = {}
    for entry in entries:
        match = pattern.fullmatch(entry.name.lower())
        if match is None:
            continue
        split = ALIASES[match[1]]
        if split in found:
            got = f"{found[split].name} and {entry.name}"
            raise fail("name", f"one list for the {split} split", got, "move the other elsewhere")
        found[split] = entry
    return found


def _from_lists(folder: Path, lists: Mapping[str, Path]) -> Files:
    entries = [entry for split in SPLITS if split in lists for entry in _read_list(lists[split], split)]
    if not entries:
        raise _without_lines(f"the lists of '{folder}'")
    return _numbered(folder.resolve().name, folder, entries, {})


def _without_lines(place: str) -> InputError:
    return fail("name", "a line 'path label' for each image", f"no lines in {place}", "add lines")


def _read_list(path: Path, split: str) -> Iterator[_Entry]:
    for number, line in _lines(path):
        # a path may hold spaces, and a line may hold a path alone
        inner, gap, label = line.rpartition("\t") if "\t" in line else line.rpartition(" ")
        if not gap or (path.parent / line).is_file():
            inner, label = line, ""
        yield _Entry(split, inner.strip(), label.strip(), f"{path.name}, line {number}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not empty, with their numbers from 1."""
    try:
        with open_regular(path, max_bytes=data_bytes()) as stream:
            for number, line in enumerate(stream, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if text:
                    yield number, text
    except UnfitFileError as error:
        raise unreadable("name", path, error) from None
    except UnicodeDecodeError:
        raise fail("name", "a list in UTF-8", f"'{path}'", "write it again as UTF-8") from None


def _cub(folder: Path) -> Files:
    """Read the layout of CUB-200-2011, whose files name images by number."""
    images, labels, splits = (dict(_pairs(folder / name)) for name in _CUB)
    for name, pairs in zip(_CUB[1:], (labels, splits), strict=True):
        absent = next((number for number in images if number not in pairs), None)
        if absent is not None:
            raise fail("name", f"a line for each image in {name}", f"none for image {absent}", "add it")
    known = folder / "classes.txt"
    names = dict(_pairs(known)) if known.is_file() else {label: label for label in labels.values()}
    entries = [
        _Entry("train" if splits[number] == "1" else "test", f"images/{inner}", labels[number], f"images.txt, {number}")
        for number, inner in images.items()
    ]
    return _numbered(folder.resolve().name, folder, entries, names)


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in _lines(path):
        first, gap, second = line.partition(" ")
        if not gap:
            raise fail(
                "name", f"a number and a value in every line of {path.name}", f"'{line}' in line {number}", "fix it"
            )
        yield first, second.strip()


def _from_json(folder: Path, files: Mapping[str, Path]) -> Files:
    """Read JSON with images, annotations and categories, as of COCO, iNaturalist and iMaterialist."""
    names: dict[str, str] = {}
    entries: list[_Entry] = []
    for split in SPLITS:
        if split not in files:
            continue
        content = _parsed(files[split])
        told = content.get("categories") or []
        names |= {str(category["id"]): str(category.get("name", category["id"])) for category in told}
        found = list(_annotated(content, folder, files[split], split))
        # the labels of a competition's test images are not published
        if split == "train" or any(entry.label for entry in found):
            entries += found
    # files without categories give numbers, which need not be without gaps
    names = names or {entry.label: entry.label for entry in entries if entry.label}
    return _numbered(folder.resolve().name, folder, entries, names)


def _parsed(path: Path) -> dict[str, Any]:
    required = "a JSON file with images, each with a file_name or an id, and annotations with image_id and category_id"
    try:
        with open_regular(path, max_bytes=data_bytes()) as stream:
            content = parse_json(stream.read())
    except UnfitFileError as error:
        raise unreadable("name", path, error) from None
    except ValueError as error:
        raise fail("name", required, f"{path.name}: {error}", "fix that file") from None
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise fail("name", required, f"{path.name} without images", "fix that file")
    return content


def _annotated(content: dict[str, Any], folder: Path, path: Path, split: str) -> Iterator[_Entry]:
    try:
        annotations = content.get("annotations") or []
        labels = {note["image_id"]: str(note["category_id"]) for note in annotations}
        for place, image in enumerate(content["images"]):
            label = labels.get(image.get("id"), image.get("class", ""))
            inner = image.get("file_name") or _file_of(folder, path.stem, str(image["id"]))
            yield _Entry(split, inner, str(label), f"{path.name}, image {place}")
    except (KeyError, TypeError, AttributeError) as error:
        got = f"{path.name}, where one has none: {error}"
        raise fail("name", "images and annotations with their keys", got, "fix that file") from None


def _file_of(folder: Path, split: str, number: str) -> str:
    """Return the path of an image that is named by its number in the folder of its split."""
    for suffix in (".jpg", ".jpeg", ".png"):
        if (folder / split / f"{number}{suffix}").is_file():
            return f"{split}/{number}{suffix}"
    return f"{split}/{number}.jpg"


def _from_tables(found: Files, spec: DataSpec) -> Files:
    """Read CSV files with a column of the paths of images, if there is such a column."""
    assert spec.image is not None
    images = read_column(found, spec.image, "image")
    if os.path.splitext(next(images[0].values(spec.image), ""))[1].lower() not in IMAGES:
        return found
    votes = spec.has_votes and spec.votes_file is None
    labels = images if votes else read_column(found, spec.label, "label")
    entries = []
    for paths, classes in zip(images, labels, strict=True):
        rows = zip(paths.values(spec.image), classes.values(spec.image if votes else spec.label), strict=True)
        entries += [
            _Entry(paths.split, inner.strip(), "" if votes else label.strip(), paths.place(row))
            for row, (inner, label) in enumerate(rows)
        ]
    listed = _numbered(found.name, found.files[0].folder, entries, {})
    return replace(listed, table=found) if votes else listed


def _numbered(name: str, folder: Path, entries: Sequence[_Entry], names: Mapping[str, str]) -> Files:
    """Check the entries and name their classes.

    Args:
        name: of the data set.
        folder: that the paths are inside.
        entries: the images.
        names: the name of each label. Empty: whole numbers are class indices, and other labels are class names.
    """
    if not entries:
        raise fail("name", "at least one image", f"none in '{folder}'", "add images")
    check_rows("name", len(entries), f"'{folder}'")
    for entry in entries:
        path = folder / entry.inner
        check_name(path)
        if not path.is_file():
            remedy = "fix the path, which starts from the folder of the file that names it"
            found = "is not a file" if path.exists() else "does not exist"
            raise fail("name", "the path of an image", f"'{entry.inner}' in {entry.place}, which {found}", remedy)
    shown, class_names = _classes(entries, names)
    files = (File(entry.split, folder, entry.inner, shown[entry.label] if entry.label else None) for entry in entries)
    return Files(name, "listed", tuple(files), class_names)


def _classes(entries: Sequence[_Entry], names: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the class of each label, and all classes in their order."""
    labels = {entry.label: entry for entry in entries if entry.label}
    if names:
        unnamed = next((entry for label, entry in labels.items() if label not in names), None)
        if unnamed is not None:
            got = f"'{shortened(unnamed.label)}' in {unnamed.place}"
            raise fail("label", "a class that is named", got, "add its name, or fix that label")
        count = Counter(names.values())
        # two classes of one name stay two classes
        shown = {label: text if count[text] == 1 else f"{text} ({label})" for label, text in names.items()}
        return shown, tuple(shown[label] for label in sorted(shown, key=_order))
    numbers = {label: int(label) for label in labels if label.isdecimal()}
    if numbers and len(numbers) < len(labels):
        number, text = (labels[next(label for label in labels if (label in numbers) == kind)] for kind in (True, False))
        got = f"'{shortened(text.label)}' in {text.place} beside {number.label} in {number.place}"
        raise fail("label", "a whole number in every row, or a class name in every row", got, "fix or drop that row")
    if not numbers:
        return {label: label for label in labels}, tuple(sorted(labels))
    largest = max(numbers, key=numbers.__getitem__)
    if numbers[largest] >= MAX_CLASSES:
        got = f"{shortened(largest)} in {labels[largest].place}"
        raise fail("label", f"whole numbers below {MAX_CLASSES:,}", got, "number the classes from 0")
    return {label: str(number) for label, number in numbers.items()}, tuple(map(str, range(numbers[largest] + 1)))


def _order(label: str) -> tuple[int, str]:
    return (int(label), "") if label.isdecimal() else (0, label)
