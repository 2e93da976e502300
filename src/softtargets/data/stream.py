"""Images that are decoded when they are needed, by worker processes."""

import hashlib
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from softtargets._errors import InputError
from softtargets.data._pixels import opened
from softtargets.data.encoded import EncodedImages
from softtargets.data.spec import AugmentationSpec
from softtargets.data.views import View

# Fewer images than this are decoded sooner than a worker has started.
_LEAST_ROWS = 512
# Images that a worker decodes at a time where the batches are not given.
ROWS_PER_TASK = 16
_START_METHOD = "fork" if sys.platform == "linux" else "spawn"
_MOST_WORKERS = {"cpu": 2, "cuda": 16}


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """Images of a data set that are decoded one at a time. Like a tensor it has a shape and gives rows.

    Args:
        source: encoded images, or (N, C, H, W) uint8 in memory.
        view: what a network sees of them.
        workers: number of worker processes; None: chosen by the number of cores.
        cache: folder for the statistics of the images, or None.
    """

    source: EncodedImages | Tensor
    view: View
    workers: int | None = None
    cache: Path | None = None

    def __len__(self) -> int:
        return len(self.source)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) in training."""
        return (len(self.source), self.view.channels, *self.view.train)

    @property
    def ndim(self) -> int:
        """4, as of a tensor of images."""
        return 4

    def __getitem__(self, row: int) -> Tensor:
        """Return the image of a row as in evaluation, (C, H, W) uint8."""
        return self.pixels(row, None, None)

    def kept(self, rows: Tensor) -> Self:
        """Return some of the images, in this order."""
        source = self.source[rows] if isinstance(self.source, Tensor) else self.source.kept(rows)
        return replace(self, source=source)

    def pixels(self, row: int, augmentation: AugmentationSpec | None, seed: int | None) -> Tensor:
        """Decode an image.

        Args:
            row: of the data set.
            augmentation: None: as in evaluation; else as in training.
            seed: of an active augmentation: the draws depend on it and on the row alone. None: no augmentation.

        Returns:
            (C, H, W) uint8.

        Raises:
            InputError: an image that cannot be decoded, with its file and row.
        """
        generator = None if seed is None else torch.Generator().manual_seed(_seed_of(seed, row))
        if isinstance(self.source, Tensor):
            values = self.source[row].numpy()
            image = Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))
            return torch.from_numpy(self.view.pixels(image, augmentation, generator))
        with opened(self.source.read(row), self.source.names[row]) as image:
            return torch.from_numpy(self.view.pixels(image, augmentation, generator))

    def batches(
        self,
        chunks: Sequence[Tensor],
        augmentation: AugmentationSpec | None = None,
        seed: int | None = None,
        device: torch.device | None = None,
    ) -> Iterator[Tensor]:
        """Decode batches of images; the numbers do not depend on the number of workers.

        Args:
            chunks: the rows of each batch, (n,) int64.
            augmentation, seed: as of :meth:`pixels`.
            device: where the images will be used.

        Yields:
            (n, C, H, W) uint8 on the CPU, pinned for a CUDA device. The workers end with the iterator.

        Raises:
            InputError: an image that cannot be decoded, with its file and row.
        """
        kind = "cpu" if device is None else device.type
        workers = self._workers(sum(map(len, chunks)), kind)
        with warnings.catch_warnings():
            # the user may ask for more workers than there are cores
            warnings.filterwarnings("ignore", "This DataLoader will create")
            # of newer versions of Python; a worker only decodes, and uses no thread of its parent
            warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
            loader: DataLoader[Any] = DataLoader(
                _Rows(self, augmentation, seed),
                batch_sampler=[chunk.tolist() for chunk in chunks],
                collate_fn=_itself,
                num_workers=workers,
                # joblib's processes, which train several runs at a time, have another method by default
                multiprocessing_context=_START_METHOD if workers else None,
                pin_memory=kind == "cuda",
                # the loader draws a number that it does not need, which must not come from the generator of dropout
                generator=torch.Generator(),
            )
            decoded = iter(loader)
        for found in decoded:
            if isinstance(found, str):
                raise InputError(found)
            yield found

    def _workers(self, rows: int, kind: str) -> int:
        # a process that was started as a daemon may not start others
        if multiprocessing.current_process().daemon:
            return 0
        if self.workers is not None:
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        free = cores - torch.get_num_threads()
        return 0 if rows < _LEAST_ROWS else max(1, min(free, _MOST_WORKERS.get(kind, 2)))


class _Rows(Dataset[Tensor]):
    """Batches of a stream; an error is returned as text, since a raised one arrives with the worker's traceback."""

    def __init__(self, images: StreamedImages, augmentation: AugmentationSpec | None, seed: int | None) -> None:
        self._images, self._augmentation, self._seed = images, augmentation, seed

    def __getitems__(self, rows: list[int]) -> Tensor | str:
        try:
            return torch.stack([self._images.pixels(row, self._augmentation, self._seed) for row in rows])
        except InputError as error:
            return str(error)


def _itself(batch: Any) -> Any:
    return batch


def _seed_of(seed: int, row: int) -> int:
    """Return a 63-bit seed for the augmentation of one image in one epoch."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{row}".encode()).digest()[:8], "big") >> 1
