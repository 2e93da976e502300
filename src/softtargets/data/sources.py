"""Loading a data set from its specification: the digits, files, folders, and data sets on the Hugging Face Hub."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from softtargets._errors import fail
from softtargets._storage import user_path
from softtargets.data import _content
from softtargets.data._content import Content
from softtargets.data._files import Files, find, missing
from softtargets.data._hub import Hub
from softtargets.data._images import decode, image_columns, image_parts
from softtargets.data._labels import read_labels
from softtargets.data._numbers import read_features
from softtargets.data._splits import missing_class, no_training_example, split
from softtargets.data._tables import Part, read_tables
from softtargets.data._texts import count_words, find_text, read_texts
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.spec import DataSpec

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def load(spec: DataSpec, *, cache: Path | None = None) -> Dataset:
    """Read a data set, decode it and divide it into train, validation and test.

    Splits that the data set already has are kept. The others are stratified samples of the training rows: first test,
    then validation, then the limits, all drawn with the specification's `split_seed`. With a fold, validation is that
    fold.

    Args:
        spec: The data set, its columns and its splits.
        cache: A folder for decoded data. A cached copy is used only if it was decoded from the same content; if it is
            damaged or cannot be written, the data are decoded again.

    Raises:
        InputError: no such data set or column; a label that is missing, not a class or out of range; a number, a text
            or an image that cannot be read; images of several sizes; a class without a training example; a share that
            leaves too little to train on; more data than fit into memory. Errors name the file and the row, counted
            from 0.

    Example:
        >>> digits = load(DataSpec(name="digits"))
        >>> digits.input_shape, digits.num_classes, {name: len(rows) for name, rows in digits.splits.items()}
        ((1, 8, 8), 10, {'train': 1150, 'validation': 288, 'test': 359})
    """
    source = _source(spec.name)
    identity = source.identity()
    content = _decoded(source, identity, spec, cache)
    splits = split(content.labels, content.origin, spec)
    # all folds together, since a rare class may be missing from one of them by chance
    learned = splits["train"] if spec.fold is None else torch.cat([splits["train"], splits["validation"]])
    absent = missing_class(content.labels[learned], content.class_names)
    if absent is not None:
        limited = spec.limit is not None and spec.limit.train is not None
        remedy = "raise limit.train" if limited else "add examples of it, or leave the class out"
        raise no_training_example(absent, content.class_names[absent], f"'{spec.name}'", remedy)
    fingerprint = identity if isinstance(source, Files) else content.fingerprint()
    return Dataset(
        source.name,
        fingerprint,
        content.inputs,
        content.labels,
        content.class_names,
        splits,
        content.origin,
        content.texts,
    )


def fingerprint(spec: DataSpec, *, cache: Path | None = None) -> str:
    """Return the SHA-256 (hex) of a data set's content, which does not change when it is moved or renamed.

    It covers the bytes of files, and the paths inside a folder of images; for the digits and hub data sets it covers
    the decoded inputs and labels, which `cache` saves decoding again. Splits are not covered, since the specification
    defines them.
    """
    source = _source(spec.name)
    identity = source.identity()
    return identity if isinstance(source, Files) else _decoded(source, identity, spec, cache).fingerprint()


@dataclass(frozen=True)
class _Digits:
    name: str = "digits"

    def identity(self) -> str:
        return self.name


_Source = _Digits | Files | Hub


def _source(name: str) -> _Source:
    if name == "digits":
        return _Digits()
    path = user_path("name", name)
    if path.exists():
        return find(path)
    if _HUB_NAME.fullmatch(name) and path.suffix.lower() not in (".parquet", ".csv"):
        return Hub(name)
    raise missing(name)


def _decoded(source: _Source, identity: str, spec: DataSpec, cache: Path | None) -> Content:
    key = _content.key(identity, spec)
    content = None if cache is None else _content.restore(cache, key)
    if content is None:
        content = _digits(spec) if isinstance(source, _Digits) else _assembled(_parts(source, spec), spec)
        if cache is not None:
            _content.store(cache, key, content)
    return content


def _parts(source: Files | Hub, spec: DataSpec) -> list[Part]:
    if isinstance(source, Hub):
        return source.parts(spec)
    return image_parts(source, spec) if source.kind == "images" else read_tables(source, spec)


def _assembled(parts: list[Part], spec: DataSpec) -> Content:
    # labels first, so that an error in them is reported before 60,000 images are decoded
    labels, class_names = read_labels(parts, spec.label, spec.num_classes)
    columns = find_text(parts, spec)
    texts = None
    if columns.text:
        texts = read_texts(parts, columns.text)
        inputs = count_words(texts)
    else:
        inputs = decode(parts, columns.image) if columns.image else read_features(parts, columns.features)
    rows = torch.tensor([len(part.table) for part in parts])
    origin = torch.tensor([SPLITS.index(part.split) for part in parts], dtype=torch.uint8).repeat_interleave(rows)
    return Content(inputs, labels, origin, class_names, texts)


def _digits(spec: DataSpec) -> Content:
    from sklearn.datasets import load_digits

    image_columns(spec, "digits")
    if spec.num_classes not in (None, 10):
        raise fail("num_classes", "10, the number of digits", spec.num_classes, "leave it out")
    values, target = load_digits(return_X_y=True)
    # grey values are 0 to 16
    inputs = (torch.tensor(values) * 255 / 16).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.tensor(target, dtype=torch.int64)
    origin = torch.zeros(len(labels), dtype=torch.uint8)
    return Content(inputs, labels, origin, tuple(str(digit) for digit in range(10)))


@functools.lru_cache(maxsize=2)
def load_cached(spec: DataSpec, cache: str) -> Dataset:
    """Load a data set once per process."""
    return load(spec, cache=Path(cache))
