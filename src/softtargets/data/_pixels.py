"""Decoding one image: its mode, its orientation, and the part of it that is wanted."""

import io
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from softtargets._errors import InputError, fail

_GREY = {"L", "1", "I;16", "I;16B", "I;16L", "I;16N", "I"}
_ORIENTATION = 0x0112
# Values of the orientation that exchange width and height.
_TURNED = range(5, 9)
# A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, and other images are averaged over blocks of pixels, while the
# result stays this many times as large as what is resampled from it.
_GAP = 2.0
# The last bytes of a file, by Pillow's name of its format. Other formats have no such bytes.
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}
_TAIL = 512


@dataclass(frozen=True)
class Header:
    """What an image's header tells: 1 channel (grey) or 3, and its upright height and width."""

    channels: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


@dataclass(frozen=True)
class Crop:
    """The part of an upright image, (left, top, right, bottom) in its pixels, and the (width, height) it is given."""

    box: tuple[float, float, float, float]
    size: tuple[int, int]


@contextmanager
def huge_images_refused() -> Iterator[None]:
    """Make the warning of an extremely large image an error, in all threads; one thread at a time may use this."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def opened(source: bytes | str | None, place: str) -> Iterator[Image.Image]:
    """Open an image from its bytes or its path; not to be used in several threads at a time.

    Raises:
        InputError: an image that cannot be decoded, even if the error is only found inside the block.
    """
    with huge_images_refused(), opened_in_thread(source, place) as image:
        yield image


@contextmanager
def opened_in_thread(source: bytes | str | None, place: str) -> Iterator[Image.Image]:
    """Open an image as :func:`opened` does, in any thread, while another one refuses huge images."""
    if not source:
        raise fail("image", "the bytes of an image in every row", f"none in {place}", "drop that row")
    try:
        with Image.open(source if isinstance(source, str) else io.BytesIO(source)) as image:
            yield image
    except InputError:
        raise
    # decoders raise errors of many types for damaged files, and for extremely large images
    except Exception as error:
        # Pillow's own message names the object in memory that the bytes were read from
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "cannot identify image file" if unknown else " ".join(str(error).split())[:200]
        remedy = "replace or drop that image"
        raise fail("image", "an image that can be decoded", f"{place}: {reason}", remedy) from error


def header(source: bytes | str | None, place: str) -> Header:
    """Read the header of an image. Its pixels are decoded only if it does not end as files of its format do.

    Raises:
        InputError: something that is not an image, or an image that is cut short.
    """
    with opened(source, place) as image:
        found = header_of(image)
        if not _has_its_end(image):
            image.load()
        return found


def _has_its_end(image: Image.Image) -> bool:
    """Return whether the last bytes of an opened image are those of its format."""
    end = _ENDS.get(image.format or "")
    file = image.fp if isinstance(image, ImageFile.ImageFile) else None
    if end is None or file is None:
        return False
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    # some programs fill up the last block of a file
    complete = file.read().rstrip(b"\0").endswith(end)
    file.seek(place)
    return complete


def header_of(image: Image.Image) -> Header:
    """Return the header of an opened image."""
    width, height = image.size
    # a PNG's orientation may follow its pixels, so only what was already read is used
    if "exif" in image.info and image.getexif().get(_ORIENTATION) in _TURNED:
        width, height = height, width
    return Header(1 if image.mode in _GREY else 3, height, width)


def array(picture: Image.Image) -> np.ndarray:
    """Return (1, H, W) of a grey image, (3, H, W) of any other, uint8."""
    pixels = np.array(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its camera was held, of mode "L" or "RGB".

    16-bit grey is divided by 257, so that 65535 becomes 255. Transparency is dropped. Palettes and CMYK become RGB.
    """
    # cameras store the orientation of a picture here
    turned = ImageOps.exif_transpose(image) if image.getexif() else image
    if turned.mode == "L":
        return turned
    if turned.mode == "1":
        return turned.convert("L")
    if turned.mode in _GREY:
        # Pillow's conversion to eight bits clips instead of scaling
        values = np.rint(np.clip(np.array(turned, dtype=np.float64), 0, 65535) / 257)
        return Image.fromarray(values.astype(np.uint8))
    if "transparency" in turned.info:
        turned = turned.convert("RGBA")
    return turned.convert("RGB")


def cropped(image: Image.Image, choose: Callable[[int, int], Crop | None]) -> Image.Image:
    """Decode the part of an opened image that is wanted, by bilinear resampling with an antialiasing filter.

    Args:
        image: Opened, not decoded.
        choose: (width, height) of the upright image -> the part, or None for the whole image as it is.

    Returns:
        Of mode "L" or "RGB".
    """
    width, height = image.size
    turned = image.getexif().get(_ORIENTATION) in _TURNED
    crop = choose(height, width) if turned else choose(width, height)
    if crop is None:
        return upright(image)
    left, top, right, bottom = crop.box
    if not turned:
        image.draft(
            None,  # pyright: ignore[reportArgumentType]
            (
                math.ceil(_GAP * width * crop.size[0] / (right - left)),
                math.ceil(_GAP * height * crop.size[1] / (bottom - top)),
            ),
        )
    whole = upright(image)
    across, down = (whole.width / (height if turned else width), whole.height / (width if turned else height))
    box = (
        max(0.0, left * across),
        max(0.0, top * down),
        min(float(whole.width), right * across),
        min(float(whole.height), bottom * down),
    )
    return whole.resize(crop.size, Image.Resampling.BILINEAR, box=box, reducing_gap=_GAP)
