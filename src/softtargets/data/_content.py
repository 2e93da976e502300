"""Decoded data, before it is split, and its cache."""

import contextlib
import hashlib
import json
import os
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from softtargets.data.spec import DataSpec

# Raise when the decoding changes, so that what was decoded before is not read.
_FORMAT = 2


@dataclass(frozen=True, eq=False)
class Content:
    """inputs (N, C, H, W) uint8 or (N, D) float64; labels (N,) int64; origin (N,) uint8, index into SPLITS."""

    inputs: Tensor
    labels: Tensor
    origin: Tensor
    class_names: tuple[str, ...]

    def fingerprint(self) -> str:
        """SHA-256 of every value, type, shape and name."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for tensor in (self.inputs, self.labels, self.origin):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(_bytes(tensor))
        return digest.hexdigest()


def key(source: str, spec: DataSpec) -> str:
    """Name what decoding `source` under `spec` gives: only what changes it is in the name."""
    chosen = [_FORMAT, source, spec.label, spec.image, spec.features, spec.num_classes]
    return hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:32]


def store(cache: Path, name: str, content: Content) -> None:
    """Write `content` beside its place and move it there; where that is not possible, do without."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {"inputs": content.inputs, "labels": content.labels, "origin": content.origin}
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
    """Read what :func:`store` wrote; None where it is not there or not whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_path(cache, name), framework="pt") as file:
            tensors = {part: file.get_tensor(part) for part in ("inputs", "labels", "origin")}
            metadata = file.metadata() or {}
        if metadata.get("checksum") != _checksum(tensors):
            return None
        return Content(**tensors, class_names=tuple(json.loads(metadata["class_names"])))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _path(cache: Path, name: str) -> Path:
    return cache / f"{name}.safetensors"


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().data


def _checksum(tensors: dict[str, Tensor]) -> str:
    return " ".join(f"{zlib.crc32(_bytes(tensors[name])):08x}" for name in sorted(tensors))
