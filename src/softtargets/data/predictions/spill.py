"""A tensor that is filled row by row: in memory if it is small, in a memory-mapped temporary file if it is not."""

import shutil
import tempfile
from typing import IO

import numpy as np
import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import GIB, shown_bytes
from softtargets.data.arrays.file import ARGUMENT, joined
from softtargets.data.limits import MAX_WHOLE_BYTES

# Rows that are copied at a time.
_COPIED_ROWS = 8192


class RowBuffer:
    """Collects blocks of rows. Above 1 GiB they are moved to a temporary file, which is deleted with the tensor.

    Example:
        >>> buffer = RowBuffer()
        >>> buffer.add(torch.zeros(2, 3))
        >>> buffer.add(torch.ones(1, 3))
        >>> buffer.whole().tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._file: IO[bytes] | None = None
        self._dtype = np.dtype(np.float32)
        self._shape: tuple[int, ...] = ()
        self._rows = self._bytes = 0

    def add(self, block: Tensor) -> None:
        """Append rows; all blocks must have the same shape apart from the number of rows.

        Raises:
            InputError: if the temporary folder has no room for them.
        """
        self._shape = tuple(block.shape[1:])
        if self._file is None:
            self._blocks.append(block)
            self._bytes += block.nbytes
            if self._bytes > MAX_WHOLE_BYTES:
                blocks, self._blocks = self._blocks, []
                self._move(blocks)
        elif block.dtype == torch.float64 and self._dtype == np.float32:
            self._move([*self._mapped(self._file).split(_COPIED_ROWS), block])
        else:
            self._write(block)

    def whole(self) -> Tensor:
        """Return all rows as one tensor; the buffer must not be used afterwards."""
        if self._file is None:
            return joined(self._blocks)
        with self._file as file:  # the mapping outlives it
            return self._mapped(file)

    def _move(self, blocks: list[Tensor]) -> None:
        """Write these blocks to a new file."""
        # shorter types are stored as float32, which holds their values exactly
        wide = any(block.dtype == torch.float64 for block in blocks)
        former, self._file = self._file, tempfile.TemporaryFile()  # noqa: SIM115 (`whole` closes it)
        self._rows, self._dtype = 0, np.dtype(np.float64 if wide else np.float32)
        for block in blocks:
            self._write(block)
        if former is not None:
            former.close()

    def _write(self, block: Tensor) -> None:
        assert self._file is not None
        rows = np.ascontiguousarray(block.to(torch.float64 if self._dtype == np.float64 else torch.float32).numpy())
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if rows.nbytes > free - GIB:
            required = f"predictions that fit into the temporary folder '{tempfile.gettempdir()}'"
            got = f"more than {shown_bytes(self._file.tell())}, with {shown_bytes(free)} left there"
            self._file.close()
            raise fail(ARGUMENT, required, got, "set TMPDIR to a folder with more room, or give fewer rows")
        self._file.write(rows.data)
        self._rows += len(block)

    def _mapped(self, file: IO[bytes]) -> Tensor:
        file.flush()
        return torch.from_numpy(np.memmap(file, self._dtype, "c", shape=(self._rows, *self._shape)))  # pyright: ignore[reportArgumentType, reportCallIssue]
