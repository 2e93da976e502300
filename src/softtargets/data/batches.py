"""Batches of model inputs from the rows of a data set."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.data.augment import random_flip, random_shift
from softtargets.data.dataset import Dataset, normalization
from softtargets.data.spec import AugmentationSpec

# Bytes of float32 inputs that are gathered at a time: several small batches, or one large batch.
BLOCK_BYTES = 2**22
# Rows that are predicted at a time. Of images on the CPU fewer: the activations of a convolution are about 16 times as
# large as these bytes of float32 inputs, and a network whose activations do not fit the cache takes 1.6 times as long.
PREDICTED_ROWS, PREDICTED_BYTES = 1024, 2**20


class Inputs:
    """Batches of normalised inputs on a device.

    Images and tables are standardised. Texts become TF-IDF vectors of their word counts, normalised to length 1:

    (1 + log count) (1 + log((1 + n) / (1 + df)))            # df of the n training texts contain the word

    Args:
        dataset: images or word counts (uint8, converted per batch), or a table (normalised once).
        device: the device of the batches; the data are moved there once.

    Raises:
        InputError: if a number of a table is infinite in float32 after normalisation.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.device = device
        self._texts, self._images = dataset.is_text, dataset.is_image
        self._seen: Callable[[Tensor], Tensor] | None = None
        if dataset.is_image:
            mean, std = normalization(dataset)
            # (x / 255 - mean) / std as one multiplication and one addition
            gain, offset = (scale.view(1, -1, 1, 1).to(device) for scale in (1 / (255.0 * std), -mean / std))
            self._seen = partial(_scaled, gain=gain, offset=offset)
        elif dataset.is_text:
            self._seen = partial(_tf_idf, idf=_idf(dataset).to(device))
        self._data = (dataset.inputs if self._seen else _standardised(dataset)).to(device)
        self._row_bytes = 4 * math.prod(self._data.shape[1:])

    @property
    def predicted_rows(self) -> int:
        """The number of rows of a batch that is predicted without gradients."""
        if self.device.type != "cpu" or not self._images:
            return PREDICTED_ROWS
        return max(32, min(PREDICTED_ROWS, PREDICTED_BYTES // self._row_bytes))

    def batch(
        self,
        ids: Tensor,
        augmentation: AugmentationSpec | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the inputs of rows `ids`, (N, ...) float32, augmented if an augmentation is given."""
        rows = self._data.index_select(0, ids.to(self.device))
        if augmentation is not None and augmentation.active:
            if generator is None:
                raise fail("generator", "given with an augmentation", None, "pass the augmentation stream")
            for distance in (augmentation.crop_padding, augmentation.shift):
                if distance:
                    rows = random_shift(rows, distance, generator)
            if augmentation.flip:
                rows = random_flip(rows, generator)
        return rows if self._seen is None else self._seen(rows)

    def batches(
        self,
        ids: Tensor,
        size: int,
        augmentation: AugmentationSpec | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[Tensor]:
        """Yield the inputs of rows `ids` in batches of `size`, of which the last may be smaller; see :meth:`batch`.

        The numbers are those of one call of :meth:`batch` per batch. Several small batches are computed together,
        except where this would change the numbers: draws of an augmentation, and the logarithms of texts.
        """
        if (augmentation is not None and augmentation.active) or self._texts:
            for chunk in ids.split(size):
                yield self.batch(chunk, augmentation, generator)
            return
        for block in ids.split(size * max(1, BLOCK_BYTES // (size * self._row_bytes))):
            yield from self.batch(block).split(size)


def _scaled(images: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    return (images.float() * gain + offset).contiguous(memory_format=torch.channels_last)


def _tf_idf(counts: Tensor, idf: Tensor) -> Tensor:
    counts = counts.float()
    # a text without words stays 0
    return F.normalize(torch.where(counts > 0, 1 + counts.log(), 0.0) * idf, dim=1)


def _idf(dataset: Dataset) -> Tensor:
    """Return the inverse document frequency of each word in the training texts, (D,) float32."""
    rows = dataset.splits["train"]
    held = torch.zeros(dataset.input_shape, dtype=torch.float64)
    for chunk in rows.split(4096):
        held += (dataset.inputs[chunk] > 0).sum(0)
    return (1 + ((1 + len(rows)) / (1 + held)).log()).float()


def _standardised(dataset: Dataset) -> Tensor:
    """Return the rows of a table normalised, (N, D) float32."""
    mean, std = normalization(dataset)
    # float32 comes last, since it cannot resolve a spread of 10 around 1.7e9; halves, since a difference may overflow
    inputs = ((dataset.inputs.double() / 2 - mean / 2) / std * 2).float()
    index = first_bad(~inputs.isfinite())
    if index is not None:
        raise fail(
            "features",
            "numbers within 3e38 standard deviations of the training rows",
            f"{dataset.inputs[index].item()} at {index} (row and column, of '{dataset.name}')",
            "fix or drop that row, or select other columns with features",
        )
    return inputs


def check_augmentation(augmentation: AugmentationSpec, dataset: Dataset) -> None:
    """Require images for augmentation, and distances smaller than the images."""
    if augmentation.active and not dataset.is_image:
        got = f"{'texts' if dataset.is_text else 'a table'} ('{dataset.name}')"
        raise fail("augmentation", "a data set of images", got, "remove the augmentation")
    farthest = max(augmentation.crop_padding, augmentation.shift)
    smallest = min(dataset.input_shape[-2:])
    if farthest >= smallest:
        raise fail(
            "augmentation", f"distances below {smallest} pixels, the images' size", farthest, "use smaller distances"
        )
