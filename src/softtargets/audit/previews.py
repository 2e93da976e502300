"""What suspects look like."""

import io

import torch
from torch import Tensor

from softtargets.audit.results import Exhibit
from softtargets.data.dataset import Dataset

# Pixels; a larger picture is made smaller, so that a page of hundreds stays a page.
_LARGEST = 128
_COLUMNS = 8
_LONGEST = 600


def exhibit(dataset: Dataset | None, rows: Tensor) -> tuple[Exhibit, ...]:
    """Return what rows of a data set look like; without a data set nothing is known of them but their number."""
    if dataset is None:
        return tuple(Exhibit() for _ in range(len(rows)))
    if dataset.is_image:
        return tuple(_picture(dataset.inputs[row]) for row in rows.tolist())
    if dataset.texts is not None:
        return tuple(Exhibit(text=_shortened(dataset.texts[row])) for row in rows.tolist())
    return tuple(Exhibit(numbers=tuple(dataset.inputs[row, :_COLUMNS].tolist())) for row in rows.tolist())


def _picture(image: Tensor) -> Exhibit:
    from PIL import Image

    height, width = image.shape[1:]
    mode, size = ("L" if len(image) == 1 else "RGB"), (width, height)
    picture = Image.frombytes(mode, size, image.permute(1, 2, 0).contiguous().to(torch.uint8).numpy().tobytes())
    picture.thumbnail((_LARGEST, _LARGEST))
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return Exhibit(picture=stream.getvalue(), width=picture.width)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
