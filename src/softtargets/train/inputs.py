"""From rows of a data set to what a model sees."""

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.augment import random_flip, random_shift
from softtargets.data.dataset import Dataset, normalization
from softtargets.runs.spec import AugmentationSpec


class Inputs:
    """Batches of normalised inputs on a device, gathered from tensors.

    Args:
        dataset: images (uint8, kept so until they are asked for) or a table.
        device: where batches go; the data go there once.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        mean, std = normalization(dataset)
        shape = (1, -1, 1, 1) if dataset.is_image else (1, -1)
        scale = 255.0 if dataset.is_image else 1.0
        self._data = dataset.inputs.to(device)
        # (x / scale - mean) / std as one multiplication and one addition
        self._gain = (1 / (scale * std)).view(shape).to(device)
        self._offset = (-mean / std).view(shape).to(device)
        self.is_image = dataset.is_image
        self.device = device

    def batch(
        self,
        ids: Tensor,
        augmentation: AugmentationSpec | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the inputs of rows `ids`, (N, ...) float32, augmented where an augmentation is given."""
        rows = self._data[ids.to(self.device)]
        if augmentation is not None and augmentation.active:
            if generator is None:
                raise fail("generator", "given with an augmentation", None, "pass the augmentation stream")
            for distance in (augmentation.crop_padding, augmentation.shift):
                if distance:
                    rows = random_shift(rows, distance, generator)
            if augmentation.flip:
                rows = random_flip(rows, generator)
        inputs = rows.float() * self._gain + self._offset
        return inputs.contiguous(memory_format=torch.channels_last) if self.is_image else inputs


def check_augmentation(augmentation: AugmentationSpec, dataset: Dataset) -> None:
    """Require images where images are to be augmented."""
    if augmentation.active and not dataset.is_image:
        raise fail("augmentation", "images", f"a table ('{dataset.name}')", "drop the augmentation")
