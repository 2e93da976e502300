"""Arrays in .npz and .safetensors files. Nothing is unpickled."""

import math
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import parse_json, shown_bytes
from softtargets.data.arrays.file import ARGUMENT, CHUNK_BYTES, OBJECTS, ArrayFile, Wanted, reading, spans
from softtargets.data.limits import MAX_WHOLE_BYTES

# NumPy refuses headers above this size too, but reads them first.
_HEADER_BYTES = 10_000


@dataclass(frozen=True)
class _Header:
    """The header of one array in an .npz file."""

    info: zipfile.ZipInfo
    start: int
    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype

    @property
    def is_stored(self) -> bool:
        return self.info.compress_type == zipfile.ZIP_STORED


class NpzFile(ArrayFile):
    """An .npz file. Its checksums are compared when its rows have been read to the end."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            super().__init__(path, (name.removesuffix(".npy") for name in archive.namelist()))

    def shape(self, wanted: Wanted) -> tuple[int | None, ...]:
        with reading(self.path):
            return self._header(wanted).shape

    def blocks(self, wanted: Sequence[Wanted], rows: int) -> Iterator[tuple[Tensor, ...]]:
        with reading(self.path):
            yield from zip(*(self._rows(self._header(array), rows, array.axes) for array in wanted), strict=True)

    def mapped(self, wanted: Wanted) -> Tensor | None:
        with reading(self.path):
            header = self._header(wanted)
            return _tensor(self._map(header)) if header.is_stored and header.dtype.isnative else None

    def class_names(self, name: str) -> tuple[str, ...] | None:
        """Return the texts in the array "class_names", or None if there is no such array of texts."""
        if "class_names" not in self.names:
            return None
        with reading(self.path), zipfile.ZipFile(self.path) as archive:
            info = archive.getinfo("class_names.npy")
            if info.file_size > MAX_WHOLE_BYTES:
                return None
            with archive.open(info) as stream:
                names = np.lib.format.read_array(stream, allow_pickle=False)
        return tuple(map(str, names.tolist())) if names.dtype.kind == "U" and names.ndim == 1 else None

    def note(self, wanted: Wanted) -> str | None:
        with reading(self.path):
            header = self._header(wanted)
        if header.is_stored or not header.columns_first:
            return None
        return (
            f"'{wanted.columns[0]}' in {self.path} is compressed in column-major order, so all of it is held in memory"
        )

    def _header(self, wanted: Wanted) -> _Header:
        (name,) = wanted.columns
        with zipfile.ZipFile(self.path) as archive:
            info = archive.getinfo(f"{name}.npy")
            with archive.open(info) as stream:
                version = np.lib.format.read_magic(stream)
                field = "<H" if version == (1, 0) else "<I"
                (length,) = struct.unpack(field, stream.read(struct.calcsize(field)))
            if length > _HEADER_BYTES:
                raise ValueError(f"a header of {shown_bytes(length)}; the limit is {shown_bytes(_HEADER_BYTES)}")
            with archive.open(info) as stream:
                np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, columns_first, dtype = read(stream)
                start = stream.tell()
        if dtype.hasobject:
            raise ValueError(OBJECTS)
        if dtype.kind not in "biuf":
            raise fail(ARGUMENT, "numbers", f"{dtype} as '{name}' in {self.path}", "save class indices and numbers")
        held, promised = info.file_size - start, math.prod(shape) * dtype.itemsize
        if held != promised:
            raise ValueError(f"{held} bytes of '{name}', but its header says {promised}")
        if columns_first and info.compress_type != zipfile.ZIP_STORED and promised > MAX_WHOLE_BYTES:
            # the values of a row are spread over all of it, which cannot be read in blocks
            required = f"at most {shown_bytes(MAX_WHOLE_BYTES)} of a compressed array in column-major order"
            got = f"{shown_bytes(promised)} as '{name}' in {self.path}"
            raise fail(ARGUMENT, required, got, "save numpy.ascontiguousarray of it, or save it with numpy.savez")
        return _Header(info, start, shape, columns_first, dtype)

    def _rows(self, header: _Header, rows: int, axes: int) -> Iterator[Tensor]:
        # the same blocks whatever the order in memory, since arrays are read side by side
        blocks, of_row = list(spans(header.shape[:axes], rows)), header.shape[axes:]
        sizes = [_rows_of(header.shape[:axes], span) for span in blocks]
        with zipfile.ZipFile(self.path) as archive, archive.open(header.info) as stream:
            if not header.columns_first:
                stream.seek(header.start)
                for size in sizes:
                    block = np.empty((size, *of_row), header.dtype)
                    _fill(stream, block)
                    yield _tensor(block)
            elif not header.is_stored:
                whole = _tensor(np.lib.format.read_array(stream, allow_pickle=False))
                yield from whole.reshape(-1, *of_row).split(sizes)
            # reading to the end compares the archive's checksum, also for an array that is mapped
            while stream.read(CHUNK_BYTES):
                pass
        if header.columns_first and header.is_stored:
            for span in blocks:
                # mapped anew for each block, which releases the memory of the last one
                yield _tensor(np.ascontiguousarray(self._map(header)[span])).reshape(-1, *of_row)

    def _map(self, header: _Header) -> np.ndarray:
        with self.path.open("rb") as stream:
            stream.seek(header.info.header_offset + 26)
            start = header.info.header_offset + 30 + sum(struct.unpack("<HH", stream.read(4))) + header.start
        # copy-on-write: pages are read on access, and changes never reach the file
        return np.memmap(self.path, header.dtype, "c", start, header.shape, "F" if header.columns_first else "C")


def _rows_of(shape: tuple[int, ...], span: tuple[slice, ...]) -> int:
    """Return the number of rows of a block of an array whose leading axes have this shape."""
    whole = (*span, *[slice(None)] * (len(shape) - len(span)))
    return math.prod(len(range(size)[part]) for part, size in zip(whole, shape, strict=True))


def _fill(stream: IO[bytes], block: np.ndarray) -> None:
    """Read an array in pieces, since a compressed stream copies each piece more than once."""
    view = block.reshape(-1).view(np.uint8).data
    filled = 0
    while filled < len(view):
        piece = stream.read(min(CHUNK_BYTES, len(view) - filled))
        if not piece:
            raise EOFError("the file ends before its last row")
        view[filled : filled + len(piece)] = piece
        filled += len(piece)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))


class SafetensorsFile(ArrayFile):
    """A .safetensors file."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            super().__init__(path, file.keys())

    def class_names(self, name: str) -> tuple[str, ...] | None:
        """Return the JSON list "class_names" of the metadata, or None if there is none."""
        with reading(self.path), safe_open(self.path, framework="pt") as file:
            written = (file.metadata() or {}).get("class_names")
            names = None if written is None else parse_json(written)
        return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else None

    def shape(self, wanted: Wanted) -> tuple[int | None, ...]:
        with reading(self.path), safe_open(self.path, framework="pt") as file:
            return tuple(file.get_slice(wanted.columns[0]).get_shape())

    def blocks(self, wanted: Sequence[Wanted], rows: int) -> Iterator[tuple[Tensor, ...]]:
        axes = wanted[0].axes
        for span in spans([size or 0 for size in self.shape(wanted[0])[:axes]], rows):
            # opened anew for each block, which releases the memory of the last one
            with reading(self.path), safe_open(self.path, framework="pt") as file:
                parts = [file.get_slice(array.columns[0])[span] for array in wanted]
            yield tuple(part.reshape(-1, *part.shape[axes:]) for part in parts)

    def mapped(self, wanted: Wanted) -> Tensor | None:
        with reading(self.path), safe_open(self.path, framework="pt") as file:
            return file.get_tensor(wanted.columns[0])
