"""Decoding images, from columns or folders, into one uint8 tensor."""

import io
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from PIL import Image, ImageOps
from torch import Tensor

from softtargets._errors import fail
from softtargets.data._files import Files
from softtargets.data._tables import Columns, Part, choose
from softtargets.data.limits import check_bytes
from softtargets.data.spec import DataSpec

_GREY = {"L", "1", "I;16", "I;16B", "I;16L", "I;16N", "I"}


def image_columns(spec: DataSpec, name: str) -> Columns:
    """Return the columns of a data set that has none in its files: image and label."""
    if spec.features is not None:
        raise fail("features", f"nothing, as {name} holds images and no columns", spec.features, "leave it out")
    if spec.text is not None:
        raise fail("text", f"nothing, as {name} holds images and no columns", f"'{spec.text}'", "leave it out")
    return choose({"image": {"bytes": None, "path": None}, "label": None}, spec, name)


def image_parts(source: Files, spec: DataSpec) -> list[Part]:
    """List a folder of images as parts, one per split. The files are read when they are decoded."""
    columns = image_columns(spec, source.name)
    number = {name: index for index, name in enumerate(source.class_names)}
    parts = []
    for split in dict.fromkeys(file.split for file in source.files):
        files = [file for file in source.files if file.split == split]
        images = [{"bytes": None, "path": str(file.path)} for file in files]
        table = pa.table(
            {
                "label": pa.array([number[file.class_name] for file in files]),
                "image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            }
        )
        names = tuple(file.inner for file in files)
        parts.append(Part(split, source.name, table, columns, source.class_names, names, opens_paths=True))
    return parts


def decode(parts: Sequence[Part], column: str) -> Tensor:
    """Decode every image, to one grey channel if all of them are grey, else to RGB.

    16-bit grey is divided by 257, so that 65535 becomes 255. Transparency is dropped.

    Returns:
        (N, C, H, W) uint8, C = 1 or 3.

    Raises:
        InputError: an image that cannot be decoded or differs in size from the first, with its file and row; more
            pixels than fit into memory.
    """
    images = torch.empty(0)
    total = sum(len(part.table) for part in parts)
    for row, (place, pixels) in enumerate(_decoded(parts, column)):
        if row == 0:
            check_bytes("image", total * pixels.numel(), f"{total:,} images of {_size(pixels)}")
            images = torch.empty(total, *pixels.shape, dtype=torch.uint8)
        if pixels.shape[1:] != images.shape[2:]:
            raise fail(
                "image",
                f"images of one size, {_size(images[0])} as the first",
                f"{_size(pixels)} in {place}",
                "resize or crop the images to one size beforehand",
            )
        if pixels.shape[0] > images.shape[1]:
            # the first colour image among grey ones: grey as RGB is the same value three times
            check_bytes("image", total * pixels.numel(), f"{total:,} images of {_size(pixels)} in colour")
            images = images.expand(-1, 3, -1, -1).contiguous()
        images[row] = pixels
    return images


def _size(pixels: Tensor) -> str:
    return f"{pixels.shape[2]}x{pixels.shape[1]}"


def _decoded(parts: Sequence[Part], column: str) -> Iterator[tuple[str, Tensor]]:
    for part in parts:
        row = 0
        for chunk in part.table[column].chunks:
            for cell in chunk:
                value = cell.as_py() or {}
                place = part.place(row)
                source = io.BytesIO(value["bytes"]) if value.get("bytes") else None
                if source is None and part.opens_paths:
                    source = value.get("path")
                if source is None:
                    raise fail("image", "the bytes of an image in every row", f"none in {place}", "drop that row")
                try:
                    with warnings.catch_warnings(), Image.open(source) as image:
                        warnings.simplefilter("error", Image.DecompressionBombWarning)
                        pixels = torch.from_numpy(_pixels(image))
                # decoders raise errors of many types for damaged files, and for extremely large images
                except Exception as error:
                    reason = " ".join(str(error).split())[:200]
                    remedy = "replace or drop that image"
                    raise fail("image", "an image that can be decoded", f"{place}: {reason}", remedy) from error
                yield place, pixels
                row += 1


def _pixels(image: Image.Image) -> np.ndarray:
    """Return (1, H, W) of a grey image, (3, H, W) of any other."""
    # cameras store the orientation of a picture here
    upright = ImageOps.exif_transpose(image) if image.getexif() else image
    if upright.mode == "L":
        return np.array(upright)[None]
    if upright.mode == "1":
        return np.array(upright.convert("L"))[None]
    if upright.mode in _GREY:
        # Pillow's conversion to eight bits clips instead of scaling
        return np.rint(np.clip(np.array(upright, dtype=np.float64), 0, 65535) / 257).astype(np.uint8)[None]
    if "transparency" in upright.info:
        upright = upright.convert("RGBA")
    return np.array(upright.convert("RGB")).transpose(2, 0, 1)
