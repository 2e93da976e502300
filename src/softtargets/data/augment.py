"""Random crops, shifts and flips of batches of images, drawn from one generator."""

import torch
from torch import Tensor
from torch.nn import functional as F


def random_shift(images: Tensor, distance: int, generator: torch.Generator) -> Tensor:
    """Shift every image by up to `distance` pixels along each axis; all (2 distance + 1)^2 shifts are equally likely.

    Pixels that come in at the border are 0. This equals a random crop after zero padding of `distance`.

    Args:
        images: (N, C, H, W), any dtype.
        distance: pixels, at least 0.
        generator: a CPU generator.

    Returns:
        (N, C, H, W) of the same dtype.
    """
    count, _, height, width = images.shape
    windows = F.pad(images, (distance,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    places = torch.randint(0, 2 * distance + 1, (2, count), generator=generator).to(images.device)
    # a view of every window, and one look-up per image
    return windows[torch.arange(count, device=images.device), :, places[0], places[1]]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror every image left to right with probability 1/2; (N, C, H, W) in and out."""
    mirrored = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)
