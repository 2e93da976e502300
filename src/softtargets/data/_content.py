"""Decoded data before it is split, and its cache."""

import contextlib
import hashlib
import json
import os
import uuid
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from softtargets._storage import open_regular, parse_json
from softtargets.data.spec import DataSpec

# Increase when the decoding changes, so that cached copies of an earlier version are not used.
_FORMAT = 3


@dataclass(frozen=True, eq=False)
class Content:
    """inputs (N, C, H, W) or (N, D), uint8 or float64; labels (N,) int64; origin (N,) uint8, index into SPLITS."""

    inputs: Tensor
    labels: Tensor
    origin: Tensor
    class_names: tuple[str, ...]
    texts: tuple[str, ...] | None = None

    def fingerprint(self) -> str:
        """Return the SHA-256 of every value, type, shape and name."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for tensor in (self.inputs, self.labels, self.origin, *_packed(self.texts).values()):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(_bytes(tensor))
        return digest.hexdigest()


def key(source: str, spec: DataSpec) -> str:
    """Return the cache key of `source` decoded under `spec`; it depends only on what changes the result."""
    chosen = [_FORMAT, source, spec.label, spec.image, spec.text, spec.features, spec.num_classes]
    return hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:32]


def store(cache: Path, name: str, content: Content) -> None:
    """Write `content` to the cache atomically; an error leaves the cache without it."""
    tensors = {"inputs": content.inputs, "labels": content.labels, "origin": content.origin, **_packed(content.texts)}
    metadata = {"class_names": json.dumps(content.class_names), "checksum": _checksum(tensors)}
    part = cache / f".{name}.{os.getpid()}-{uuid.uuid4().hex}.part"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata=metadata)
        os.replace(part, _path(cache, name))
    except (OSError, SafetensorError):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def restore(cache: Path, name: str) -> Content | None:
    """Read what :func:`store` wrote; None if it is absent or damaged."""
    try:
        open_regular(_path(cache, name)).close()
        with safe_open(_path(cache, name), framework="pt") as file:
            names = ["inputs", "labels", "origin", *({"text", "ends"} & set(file.keys()))]
            tensors = {part: file.get_tensor(part) for part in names}
            metadata = file.metadata() or {}
        if metadata.get("checksum") != _checksum(tensors):
            return None
        texts = _unpacked(tensors.pop("text"), tensors.pop("ends")) if "text" in tensors else None
        return Content(**tensors, class_names=tuple(parse_json(metadata["class_names"])), texts=texts)
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _path(cache: Path, name: str) -> Path:
    return cache / f"{name}.safetensors"


def _packed(texts: tuple[str, ...] | None) -> dict[str, Tensor]:
    """Return all texts joined as UTF-8, (bytes,) uint8, and the end of each, (N,) int64."""
    if texts is None:
        return {}
    encoded = [text.encode() for text in texts]
    ends = torch.tensor([len(text) for text in encoded]).cumsum(0)
    return {"text": torch.frombuffer(bytearray(b"".join(encoded)), dtype=torch.uint8), "ends": ends}


def _unpacked(text: Tensor, ends: Tensor) -> tuple[str, ...]:
    whole, places = bytes(_bytes(text)), [0, *ends.tolist()]
    return tuple(whole[start:end].decode() for start, end in pairwise(places))


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().data


def _checksum(tensors: dict[str, Tensor]) -> str:
    return " ".join(f"{zlib.crc32(_bytes(tensors[name])):08x}" for name in sorted(tensors))
