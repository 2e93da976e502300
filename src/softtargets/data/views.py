"""What a network sees of an image: its size, the part that is cut out, and random augmentation of one image."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from PIL import Image, ImageEnhance

from softtargets._errors import fail
from softtargets.data._pixels import Crop, array, cropped, header_of
from softtargets.data.settings import ColourJitter, ResizedCrop
from softtargets.data.spec import AugmentationSpec, DataSpec

# Random parts that are tried before the largest central part of an allowed shape is taken.
_TRIES = 10
# A square of 224 pixels of an image whose shorter side is 256.
_SHARE = 7 / 8


@dataclass(frozen=True)
class View:
    """The size of the images that a network sees, and how much of an image they show.

    Args:
        channels: 1 or 3.
        train: (height, width) in training.
        test: (height, width) in evaluation and prediction.
        share: side of the central square that is cut out, as a share of the image's shorter side, in (0, 1]. With 1, an
            image that has the right size is left as it is. None: images have this size, and none is resized.
    """

    channels: int
    train: tuple[int, int]
    test: tuple[int, int]
    share: float | None = None

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Self:
        """Return the view that leaves images of this shape, (C, H, W), as they are."""
        channels, height, width = shape
        return cls(channels, (height, width), (height, width))

    @classmethod
    def of(cls, spec: DataSpec, channels: int, one_size: tuple[int, int] | None) -> Self:
        """Return the view that a specification asks for.

        Args:
            spec: with a size, unless all images have one size.
            channels: 1 or 3.
            one_size: (height, width) if all images have the same, else None.
        """
        if spec.size is None:
            assert one_size is not None
            return cls(channels, one_size, one_size)
        tested = spec.test_size or spec.size
        share = _SHARE if spec.resize is None else tested / spec.resize
        if spec.resize is None and one_size == (tested, tested):
            share = 1.0
        return cls(channels, (spec.size, spec.size), (tested, tested), share)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, which :meth:`from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` returned.

        Raises:
            KeyError or TypeError: if it is something else.
        """
        return cls(content["channels"], tuple(content["train"]), tuple(content["test"]), content.get("share"))

    def pixels(
        self,
        image: Image.Image,
        augmentation: AugmentationSpec | None = None,
        generator: torch.Generator | None = None,
    ) -> np.ndarray:
        """Return what a network sees of an opened image, (C, H, W) uint8.

        Args:
            image: Opened, not decoded.
            augmentation: None: as in evaluation. Else as in training, with this augmentation.
            generator: What an active augmentation is drawn from: the same draws for the same state, whatever the image.
        """
        if augmentation is None:
            return self._array(cropped(image, lambda width, height: self._centre(width, height, self.test)))
        if generator is None:
            return self._array(cropped(image, lambda width, height: self._centre(width, height, self.train)))
        places = torch.rand(2, generator=generator, dtype=torch.float64).tolist()

        def choose(width: int, height: int) -> Crop | None:
            if augmentation.resized_crop is not None:
                return _random_part(width, height, self.train, augmentation.resized_crop, generator)
            return self._centre(width, height, self.train, *(places if augmentation.random_crop else (0.5, 0.5)))

        picture = cropped(image, choose)
        for distance in (augmentation.crop_padding, augmentation.shift):
            if distance:
                right, down = torch.randint(0, 2 * distance + 1, (2,), generator=generator).tolist()
                left, top = right - distance, down - distance
                picture = picture.crop((left, top, left + picture.width, top + picture.height))
        if augmentation.flip and float(torch.rand((), generator=generator)) < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if augmentation.jitter is not None:
            picture = _jittered(picture, augmentation.jitter, generator)
        return self._array(picture)

    def seen(self, image: Image.Image, place: str) -> torch.Tensor:
        """Return what a network sees of an opened image in prediction, (C, H, W) uint8.

        Raises:
            InputError: naming the place, if the image has another size and images are not resized, or is in colour
                where the network takes grey images.
        """
        found = header_of(image)
        if self.share is None and found.size != self.test:
            height, width = self.test
            required = f"images of {width}x{height}, as the run was trained on"
            remedy = "resize or crop them beforehand, or train with data.size"
            raise fail("image", required, f"{found.width}x{found.height} in {place}", remedy)
        pixels = torch.from_numpy(self.pixels(image))
        if len(pixels) > self.channels:
            raise fail("image", "grey images, as the run was trained on", f"colour in {place}", "convert them to grey")
        return pixels.expand(self.channels, -1, -1)

    def _array(self, picture: Image.Image) -> np.ndarray:
        return array(picture if self.channels == 1 or picture.mode == "RGB" else picture.convert("RGB"))

    def _centre(
        self, width: int, height: int, size: tuple[int, int], across: float = 0.5, down: float = 0.5
    ) -> Crop | None:
        """Return the square of the view's share at a place in [0, 1]^2, of which the centre is (1/2, 1/2)."""
        if self.share is None or (self.share == 1 and (height, width) == size):
            return None
        side = self.share * min(width, height)
        left, top = across * (width - side), down * (height - side)
        return Crop((left, top, left + side, top + side), (size[1], size[0]))


def _random_part(width: int, height: int, size: tuple[int, int], spec: ResizedCrop, generator: torch.Generator) -> Crop:
    """Draw a part whose share of the area is uniform and whose shape is uniform in its logarithm."""
    draws = torch.rand(_TRIES, 4, generator=generator, dtype=torch.float64).tolist()
    low, high = (math.log(bound) for bound in spec.ratio)
    for area_draw, ratio_draw, across, down in draws:
        area = width * height * (spec.scale[0] + area_draw * (spec.scale[1] - spec.scale[0]))
        ratio = math.exp(low + ratio_draw * (high - low))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            left, top = int(across * (width - wide + 1)), int(down * (height - tall + 1))
            return Crop((left, top, left + wide, top + tall), (size[1], size[0]))
    ratio = min(max(width / height, spec.ratio[0]), spec.ratio[1])
    wide, tall = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
    left, top = (width - wide) // 2, (height - tall) // 2
    return Crop((left, top, left + wide, top + tall), (size[1], size[0]))


def _jittered(picture: Image.Image, jitter: ColourJitter, generator: torch.Generator) -> Image.Image:
    order = torch.randperm(4, generator=generator).tolist()
    draws = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    strengths = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind in order:
        strength = strengths[kind]
        if strength == 0:
            continue
        if kind == 3:
            picture = _turned_hues(picture, strength * (2 * draws[kind] - 1))
        else:
            low = max(0.0, 1 - strength)
            picture = enhancers[kind](picture).enhance(low + draws[kind] * (1 + strength - low))
    return picture


def _turned_hues(picture: Image.Image, share: float) -> Image.Image:
    if picture.mode == "L":
        return picture
    hue, saturation, value = picture.convert("HSV").split()
    turned = (np.array(hue, dtype=np.int64) + round(256 * share)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert("RGB")
