"""Named tensors in a file that any reader of safetensors opens, written and memory-mapped without that library.

8 bytes       length of the header, little-endian
header        JSON: {"name": {"dtype": "F16", "shape": [...], "data_offsets": [start, end]}, ...}
the rest      the tensors one after the other, little-endian
"""

import ctypes
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import open_regular

# name of a tensor -> dtype and shape; the widest dtypes come first, so that every tensor is aligned
Layout = dict[str, tuple[torch.dtype, tuple[int, ...]]]

DTYPES = {
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.float32: "F32",
    torch.float16: "F16",
}
OF_NAME = {name: dtype for dtype, name in DTYPES.items()}
ALIGNMENT = 8
# A header of this package has one entry for each of about ten tensors.
MOST_HEADER_BYTES = 2**16


def header(layout: Layout) -> bytes:
    """Return the bytes before the tensors, padded with spaces so that the tensors are aligned."""
    entries: dict[str, Any] = {}
    start = 0
    for name, (dtype, shape) in layout.items():
        end = start + dtype.itemsize * math.prod(shape)
        entries[name] = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def file_bytes(layout: Layout) -> int:
    """Return the size of a file."""
    return len(header(layout)) + sum(dtype.itemsize * math.prod(shape) for dtype, shape in layout.values())


def encoded(columns: Mapping[str, Tensor]) -> Iterator[bytes]:
    """Yield tensors as the bytes of a file."""
    ordered = {name: columns[name].contiguous() for name in in_order({n: t.dtype for n, t in columns.items()})}
    yield header({name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in ordered.items()})
    for tensor in ordered.values():
        yield ctypes.string_at(tensor.data_ptr(), tensor.nbytes)  # not through numpy, which torch does not need


def in_order(dtypes: Mapping[str, torch.dtype]) -> list[str]:
    """Return the names in the order of a file: the widest dtype first, then the order given."""
    return sorted(dtypes, key=lambda name: -dtypes[name].itemsize)


def read_layout(path: Path, remedy: str) -> Layout:
    """Return the names, dtypes and shapes of a file that :func:`encoded` wrote.

    Args:
        path: of the file.
        remedy: what to do if the file is damaged, for the error.

    Raises:
        ValueError: if the header is not one that :func:`header` writes, or the size of the file differs.
    """
    try:
        with open_regular(path) as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if length <= MOST_HEADER_BYTES else b""
            size = path.stat().st_size
    except FileNotFoundError:
        raise fail(str(path), "a file of the teacher cache", "no such file", remedy) from None
    try:
        entries = json.loads(text)
        layout: Layout = {n: (OF_NAME[e["dtype"]], tuple(int(s) for s in e["shape"])) for n, e in entries.items()}
        same = header(layout) == length.to_bytes(8, "little") + text
    except (ValueError, KeyError, TypeError, AttributeError):
        same, layout = False, {}
    if not same:
        raise fail(str(path), "a safetensors file as it was written", "a damaged header", remedy)
    if size != file_bytes(layout):
        got = f"{size}: the file is truncated or belongs to another cache"
        raise fail(str(path), f"{file_bytes(layout)} bytes", got, remedy)
    return layout


def mapped(path: Path, remedy: str) -> dict[str, Tensor]:
    """Return the tensors of a file, memory-mapped; only the pages that are used are read.

    Raises:
        ValueError: as for :func:`read_layout`.
    """
    layout = read_layout(path, remedy)
    whole = torch.from_file(str(path), shared=False, size=file_bytes(layout), dtype=torch.uint8)
    columns: dict[str, Tensor] = {}
    start = len(header(layout))
    for name, (dtype, shape) in layout.items():
        end = start + dtype.itemsize * math.prod(shape)
        columns[name] = whole[start:end].view(dtype).view(shape)
        start = end
    return columns
