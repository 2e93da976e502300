"""Images of columns, folders and lists: decoded into one uint8 tensor, or left encoded to be streamed."""

import itertools
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from softtargets._errors import InputError, fail
from softtargets._storage import GIB, shown_bytes
from softtargets.data._columns import Columns, choose
from softtargets.data._files import UNLABELLED, Files
from softtargets.data._pixels import Header, array, header, opened, upright
from softtargets.data._tables import Part
from softtargets.data.encoded import EncodedImages, Strings, TemporaryImages
from softtargets.data.limits import check_bytes
from softtargets.data.spec import DataSpec
from softtargets.data.views import View

# Decoded images of more bytes are streamed unless the specification says otherwise. It is not a share of the machine's
# memory: whether images are streamed changes what an augmentation draws, and so the results.
STREAMED_BYTES = 2 * GIB


def image_columns(spec: DataSpec, name: str) -> Columns:
    """Return the columns of a data set that has none in its files: image and label."""
    if spec.features is not None:
        raise fail("features", f"nothing, as {name} holds images and no columns", spec.features, "leave it out")
    if spec.text is not None:
        raise fail("text", f"nothing, as {name} holds images and no columns", f"'{spec.text}'", "leave it out")
    return choose({"image": {"bytes": None, "path": None}, "label": None}, spec, name)


def image_parts(source: Files, spec: DataSpec) -> list[Part]:
    """List files of images as parts, one per split. The files are read when they are decoded."""
    # whatever the specification calls them: there is one of each
    own = {} if source.table is None else {"votes": None, "annotators": None}
    columns = image_columns(spec.changed(image=None, label="label", **own), source.name)
    number = {name: index for index, name in enumerate(source.class_names)}
    parts = []
    for split in dict.fromkeys(file.split for file in source.files):
        files = [file for file in source.files if file.split == split]
        if spec.unlabelled is None and any(file.class_name is None for file in files) and source.kind == "images":
            required = (
                f"images in the folders of their classes, as data.unlabelled is not given ('{UNLABELLED}' is none)"
            )
            got = next(file.inner for file in files if file.class_name is None)
            raise fail("label", required, got, "set data.unlabelled = 0, or rename that folder")
        labels = [None if file.class_name is None else number[file.class_name] for file in files]
        table = pa.table({"label": pa.array(labels, pa.int64())})
        names, folder = tuple(file.inner for file in files), files[0].folder
        images = partial(_paths, folder, names)
        parts.append(Part(split, source.name, table, columns, source.class_names, names, images, folder))
    return parts


def _paths(folder: Path, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield os.path.join(folder, name)


def read_images(
    parts: Sequence[Part], spec: DataSpec, packed: Path | None
) -> tuple[Tensor | EncodedImages, View | None]:
    """Decode all images into memory, or leave them encoded if they are to be streamed.

    Args:
        parts: every file of the data set.
        spec: what decides; see :class:`softtargets.data.DataSpec`.
        packed: the file that encoded images of data files are copied into; None: a temporary one.

    Returns:
        images: (N, C, H, W) uint8, C = 1 or 3; or the encoded images.
        view: what images in memory show of their files, if they were resized; else None.

    Raises:
        InputError: an image that cannot be read, with its file and row; images of several sizes without a size to
            resize them to; more pixels than fit into memory.
    """
    asked = {spec.size, spec.test_size, spec.resize} - {None}
    total = sum(len(part.table) for part in parts)
    if spec.stream is None and not asked and _bytes(total, next(_headers(parts))) <= STREAMED_BYTES:
        return decode(parts), None
    if spec.stream is False and not asked:
        return decode(parts), None
    heads = list(_headers(parts))
    first = heads[0]
    other = next((row for row, head in enumerate(heads) if head.size != first.size), None)
    if other is not None and not asked:
        place = next(itertools.islice(_sources(parts), other, None))[0]
        raise _of_another_size(first.size, heads[other].size, place)
    resized = bool(asked) and (other is not None or not asked == {first.height} == {first.width})
    if resized and spec.stream is False:
        view = _held_view(spec, max(head.channels for head in heads))
        return decode(parts, view), view
    if spec.stream or resized or _bytes(total, max(heads, key=lambda head: head.channels)) > STREAMED_BYTES:
        return _left_encoded(parts, heads, packed), None
    return decode(parts), None


def _held_view(spec: DataSpec, channels: int) -> View:
    """Return what resized images in memory show of their files."""
    if spec.test_size not in (None, spec.size):
        required = f"left out, or data.size ({spec.size}), for images that are held in memory"
        raise fail("test_size", required, spec.test_size, "remove it, or remove stream = false")
    return View.of(spec, channels, None)


def _bytes(count: int, head: Header) -> int:
    return count * head.channels * head.height * head.width


def _of_another_size(first: Sequence[int], other: Sequence[int], place: str) -> InputError:
    """Build the error of images of two sizes, (height, width)."""
    return fail(
        "image",
        f"images of one size, {first[1]}x{first[0]} as the first",
        f"{other[1]}x{other[0]} in {place}",
        "resize or crop the images to one size beforehand, or set data.size, such as size = 224",
    )


def _sources(parts: Sequence[Part]) -> Iterator[tuple[str, bytes | str | None]]:
    """Yield the place of every image and its bytes or path."""
    for part in parts:
        assert part.images is not None
        for row, source in enumerate(part.images()):
            yield part.place(row), source


def _headers(parts: Sequence[Part]) -> Iterator[Header]:
    for place, source in _sources(parts):
        yield header(source, place)


def decode(parts: Sequence[Part], view: View | None = None) -> Tensor:
    """Decode every image, to one grey channel if all of them are grey, else to RGB; see :func:`_pixels.upright`.

    Args:
        parts: every file of the data set.
        view: what to keep of each image, as in evaluation; None: all of it.

    Returns:
        (N, C, H, W) uint8, C = 1 or 3.

    Raises:
        InputError: an image that cannot be decoded or differs in size from the first, with its file and row; more
            pixels than fit into memory.
    """
    images = torch.empty(0)
    total = sum(len(part.table) for part in parts)
    for row, (place, source) in enumerate(_sources(parts)):
        with opened(source, place) as image:
            pixels = torch.from_numpy(array(upright(image)) if view is None else view.pixels(image))
        if row == 0:
            check_bytes("image", total * pixels.numel(), f"{total:,} images of {_size(pixels)}", _REMEDY)
            images = torch.empty(total, *pixels.shape, dtype=torch.uint8)
        if pixels.shape[1:] != images.shape[2:]:
            raise _of_another_size(images.shape[2:], pixels.shape[1:], place)
        if pixels.shape[0] > images.shape[1]:
            # the first colour image among grey ones: grey as RGB is the same value three times
            check_bytes("image", total * pixels.numel(), f"{total:,} images of {_size(pixels)} in colour", _REMEDY)
            images = images.expand(-1, 3, -1, -1).contiguous()
        images[row] = pixels
    return images


_REMEDY = "use fewer rows or pixels, or set data.stream = true"


def _size(pixels: Tensor) -> str:
    return f"{pixels.shape[2]}x{pixels.shape[1]}"


def _left_encoded(parts: Sequence[Part], heads: Sequence[Header], packed: Path | None) -> EncodedImages:
    """Leave images as they are if each is a file; else copy them into one file, in their order."""
    rows = torch.tensor([(head.channels, head.height, head.width) for head in heads], dtype=torch.int32)
    folder = parts[0].folder
    if folder is not None:
        names = Strings.of(name for part in parts for name in part.image_files or ())
        return EncodedImages(folder, names, None, rows)
    holder = TemporaryImages() if packed is None else None
    packed = packed or holder.path  # pyright: ignore[reportOptionalMemberAccess]
    unfinished = packed.with_name(f"{packed.name}.{os.getpid()}.part")
    places, ranges, start = [], [], 0
    try:
        packed.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            for place, source in _sources(parts):
                data = Path(source).read_bytes() if isinstance(source, str) else source or b""
                places.append(place)
                ranges.append((start, len(data)))
                start += file.write(data)
        os.replace(unfinished, packed)
    except OSError as error:
        got = f"{error.strerror} after {shown_bytes(start)}"
        remedy = "free some, or set TMPDIR to another folder" if holder else "free some"
        raise fail("image", f"room for a copy of the encoded images in '{packed.parent}'", got, remedy) from None
    finally:
        unfinished.unlink(missing_ok=True)
    return EncodedImages(packed, Strings.of(places), torch.tensor(ranges), rows, holder)
