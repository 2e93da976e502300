"""A single array in an .npy file. Nothing is unpickled."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.arrays.file import ARGUMENT, OBJECTS, ArrayFile, Wanted, reading, spans


class NpyFile(ArrayFile):
    """An .npy file, which holds one array. Its name is that of the file: ``logits.npy`` holds "logits"."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, (path.stem,))
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            dtype = read(stream)[2]
        if dtype.hasobject:
            raise ValueError(OBJECTS)
        if dtype.kind not in "biuf":
            raise fail(ARGUMENT, "numbers", f"{dtype} in {path}", "save class indices and numbers")

    def shape(self, wanted: Wanted) -> tuple[int | None, ...]:
        with reading(self.path):
            return self._map().shape

    def blocks(self, wanted: Sequence[Wanted], rows: int) -> Iterator[tuple[Tensor, ...]]:
        axes = wanted[0].axes
        with reading(self.path):
            shape = self._map().shape
            for span in spans(shape[:axes], rows):
                # mapped anew for each block, which releases the memory of the last one
                block = np.array(self._map()[span])
                block = block.astype(block.dtype.newbyteorder("="), copy=False)
                # the only name is that of this array
                yield tuple(torch.from_numpy(block.reshape(-1, *shape[axes:])) for _ in wanted)

    def mapped(self, wanted: Wanted) -> Tensor | None:
        with reading(self.path):
            array = self._map()
            return torch.from_numpy(array) if array.dtype.isnative else None

    def _map(self) -> np.ndarray:
        # copy-on-write: pages are read on access, and changes never reach the file
        return np.load(self.path, mmap_mode="c", allow_pickle=False)
