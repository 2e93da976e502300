"""Batches of model inputs from the rows of a data set."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._memory import release_freed
from softtargets.data.augment import random_flip, random_shift
from softtargets.data.dataset import Dataset
from softtargets.data.limits import check_bytes
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.spec import AugmentationSpec
from softtargets.data.stream import ROWS_PER_TASK, StreamedImages
from softtargets.data.tokens import Pairs, Tokens
from softtargets.data.views import View

# Bytes of float32 inputs that are gathered at a time: several small batches, or one large batch.
BLOCK_BYTES = 2**22
# Rows that are predicted at a time. Of images on the CPU fewer: the activations of a convolution are about 16 times as
# large as these bytes of float32 inputs, and a network whose activations do not fit the cache takes 1.6 times as long.
PREDICTED_ROWS, PREDICTED_BYTES = 1024, 2**20
# Tokens, with padding, that are predicted at a time. On the CPU fewer, as their activations then fit the cache.
PREDICTED_TOKENS, PREDICTED_TOKENS_GPU = 2**12, 2**16
# Bytes of float32 inputs of a stream after which freed memory is returned to the system.
RELEASED_BYTES = 2**26
# Bytes of streamed images that are predicted at a time on a GPU.
STREAMED_BYTES = 2**27


def predicted_images(image_bytes: int, device: torch.device) -> int:
    """Return the number of images that are predicted at a time, each of so many bytes of float32 inputs."""
    limit = PREDICTED_BYTES if device.type == "cpu" else STREAMED_BYTES
    return max(32, min(PREDICTED_ROWS, limit // image_bytes))


def predicted_texts(longest: int, device: torch.device) -> int:
    """Return the number of rows of tokens that are predicted at a time, of which the longest has so many tokens."""
    most = PREDICTED_TOKENS if device.type == "cpu" else PREDICTED_TOKENS_GPU
    return max(1, min(PREDICTED_ROWS, most // longest))


class Inputs:
    """Batches of normalised inputs on a device.

    They are normalised as :class:`Preprocessing` says.

    Args:
        dataset: images or word counts (uint8, converted per batch), a table (normalised once), streamed images, or rows
            of tokens (padded per batch).
        device: the device of the batches; data in memory are moved there once.

    Raises:
        InputError: if a number of a table is infinite in float32 after normalisation.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.device = device
        self.preprocessing = Preprocessing.of(dataset)
        self._rows: _TensorRows | _RaggedRows | None = None
        self._stream: _StreamedRows | None = None
        normalise = self.preprocessing.on(device)
        if isinstance(dataset.inputs, StreamedImages):
            self._stream = _StreamedRows(dataset.inputs, normalise, device)
            return
        if dataset.tokenizers:
            self._rows = _RaggedRows(dataset, device)
            return
        # a table is normalised before it is moved, since not every device has float64
        on_rows = (
            normalise
            if dataset.is_image or dataset.is_text
            else self.preprocessing.on(torch.device("cpu"), dataset.name)
        )
        self._rows = _TensorRows(dataset, dataset.inputs, on_rows, device)
        if dataset.is_image:
            # for augmentation of one image after the other
            images = StreamedImages(dataset.inputs, View.whole(dataset.input_shape), dataset.workers)
            self._stream = _StreamedRows(images, normalise, device)

    @property
    def predicted_rows(self) -> int:
        """The number of rows of a batch that is predicted without gradients."""
        return self._source(None).predicted_rows

    @property
    def measured_rows(self) -> int:
        """The number of rows of a batch of a finished network's outputs: more of what is in memory, except tokens."""
        return PREDICTED_ROWS if isinstance(self._rows, _TensorRows) else self.predicted_rows

    def drawn_alone(self, augmentation: AugmentationSpec) -> bool:
        """Return whether an augmentation is drawn for each image from the generator's seed and the row alone."""
        return augmentation.active and self._source(augmentation) is self._stream

    def batch(
        self,
        ids: Tensor,
        augmentation: AugmentationSpec | None = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Return the inputs of rows `ids`: (N, ...) float32, or Tokens, or Pairs of them for sentence pairs.

        Args:
            ids: (N,) int64.
            augmentation: None: the inputs as in evaluation and prediction. Else as in training, which matters where
                images of another size are used in evaluation, and augmented.
            generator: what an active augmentation is drawn from. The draws of an image that is augmented alone (a
                streamed one, or one with a random crop or jitter) depend on the generator's seed and on its row only:
                take a generator with another seed for other draws.

        Raises:
            InputError: a streamed image that cannot be decoded, with its file and row.
        """
        return self._source(augmentation).batch(ids, augmentation, generator)

    def batches(
        self,
        ids: Tensor,
        size: int,
        augmentation: AugmentationSpec | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[Any]:
        """Yield the inputs of rows `ids` in batches of `size`, of which the last may be smaller; see :meth:`batch`.

        The numbers are those of one call of :meth:`batch` per batch. Streamed images are decoded by worker processes,
        which end with the iterator.
        """
        return self._source(augmentation).batches(ids, size, augmentation, generator)

    def _source(self, augmentation: AugmentationSpec | None) -> "_TensorRows | _RaggedRows | _StreamedRows":
        alone = augmentation is not None and augmentation.one_by_one
        chosen = self._stream if alone or self._rows is None else self._rows
        assert chosen is not None  # check_augmentation
        return chosen


def _checked(augmentation: AugmentationSpec | None, generator: torch.Generator | None) -> torch.Generator | None:
    """Return the generator if it is needed."""
    if augmentation is None or not augmentation.active:
        return None
    if generator is None:
        raise fail("generator", "given with an augmentation", None, "pass the augmentation stream")
    return generator


class _StreamedRows:
    """Images that are decoded and augmented one at a time, by worker processes."""

    def __init__(self, images: StreamedImages, scaling: Callable[[Tensor], Tensor], device: torch.device) -> None:
        self._images, self._scaling, self._device = images, scaling, device
        self._row_bytes = 4 * images.view.channels * math.prod(images.view.test)

    @property
    def predicted_rows(self) -> int:
        return predicted_images(self._row_bytes, self._device)

    def batch(self, ids: Tensor, augmentation: AugmentationSpec | None, generator: torch.Generator | None) -> Tensor:
        check_bytes("data", len(ids) * self._row_bytes, f"a batch of {len(ids):,} streamed images", "use fewer rows")
        return torch.cat(list(self.batches(ids, ROWS_PER_TASK, augmentation, generator)))

    def batches(
        self, ids: Tensor, size: int, augmentation: AugmentationSpec | None, generator: torch.Generator | None
    ) -> Iterator[Tensor]:
        drawn = _checked(augmentation, generator)
        # the seed, and not a draw: it is the same when an epoch is resumed
        seed = None if drawn is None else drawn.initial_seed()
        held = 0
        for images in self._images.batches(ids.cpu().split(size), augmentation, seed, self._device):
            yield self._scaling(images.to(self._device, non_blocking=True))
            # Older C libraries (glibc below 2.38) do not use freed blocks of aligned memory again.
            held += 4 * images.numel()
            if held > RELEASED_BYTES:
                release_freed()
                held = 0


class _TensorRows:
    """Rows that are held in memory on the device."""

    def __init__(
        self, dataset: Dataset, inputs: Tensor, normalise: Callable[[Tensor], Tensor], device: torch.device
    ) -> None:
        self._device = device
        self._texts, self._images = dataset.is_text, dataset.is_image
        # a table is normalised once, bytes when they are needed
        self._seen = normalise if self._texts or self._images else None
        self._data = (inputs if self._seen else normalise(inputs)).to(device)
        self._row_bytes = 4 * math.prod(self._data.shape[1:])

    @property
    def predicted_rows(self) -> int:
        if self._device.type != "cpu" or not self._images:
            return PREDICTED_ROWS
        return predicted_images(self._row_bytes, self._device)

    def batch(self, ids: Tensor, augmentation: AugmentationSpec | None, generator: torch.Generator | None) -> Tensor:
        rows, drawn = self._data.index_select(0, ids.to(self._device)), _checked(augmentation, generator)
        if augmentation is not None and drawn is not None:
            for distance in (augmentation.crop_padding, augmentation.shift):
                if distance:
                    rows = random_shift(rows, distance, drawn)
            if augmentation.flip:
                rows = random_flip(rows, drawn)
        return rows if self._seen is None else self._seen(rows)

    def batches(
        self, ids: Tensor, size: int, augmentation: AugmentationSpec | None, generator: torch.Generator | None
    ) -> Iterator[Tensor]:
        """Yield batches; several small ones are computed together, except where this would change the numbers.

        It would change the draws of an augmentation, and the logarithms of texts.
        """
        if (augmentation is not None and augmentation.active) or self._texts:
            for chunk in ids.split(size):
                yield self.batch(chunk, augmentation, generator)
            return
        for block in ids.split(size * max(1, BLOCK_BYTES // (size * self._row_bytes))):
            yield from self.batch(block, None, None).split(size)


class _RaggedRows:
    """Rows of tokens, or pairs of them, that are held in memory on the device."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self._device = device
        rows: list[Any] = [dataset.inputs, *([dataset.outputs] if dataset.is_pair else [])]
        self._sides = [(side.to(device), made.pad) for side, made in zip(rows, dataset.tokenizers, strict=True)]
        self.predicted_rows = predicted_texts(int(dataset.row_lengths.max()), device)

    def batch(self, ids: Tensor, *_: object) -> Tokens | Pairs:
        rows = ids.to(self._device)
        sides = [side.padded(rows, pad) for side, pad in self._sides]
        return sides[0] if len(sides) == 1 else Pairs(*sides)

    def batches(self, ids: Tensor, size: int, *_: object) -> Iterator[Tokens | Pairs]:
        return map(self.batch, ids.split(size))


def check_augmentation(augmentation: AugmentationSpec, dataset: Dataset) -> None:
    """Require images for augmentation, and distances smaller than the images."""
    if augmentation.active and not dataset.is_image:
        got = f"{'a table' if dataset.texts is None else 'texts'} ('{dataset.name}')"
        raise fail("augmentation", "a data set of images", got, "remove the augmentation")
    view = dataset.inputs.view if isinstance(dataset.inputs, StreamedImages) else None
    if augmentation.random_crop and (view is None or view.share is None or view.share == 1):
        remedy = "set data.resize above data.size, or use crop_padding"
        raise fail("augmentation.random_crop", "images that are larger than data.size", dataset.input_shape, remedy)
    if augmentation.resized_crop is not None and dataset.view is not None:
        required = "left out for images that are resized once and held in memory"
        got = f"scale {augmentation.resized_crop.scale}"
        raise fail("augmentation.resized_crop", required, got, "remove data.stream = false, or the resized crop")
    farthest = max(augmentation.crop_padding, augmentation.shift)
    smallest = min(dataset.input_shape[-2:])
    if farthest >= smallest:
        raise fail(
            "augmentation", f"distances below {smallest} pixels, the images' size", farthest, "use smaller distances"
        )
