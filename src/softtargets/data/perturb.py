"""Strong perturbations of batches of network inputs, drawn from one generator."""

import math
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative, Share, Spec

# Settings that need images.
OF_IMAGES = ("shift", "rotation", "scale", "shear", "flip", "contrast", "brightness", "cutout")
Angle = Annotated[float, Field(ge=0, le=180)]


class Perturbation(Spec):
    """A strong random change of the inputs of a network, in addition to the augmentation of the run.

    It acts on normalised inputs, so that `noise` and `brightness` are in standard deviations of the training inputs and
    0 is their mean. Every image, or row of a table or of word counts, has draws of its own.

    Attributes:
        noise: Standard deviation of Gaussian noise that is added to every number.
        mask: Probability in [0, 1) with which each number is set to 0. Of word counts: a word is left out.
        shift: The largest shift of an image along each axis, as a share of its side.
        rotation: The largest angle in degrees, in either direction.
        scale: An image is enlarged by a factor drawn from [1 - scale, 1 + scale].
        shear: The largest angle of a horizontal shear in degrees, at most 80.
        flip: Whether images are mirrored left to right with probability 1/2.
        contrast: The distance of pixels from the image's mean is multiplied by a number from [1 - contrast, 1 +
            contrast].
        brightness: A number from [-brightness, brightness] is added to all pixels of an image.
        cutout: Side of a square that is set to 0, as a share of the image's side (DeVries & Taylor 2017). Its centre is
            anywhere in the image.
    """

    noise: NonNegative = 0.0
    mask: Share = 0.0
    shift: Fraction = 0.0
    rotation: Angle = 0.0
    scale: Share = 0.0
    shear: Annotated[float, Field(ge=0, le=80)] = 0.0
    flip: bool = False
    contrast: Fraction = 0.0
    brightness: NonNegative = 0.0
    cutout: Fraction = 0.0

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not any(getattr(self, name) for name in (*OF_IMAGES, "noise", "mask")):
            raise fail("strong", "at least one change", "none", "set one, such as noise = 0.15, or remove the table")
        return self

    @property
    def of_images(self) -> tuple[str, ...]:
        """The settings that are given and need images."""
        return tuple(name for name in OF_IMAGES if getattr(self, name))

    @property
    def _moves(self) -> bool:
        return any((self.shift, self.rotation, self.scale, self.shear, self.flip))


def perturbed(inputs: Tensor, change: Perturbation, generator: torch.Generator) -> Tensor:
    """Return inputs after a strong random change.

    Pixels that come in at the border of an image repeat its edge. All draws are made on the CPU, so that they do not
    depend on the device.

    Args:
        inputs: (N, C, H, W) images or (N, D), float, normalised.
        change: which settings change them; those of images are for images only.
        generator: a CPU generator.

    Returns:
        A tensor of the same shape and dtype.
    """
    if change._moves:
        inputs = _moved(inputs, change, generator)
    each = (-1, *(1 for _ in inputs.shape[1:]))
    if change.contrast:
        mean = inputs.mean(tuple(range(1, inputs.ndim)), keepdim=True)
        inputs = mean + (1 + change.contrast * _spread(inputs, generator).view(each)) * (inputs - mean)
    if change.brightness:
        inputs = inputs + change.brightness * _spread(inputs, generator).view(each)
    if change.noise:
        inputs = inputs + change.noise * torch.randn(inputs.shape, generator=generator).to(inputs)
    if change.mask:
        kept = torch.rand(inputs.shape, generator=generator).to(inputs.device) >= change.mask
        inputs = inputs.masked_fill(~kept, 0.0)
    return _cut_out(inputs, change.cutout, generator) if change.cutout else inputs


def _spread(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return (N,) numbers drawn uniformly from [-1, 1]."""
    return (2 * torch.rand(len(like), generator=generator) - 1).to(like)


def _moved(images: Tensor, change: Perturbation, generator: torch.Generator) -> Tensor:
    """Shift, rotate, scale, shear and flip images by one bilinear interpolation of each."""
    angle, slant, factor, right, down = (_spread(images, generator) for _ in range(5))
    angle, slant = math.radians(change.rotation) * angle, torch.tan(math.radians(change.shear) * slant)
    mirrored = torch.rand(len(images), generator=generator).to(images) < 0.5
    # the map from places of the result to places of the image, whose sides reach from -1 to 1
    inverse = 1 / (1 + change.scale * factor)
    cosine, sine = inverse * angle.cos(), inverse * angle.sin()
    sign = torch.where(mirrored, -1.0, 1.0) if change.flip else torch.ones_like(cosine)
    first = torch.stack([sign * cosine, slant * cosine - sine, 2 * change.shift * right], 1)
    second = torch.stack([sign * sine, slant * sine + cosine, 2 * change.shift * down], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _cut_out(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set a square of each image to 0, or what of it is inside."""
    count, _, height, width = images.shape
    places = torch.rand(2, count, generator=generator).to(images)
    half = share * max(height, width) / 2
    rows = (torch.arange(height, device=images.device) + 0.5 - height * places[0][:, None]).abs() < half
    columns = (torch.arange(width, device=images.device) + 0.5 - width * places[1][:, None]).abs() < half
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)
