"""Loading a data set from its specification: the digits, files, folders, and data sets on the Hugging Face Hub."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import InputError, fail
from softtargets._storage import user_path
from softtargets.data import _content
from softtargets.data._content import Content
from softtargets.data._files import Files, missing
from softtargets.data._hub import Hub
from softtargets.data._images import image_columns, image_parts, read_images
from softtargets.data._labels import read_labels
from softtargets.data._layouts import find_data
from softtargets.data._numbers import read_features
from softtargets.data._splits import missing_class, no_training_example, split_unlabelled
from softtargets.data._subsets import of_classes
from softtargets.data._tables import Part, read_tables
from softtargets.data._texts import count_words, find_text, read_texts
from softtargets.data._tokenized import tokenized, with_tokenizer
from softtargets.data._unlabelled import unlabelled_files, unlabelled_parts, with_unlabelled
from softtargets.data._votes import read_voted_labels, with_vote_columns
from softtargets.data._votes_file import with_votes_file
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.encoded import EncodedImages
from softtargets.data.settings import Normalization
from softtargets.data.side_files import fingerprint_of
from softtargets.data.spec import DataSpec
from softtargets.data.stream import StreamedImages
from softtargets.data.views import View

# The mean and the standard deviation of the training images of ImageNet, which pretrained networks were trained with.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_TESTED = {"train": "train", "validation": "test"}
# The data sets that `load_cached` holds, the last one used last.
_HELD: dict[tuple[DataSpec, str], Dataset] = {}
_MOST_HELD = 2
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
    source = _source(spec)
    identity = _identity(source, spec)
    whole = _decoded(source, identity, spec, cache)
    voted = whole if spec.votes_file is None else with_votes_file(whole, spec)
    content = voted if spec.classes is None else of_classes(voted, spec)
    splits, labelled, hidden = split_unlabelled(content, spec)
    data = Dataset(
        source.name,
        _with_votes_file(identity if isinstance(source, Files) else whole.fingerprint(), spec),
        _seen(content.inputs, spec, cache),
        content.labels,
        content.class_names,
        splits,
        content.origin,
        content.texts,
        labelled=labelled,
        votes=content.votes,
        hidden=hidden,
        chosen_classes=spec.classes is not None,
        workers=spec.workers,
        columns=content.columns,
        view=content.view,
    )
    if spec.target is None:
        _check_classes(data, spec)
    if spec.tokenizer is not None:
        return tokenized(data, content, spec, cache)
    if spec.normalization is None:
        return data
    return replace(data, given_normalization=_normalization(spec.normalization, data))


def fingerprint(spec: DataSpec, *, cache: Path | None = None) -> str:
    """Return the SHA-256 (hex) of a data set's content, which does not change when it is moved or renamed.

    It covers the bytes of files, and the paths inside a folder of images; for the digits and hub data sets it covers
    the decoded inputs and labels, which `cache` saves decoding again. Splits are not covered, since the specification
    defines them; nor is a tokenizer that is trained on the data, but a pretrained one is.
    """
    source = _source(spec)
    identity = _identity(source, spec)
    found = identity if isinstance(source, Files) else _decoded(source, identity, spec, cache).fingerprint()
    return with_tokenizer(_with_votes_file(found, spec), spec)


def _with_votes_file(found: str, spec: DataSpec) -> str:
    """Return the hash of a data set's content together with that of the file of its votes."""
    if spec.votes_file is None:
        return found
    added = fingerprint_of({"votes_file": spec.votes_file})
    return hashlib.sha256(f"{found} votes {added}".encode()).hexdigest()


def image_paths(spec: DataSpec) -> tuple[str, ...] | None:
    """Return the absolute path of every image, in the order of the rows; None if images are not files of their own."""
    source = _source(spec)
    if not isinstance(source, Files) or not source.holds_images:
        return None
    splits, more = dict.fromkeys(file.split for file in source.files), unlabelled_files(spec)
    files = [file for split in splits for file in source.files if file.split == split]
    return tuple(str(file.path.absolute()) for file in (*files, *(more.files if more else ())))


@dataclass(frozen=True)
class _Digits:
    name: str = "digits"

    def identity(self) -> str:
        return self.name


_Source = _Digits | Files | Hub


def _source(spec: DataSpec) -> _Source:
    name = spec.name
    if name == "digits":
        return _Digits()
    path = user_path("name", name)
    return find_data(path, spec) if path.exists() else hub(name)


def _identity(source: _Source, spec: DataSpec) -> str:
    return with_unlabelled(source.identity(), unlabelled_files(spec))


def hub(name: str) -> Hub:
    """Return the data set of this name on the Hub.

    Raises:
        InputError: if it cannot be such a name.
    """
    if _HUB_NAME.fullmatch(name) and Path(name).suffix.lower() not in (".parquet", ".csv"):
        return Hub(name)
    raise missing(name)


def _decoded(source: _Source, identity: str, spec: DataSpec, cache: Path | None) -> Content:
    more = unlabelled_files(spec)
    # the paths of a second folder of images are kept
    place = "" if more is None or not more.holds_images else f" {more.files[0].path.absolute()}"
    key = _content.key(identity + place, spec)
    packed = None if cache is None else _content.packed_images(cache, identity, spec)
    folder = source.files[0].folder if isinstance(source, Files) and source.holds_images else None
    content = None if cache is None else _content.restore(cache, key, folder or packed)
    if content is None:
        content = _digits(spec) if isinstance(source, _Digits) else _assembled(_parts(source, spec), spec, packed)
        if cache is not None:
            _content.store(cache, key, content)
    return content


def _parts(source: Files | Hub, spec: DataSpec) -> list[Part]:
    if isinstance(source, Hub):
        parts = source.parts(spec)
    else:
        parts = image_parts(source, spec) if source.holds_images else read_tables(source, spec)
        parts = parts if source.table is None else with_vote_columns(parts, source.table, spec)
    more = unlabelled_files(spec)
    added = [] if more is None else unlabelled_parts(more, parts[0])
    if not spec.validation_as_test:
        return [*parts, *added]
    if all(part.split != "validation" for part in parts):
        required = "left out for a data set without a validation split of its own"
        raise fail("validation_as_test", required, True, "remove it")
    # a test split whose labels are not published is dropped unread
    return [*(replace(part, split=_TESTED[part.split]) for part in parts if part.split != "test"), *added]


def _assembled(parts: list[Part], spec: DataSpec, packed: Path | None) -> Content:
    # labels first, so that an error in them is reported before 60,000 images are decoded
    rows = torch.tensor([len(part.table) for part in parts])
    origin = torch.tensor([SPLITS.index(part.split) for part in parts], dtype=torch.uint8).repeat_interleave(rows)
    files = tuple((part.file, len(part.table)) for part in parts)
    if spec.target is not None:
        return _written(parts, origin, files)
    found = read_voted_labels(parts, spec) if parts[0].columns.votes else read_labels(parts, spec)
    columns = find_text(parts, spec)
    texts = view = None
    if columns.text:
        texts = read_texts(parts, columns.text)
        inputs = count_words(texts) if spec.tokenizer is None else torch.empty(len(texts), 0, dtype=torch.uint8)
    elif spec.tokenizer is not None:
        got = f"the columns {', '.join(columns.names)} in {parts[0].file}"
        raise fail("text", "a column of texts, which tokenizer is given for", got, "name it with text")
    elif columns.image:
        inputs, view = read_images(parts, spec, packed)
    else:
        inputs = read_features(parts, columns.features)
    if not columns.image:
        _refuse_image_settings(spec)
    named = (columns.text,) if columns.text else columns.features
    settings = {"labelled": found.labelled, "columns": named, "view": view, "files": files, "votes": found.votes}
    return Content(inputs, found.labels, origin, found.class_names, texts, **settings)


def _written(parts: list[Part], origin: Tensor, files: tuple[tuple[str, int], ...]) -> Content:
    """Return sentence pairs, or the texts of a language model."""
    names = parts[0].columns.written
    roles = ("source", "target") if len(names) == 2 else ("target",)
    texts = [read_texts(parts, name, role) for name, role in zip(names, roles, strict=True)]
    inputs, labels = torch.empty(len(origin), 0, dtype=torch.uint8), torch.zeros(len(origin), dtype=torch.int64)
    outputs = texts[1] if len(texts) == 2 else None
    return Content(inputs, labels, origin, (), texts[0], columns=names, output_texts=outputs, files=files)


def _refuse_image_settings(spec: DataSpec) -> None:
    for name in ("size", "stream", "normalization"):
        if getattr(spec, name) is not None:
            raise fail(name, f"left out for data without images ('{spec.name}')", getattr(spec, name), "remove it")


def _seen(inputs: Tensor | EncodedImages, spec: DataSpec, cache: Path | None) -> Tensor | StreamedImages:
    """Return what a data set holds: images that are streamed with the view that the specification asks for."""
    if isinstance(inputs, Tensor):
        return inputs
    return StreamedImages(inputs, View.of(spec, inputs.channels, inputs.one_size), spec.workers, cache)


def _check_classes(data: Dataset, spec: DataSpec) -> None:
    """Require a labelled training row of every class, or a training row with a vote for it."""
    # all folds together, since a rare class may be missing from one of them by chance
    learned = data.labelled_train
    learned = learned if spec.fold is None else torch.cat([learned, data.splits["validation"]])
    labels = data.labels[learned] if data.votes is None else data.votes[learned].sum(0).nonzero().flatten()
    absent = missing_class(labels, data.class_names)
    if absent is not None:
        limited = spec.limit is not None and spec.limit.train is not None
        remedy = "raise limit.train" if limited else "add examples of it, or leave the class out"
        raise no_training_example(absent, data.class_names[absent], f"'{spec.name}'", remedy)


def _normalization(given: str | Normalization, data: Dataset) -> tuple[Tensor, Tensor]:
    mean, std = _IMAGENET if isinstance(given, str) else (given.mean, given.std)
    if len(mean) != data.input_shape[0]:
        required = f"{data.input_shape[0]} channels, as the images of '{data.name}' have"
        raise fail("normalization", required, f"{len(mean)}", "give a mean and a std for each channel")
    return torch.tensor(mean), torch.tensor(std)


def _digits(spec: DataSpec) -> Content:
    from sklearn.datasets import load_digits

    image_columns(spec, "digits")
    for name in ("size", "test_size", "resize"):
        if getattr(spec, name) not in (None, 8):
            raise fail(name, "left out for the digits, which are 8x8", getattr(spec, name), "remove it")
    for name in ("stream", "validation_as_test", "unlabelled_file"):
        if getattr(spec, name):
            raise fail(name, "left out for the digits, which are embedded", getattr(spec, name), "remove it")
    if spec.num_classes not in (None, 10):
        raise fail("num_classes", "10, the number of digits", spec.num_classes, "leave it out")
    values, target = load_digits(return_X_y=True)
    # grey values are 0 to 16
    inputs = (torch.tensor(values) * 255 / 16).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.tensor(target, dtype=torch.int64)
    origin = torch.zeros(len(labels), dtype=torch.uint8)
    return Content(inputs, labels, origin, tuple(str(digit) for digit in range(10)))


def load_cached(spec: DataSpec, cache: str) -> Dataset:
    """Load a data set; this process holds the last two."""
    dataset = _HELD.pop((spec, cache), None)
    _HELD[spec, cache] = dataset or load(spec, cache=Path(cache))
    for oldest in list(_HELD)[:-_MOST_HELD]:
        del _HELD[oldest]
    return _HELD[spec, cache]


def forget_changed() -> None:
    """Forget the data sets that `load_cached` holds and whose files have changed; a job begins with it."""
    for (spec, cache), dataset in list(_HELD.items()):
        try:
            same = dataset.fingerprint == fingerprint(spec, cache=Path(cache))
        except InputError:  # the files are gone
            same = False
        if not same:
            del _HELD[spec, cache]
