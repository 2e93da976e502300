"""Encoded images outside memory: one file for each, or ranges of bytes of one file."""

import os
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Strings:
    """Many texts in two tensors: of a million paths, a list would take ten times the memory.

    Args:
        text: (bytes,) uint8, all texts joined as UTF-8.
        ends: (N,) int64, the end of each.
    """

    text: Tensor
    ends: Tensor

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Join texts."""
        joined, ends = bytearray(), []
        for text in texts:
            joined += text.encode()
            ends.append(len(joined))
        # frombuffer refuses an empty buffer
        text = torch.frombuffer(joined, dtype=torch.uint8) if joined else torch.zeros(0, dtype=torch.uint8)
        return cls(text, torch.tensor(ends, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> str:
        start = int(self.ends[row - 1]) if row else 0
        return self.text[start : int(self.ends[row])].numpy().tobytes().decode()

    def all(self) -> tuple[str, ...]:
        """Return the texts."""
        whole, places = self.text.numpy().tobytes(), [0, *self.ends.tolist()]
        return tuple(whole[start:end].decode() for start, end in pairwise(places))


class TemporaryImages:
    """A temporary file of encoded images, which is deleted with this object."""

    def __init__(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix="softtargets-", suffix=".images")
        os.close(descriptor)
        self.path = Path(name)
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, process: int) -> None:
    # a forked process has a copy of the object, and not the right to delete the file
    if os.getpid() == process:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images that are read and decoded one at a time.

    Args:
        path: the folder that `names` are inside, or the file of the `ranges`.
        names: the path of each image inside the folder, or the name of its data file and its row in it.
        ranges: (N, 2) int64, the first byte of each image in the file and the number of its bytes; None: a file each.
        headers: (N, 3) int32, the channels (1 or 3), the height and the width of each image.
        holder: what keeps a temporary file; None for a file that stays.
    """

    path: Path
    names: Strings
    ranges: Tensor | None
    headers: Tensor
    holder: TemporaryImages | None = None

    def __len__(self) -> int:
        return len(self.headers)

    @property
    def channels(self) -> int:
        """1 if all images are grey, else 3."""
        return int(self.headers[:, 0].max())

    @property
    def one_size(self) -> tuple[int, int] | None:
        """(height, width) if all images have the same, else None."""
        first = self.headers[0, 1:]
        return (int(first[0]), int(first[1])) if bool((self.headers[:, 1:] == first).all()) else None

    def read(self, row: int) -> bytes | str:
        """Return the bytes of an image, or its path."""
        if self.ranges is None:
            return os.path.join(self.path, self.names[row])
        start, length = self.ranges[row].tolist()
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def kept(self, rows: Tensor) -> Self:
        """Return some of the images, in this order."""
        names = Strings.of(self.names[row] for row in rows.tolist())
        ranges = None if self.ranges is None else self.ranges[rows]
        return replace(self, names=names, ranges=ranges, headers=self.headers[rows])
