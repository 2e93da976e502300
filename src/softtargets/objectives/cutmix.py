"""CutMix."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._spec import Fraction
from softtargets.objectives.context import ObjectiveContext
from softtargets.objectives.mixup import Mixing
from softtargets.objectives.objective import objective


@objective("cutmix")
class CutMix(Mixing):
    """CutMix: a rectangle of another image is pasted, and the targets are mixed by area (Yun et al. 2019).

    The rectangle has the share 1 - w of the image's area, with w from Beta(concentration, concentration), and a uniform
    centre. It is clipped at the border, and the label keeps the share of the area that was not pasted. There is one
    rectangle per batch, or one per example. `smoothing` and `loss` are as in mixup. The authors cut every batch on
    ImageNet, and half of the batches on CIFAR (`probability` 0.5).
    """

    pages: ClassVar[Mapping[str, str]] = {"cutmix": ""}

    probability: Fraction = 1.0

    def begin(self, context: ObjectiveContext) -> None:
        super().begin(context)
        if context.data is not None:
            _require_images(context.data.input_shape)

    def mixed(
        self, own: Tensor, other: Tensor, weight: float | Tensor, generator: torch.Generator
    ) -> tuple[Tensor, float | Tensor]:
        _require_images(tuple(own.shape[1:]))
        inside = draw_rectangles(weight, own.shape[-2], own.shape[-1], generator)
        if float(torch.rand((), generator=generator)) >= self.probability:
            return own, 1.0
        kept = 1 - inside.double().mean((1, 2))
        pasted = torch.where(inside[:, None].to(own.device), other, own)
        return pasted, kept if isinstance(weight, Tensor) else float(kept)


def _require_images(shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        remedy = "use 'mixup', which mixes any inputs"
        raise fail("objective", "a data set of images for 'cutmix'", f"inputs of shape {shape}", remedy)


def draw_rectangles(weight: float | Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw rectangles with the share 1 - weight of the area before they are clipped.

    As in the authors' code, the sides are rounded down, and the centre is uniform over the pixels.

    Args:
        weight: a number, or (n,) float64.
        height: of the images, in pixels.
        width: likewise.
        generator: on the CPU.

    Returns:
        (n, height, width) bool, True inside; n = 1 for a number.
    """
    side = (1 - torch.as_tensor(weight, dtype=torch.float64).view(-1)).sqrt()
    inside = []
    for size in (height, width):
        length = (size * side).long()
        first = torch.randint(size, side.shape, generator=generator) - length // 2
        places = torch.arange(size)
        last = first + 2 * (length // 2)
        inside.append((places >= first[:, None]) & (places < last[:, None]))
    rows, columns = inside
    return rows[:, :, None] & columns[:, None, :]
