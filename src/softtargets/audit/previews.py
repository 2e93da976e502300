"""Previews of the suspects: images, texts or numbers."""

import io

import torch
from PIL import Image
from torch import Tensor

from softtargets.audit.results import ExamplePreview
from softtargets.data.dataset import Dataset

# Larger images are scaled down to keep the page small.
_MAX_PIXELS = 128
_SHOWN_COLUMNS = 8
_MAX_CHARACTERS = 600


def preview_examples(dataset: Dataset | None, rows: Tensor) -> tuple[ExamplePreview, ...]:
    """Return previews of rows of a data set; they are empty without a data set.

    Args:
        dataset: data set, or None.
        rows: (M,) int64, rows of its training split.
    """
    if dataset is None:
        return tuple(ExamplePreview() for _ in range(len(rows)))
    rows = dataset.splits["train"][rows]
    if dataset.is_image:
        return tuple(ExamplePreview(*png_of(dataset.inputs[row], _MAX_PIXELS)) for row in rows.tolist())
    if dataset.texts is not None:
        return tuple(ExamplePreview(text=_shortened(dataset.texts[row])) for row in rows.tolist())
    numbers = (dataset.inputs[row][:_SHOWN_COLUMNS].tolist() for row in rows.tolist())
    return tuple(ExamplePreview(numbers=tuple(shown)) for shown in numbers)


def png_of(image: Tensor, most: int) -> tuple[bytes, int]:
    """Return an image as PNG, and its width.

    Args:
        image: (C, H, W) pixels in [0, 255], C = 1 or 3.
        most: largest width and height; larger images are scaled down.
    """
    height, width = image.shape[1:]
    mode, size = ("L" if len(image) == 1 else "RGB"), (width, height)
    picture = Image.frombytes(mode, size, image.permute(1, 2, 0).contiguous().to(torch.uint8).numpy().tobytes())
    picture.thumbnail((most, most))
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue(), picture.width


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"
