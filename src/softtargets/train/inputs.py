"""From rows of a data set to what a model sees."""

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.data.augment import random_flip, random_shift
from softtargets.data.dataset import Dataset, normalization
from softtargets.runs.spec import AugmentationSpec


class Inputs:
    """Batches of normalised inputs on a device, gathered from tensors.

    Args:
        dataset: images (uint8, kept so until they are asked for) or a table (normalised here, once).
        device: where batches go; the data go there once.

    Raises:
        InputError: a number of a table so far from the training rows that it is infinite in float32 once normalised.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.is_image = dataset.is_image
        self.device = device
        if not self.is_image:
            self._data = _standardised(dataset).to(device)
            return
        mean, std = normalization(dataset)
        self._data = dataset.inputs.to(device)
        # (x / 255 - mean) / std as one multiplication and one addition
        self._gain = (1 / (255.0 * std)).view(1, -1, 1, 1).to(device)
        self._offset = (-mean / std).view(1, -1, 1, 1).to(device)

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
        if not self.is_image:
            return rows
        inputs = rows.float() * self._gain + self._offset
        return inputs.contiguous(memory_format=torch.channels_last)


def _standardised(dataset: Dataset) -> Tensor:
    """Return the rows of a table normalised, (N, D) float32."""
    mean, std = normalization(dataset)
    # Rounded to float32 last: before, a spread of 10 around 1.7e9 would be gone. Halves, as a difference may overflow.
    inputs = ((dataset.inputs.double() / 2 - mean / 2) / std * 2).float()
    index = first_bad(~inputs.isfinite())
    if index is not None:
        raise fail(
            "features",
            "numbers within 3e38 standard deviations of the training rows",
            f"{dataset.inputs[index].item()} at {index} (row and column, of '{dataset.name}')",
            "mend or drop that row, or name the columns to use in features",
        )
    return inputs


def check_augmentation(augmentation: AugmentationSpec, dataset: Dataset) -> None:
    """Require images where images are to be augmented, and moves that leave something of them."""
    if augmentation.active and not dataset.is_image:
        raise fail("augmentation", "images", f"a table ('{dataset.name}')", "drop the augmentation")
    farthest = max(augmentation.crop_padding, augmentation.shift)
    smallest = min(dataset.input_shape[-2:])
    if farthest >= smallest:
        raise fail("augmentation", f"moves below {smallest} pixels, the images' size", farthest, "move them by less")
