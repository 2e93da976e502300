"""Decoded data before it is split, and its cache."""

import contextlib
import hashlib
import json
import os
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from softtargets._storage import open_regular, parse_json
from softtargets.data.encoded import EncodedImages, Strings
from softtargets.data.spec import DataSpec
from softtargets.data.views import View

# Increase when the decoding changes, so that cached copies of an earlier version are not used.
_FORMAT = 5
# Errors of a file of the cache that is absent or damaged.
CACHE_ERRORS = (OSError, SafetensorError, KeyError, ValueError, TypeError)


@dataclass(frozen=True, eq=False)
class Content:
    """A data set before it is split.

    Args:
        inputs: (N, C, H, W) or (N, D), uint8 or float64; or images that are streamed.
        labels: (N,) int64; 0 for a row without a label.
        origin: (N,) uint8, index into SPLITS.
        class_names: the name of each class.
        texts: the texts, if the inputs are word counts.
        labelled: (N,) bool, False for a row without a label; None if all rows have one.
        columns: the columns of a table's numbers, or of texts.
        view: what images in memory show of their files, if they were resized.
        output_texts: the targets of sentence pairs; their sources are `texts`.
        votes: (N, K) float32, the votes of several annotators or a distribution for each row; None: labels are classes.
        files: the name of each file and its number of rows, in order. Empty: not known.
        numbers: (N,) int64, the rows of all files together that these rows are; None: all.
    """

    inputs: Tensor | EncodedImages
    labels: Tensor
    origin: Tensor
    class_names: tuple[str, ...]
    texts: tuple[str, ...] | None = None
    labelled: Tensor | None = None
    columns: tuple[str, ...] = ()
    view: View | None = None
    output_texts: tuple[str, ...] | None = None
    files: tuple[tuple[str, int], ...] = ()
    numbers: Tensor | None = None
    votes: Tensor | None = None

    def place(self, row: int) -> str:
        """Return where a row of texts is, for an error."""
        number = row if self.numbers is None else int(self.numbers[row])
        for file, count in self.files:
            if number < count:
                return f"{file}, row {number}"
            number -= count
        return f"row {row}"

    def fingerprint(self) -> str:
        """Return the SHA-256 of every value, type, shape and name; of streamed images of their encoded bytes."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        if isinstance(self.inputs, Tensor):
            _update(digest, self.inputs)
        else:
            for row in range(len(self.inputs)):
                data = self.inputs.read(row)
                digest.update(Path(data).read_bytes() if isinstance(data, str) else data)
        texts = (*_packed(self.texts).values(), *_packed(self.output_texts).values())
        for tensor in (self.labels, self.origin, *texts):
            _update(digest, tensor)
        for optional in (self.labelled, self.votes):
            if optional is not None:
                _update(digest, optional)
        return digest.hexdigest()


def _update(digest: "hashlib._Hash", tensor: Tensor) -> None:
    digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    digest.update(_bytes(tensor))


def key(source: str, spec: DataSpec) -> str:
    """Return the cache key of `source` decoded under `spec`; it depends only on what changes the result."""
    chosen = [_FORMAT, source, spec.label, spec.image, spec.text, spec.features, spec.num_classes]
    chosen += [
        spec.stream,
        spec.size,
        spec.test_size,
        spec.resize,
        spec.unlabelled is not None,
        spec.validation_as_test,
        spec.tokenizer is not None,
        spec.source,
        spec.target,
    ]
    if spec.has_votes and spec.votes_file is None:
        chosen += [spec.votes, spec.annotators]
    return hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:32]


def packed_images(cache: Path, source: str, spec: DataSpec) -> Path:
    """Return the file that the encoded images of a column of `source` are copied into."""
    chosen = json.dumps([_FORMAT, source, spec.image])
    return cache / f"{hashlib.sha256(chosen.encode()).hexdigest()[:32]}.images"


def store(cache: Path, name: str, content: Content) -> None:
    """Write `content` to the cache atomically; an error leaves the cache without it."""
    tensors = {"labels": content.labels, "origin": content.origin, **_packed(content.texts), **_of_inputs(content)}
    tensors |= _packed(content.output_texts, "output_")
    if content.labelled is not None:
        tensors["labelled"] = content.labelled
    if content.votes is not None:
        tensors["votes"] = content.votes
    metadata = {
        "class_names": json.dumps(content.class_names),
        "columns": json.dumps(content.columns),
        "view": json.dumps(None if content.view is None else content.view.to_dict()),
        "files": json.dumps(content.files),
    }
    store_tensors(cache, name, tensors, metadata)


def store_tensors(cache: Path, name: str, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and texts to the cache atomically; an error leaves the cache without them."""
    metadata = {**metadata, "checksum": _checksum(tensors)}
    part = cache / f".{name}.{os.getpid()}-{uuid.uuid4().hex}.part"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata=metadata)
        os.replace(part, _path(cache, name))
    except (OSError, SafetensorError):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def restore(cache: Path, name: str, images: Path | None) -> Content | None:
    """Read what :func:`store` wrote; None if it is absent or damaged.

    Args:
        cache: the folder of the cache.
        name: the key.
        images: the folder that images are inside, if each is a file, or the file of encoded images.
    """
    try:
        tensors, metadata = restore_tensors(cache, name)
        texts, output_texts = (_unpacked(tensors, prefix) for prefix in ("", "output_"))
        if "headers" in tensors:
            inputs = _encoded(tensors, images)
        else:
            inputs = tensors.pop("inputs")
        names, columns = (tuple(parse_json(metadata[name])) for name in ("class_names", "columns"))
        seen = parse_json(metadata["view"])
        view = None if seen is None else View.from_dict(seen)
        files = tuple((file, count) for file, count in parse_json(metadata["files"]))
        named = {"class_names": names, "columns": columns, "view": view, "files": files}
        return Content(inputs, **tensors, texts=texts, output_texts=output_texts, **named)
    except CACHE_ERRORS:
        return None


def restore_tensors(cache: Path, name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`store_tensors` wrote. Raises `CACHE_ERRORS` if it is absent or damaged."""
    open_regular(_path(cache, name)).close()
    with safe_open(_path(cache, name), framework="pt") as file:
        tensors = {part: file.get_tensor(part) for part in file.keys()}  # noqa: SIM118 (not a mapping)
        metadata = file.metadata() or {}
    if metadata.get("checksum") != _checksum(tensors):
        raise ValueError("another checksum")
    return tensors, metadata


def _of_inputs(content: Content) -> dict[str, Tensor]:
    inputs = content.inputs
    if isinstance(inputs, Tensor):
        return {"inputs": inputs}
    ranges = {} if inputs.ranges is None else {"ranges": inputs.ranges}
    return {"headers": inputs.headers, "names": inputs.names.text, "name_ends": inputs.names.ends, **ranges}


def _encoded(tensors: dict[str, Tensor], images: Path | None) -> EncodedImages:
    names = Strings(tensors.pop("names"), tensors.pop("name_ends"))
    headers, ranges = tensors.pop("headers"), tensors.pop("ranges", None)
    if images is None or (ranges is not None and images.stat().st_size != int(ranges[:, 1].sum())):
        raise ValueError("no encoded images of this size")
    return EncodedImages(images, names, ranges, headers)


def _path(cache: Path, name: str) -> Path:
    return cache / f"{name}.safetensors"


def _packed(texts: tuple[str, ...] | None, prefix: str = "") -> dict[str, Tensor]:
    """Return all texts joined as UTF-8, (bytes,) uint8, and the end of each, (N,) int64."""
    if texts is None:
        return {}
    strings = Strings.of(texts)
    return {f"{prefix}text": strings.text, f"{prefix}ends": strings.ends}


def _unpacked(tensors: dict[str, Tensor], prefix: str) -> tuple[str, ...] | None:
    """Take the texts out of what was read."""
    if f"{prefix}text" not in tensors:
        return None
    return Strings(tensors.pop(f"{prefix}text"), tensors.pop(f"{prefix}ends")).all()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().data


def _checksum(tensors: dict[str, Tensor]) -> str:
    return " ".join(f"{zlib.crc32(_bytes(tensors[name])):08x}" for name in sorted(tensors))
