"""Inputs that a user passes in Python, read as rows like those of a data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets.data._pixels import opened
from softtargets.data._texts import count_words
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.tokens import TokenRows, TokenShape

_AS_TENSOR = "pass a tensor or an array"


def read_given(inputs: Any, like: Preprocessing, input_shape: tuple[int, ...]) -> Tensor | TokenRows:
    """Read inputs as the rows of a data set in memory: not normalised.

    Args:
        inputs: Images: a tensor (N, C, H, W) uint8, whose images are not resized; or a list of images of any size, each
            the path of a file, an image of Pillow, or an array (H, W) or (H, W, 3) uint8, which are resized and cropped
            as in prediction. A table: a tensor (N, D), or a list of mappings from names of columns to numbers. Texts: a
            list of texts.
        like: What the network was trained on.
        input_shape: The shape of one input of the network.

    Returns:
        Images (N, C, H, W) uint8; a table (N, D); word counts (N, D) uint8; for a network of tokens N rows of tokens.

    Raises:
        InputError: if the shape is not that of the training inputs, an image cannot be decoded, a column is missing, or
            a text has more tokens than the network takes.
        InputTypeError: if the inputs are of another type.
    """
    check_given(inputs, like)
    if isinstance(inputs, Tensor):
        return _checked_tensor(inputs, like, input_shape)
    if like.kind in ("texts", "tokens"):
        return _texts(inputs, like)
    return _images(inputs, like) if like.kind == "images" else _table(inputs, like)


def check_given(inputs: Any, like: Preprocessing) -> None:
    """Require a tensor or a list."""
    if isinstance(inputs, str) or not isinstance(inputs, Tensor | Sequence):
        lists = {"texts": "texts", "tokens": "texts", "images": "images", "table": "rows"}
        required = f"a tensor, an array or a list of {lists[like.kind]}"
        raise fail_type("inputs", required, type(inputs).__name__, "pass one of these")


def is_frame(inputs: Any) -> bool:
    """Return whether inputs are a data frame."""
    return hasattr(inputs, "columns") and hasattr(inputs, "__getitem__")


def columns_of(frame: Any, like: Preprocessing) -> np.ndarray:
    """Return the columns of a data frame that the network was trained on, (N, D) float64.

    Raises:
        InputError: if a column is missing.
        InputTypeError: if the network was not trained on a table, or a column holds no numbers.
    """
    if like.kind != "table":
        remedy = "pass the column of the texts as a list" if like.kind in ("texts", "tokens") else "pass the images"
        raise fail_type("inputs", f"{like.kind}, as the run was trained on", "a data frame", remedy)
    _check_columns(frame.columns, like, "a data frame")
    return np.stack([_numbers(np.asarray(frame[name]), name) for name in like.columns], axis=1)


def _checked_tensor(inputs: Tensor, like: Preprocessing, shape: tuple[int, ...]) -> Tensor:
    if isinstance(shape, TokenShape):
        raise fail_type("inputs", "a list of texts", "a tensor or an array", "pass the texts themselves")
    if like.kind == "images":
        if inputs.dtype != torch.uint8:
            required = "images of dtype uint8, from 0 to 255"
            raise fail_type("inputs", required, f"dtype {inputs.dtype}", "pass them without normalisation")
        # the height and the width are the network's own matter
        fits, named = inputs.ndim == 4 and inputs.shape[1] == shape[0], (shape[0], "H", "W")
    else:
        fits, named = tuple(inputs.shape[1:]) == shape, shape
    if not fits:
        required = f"shape (N, {', '.join(map(str, named))})"
        remedy = "pass rows like those of the training data"
        if like.kind == "images" and inputs.ndim == 4 and inputs.shape[3] == shape[0]:
            remedy = "move the channels to the front, or pass a list of (H, W, C) images"
        raise fail("inputs", required, tuple(inputs.shape), remedy)
    return inputs


def _texts(texts: Sequence[Any], like: Preprocessing) -> Tensor | TokenRows:
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise fail_type("inputs", "a list of texts", f"a {type(text).__name__} in row {row}", "pass texts")
    if like.kind == "tokens":
        return like.tokenizers[0].encode(texts, lambda row: f"inputs[{row}]")
    return count_words(texts)


def _images(images: Sequence[Any], like: Preprocessing) -> Tensor:
    assert like.view is not None
    height, width = like.view.test
    rows = [_image(image, like, f"inputs[{row}]") for row, image in enumerate(images)]
    return torch.stack(rows) if rows else torch.zeros(0, like.view.channels, height, width, dtype=torch.uint8)


def _image(image: Any, like: Preprocessing, place: str) -> Tensor:
    assert like.view is not None
    if isinstance(image, Path):
        with opened(str(image), f"{place}, '{image}'") as picture:
            return like.view.seen(picture, place)
    if isinstance(image, Tensor):
        image = image.numpy(force=True)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            required = "images (H, W) or (H, W, 3) of dtype uint8 in a list"
            got = f"shape {image.shape} of dtype {image.dtype} in {place}"
            raise fail("inputs", required, got, "convert it, or pass all images as one tensor (N, C, H, W)")
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        remedy = "pass paths as pathlib.Path, images of Pillow, or arrays (H, W, 3)"
        raise fail_type("inputs", "a tensor or an array", f"a list with a {type(image).__name__} in {place}", remedy)
    return like.view.seen(image, place)


def _table(rows: Sequence[Any], like: Preprocessing) -> Tensor:
    for row, values in enumerate(rows):
        if not isinstance(values, Mapping):
            required = "a tensor or an array, or a list of mappings from columns to numbers"
            raise fail_type("inputs", required, f"a list with a {type(values).__name__} in row {row}", _AS_TENSOR)
        _check_columns(values, like, f"row {row}")
    columns = [_numbers(np.array([values[name] for values in rows], dtype=object), name) for name in like.columns]
    return torch.from_numpy(np.stack(columns, axis=1))


def _check_columns(names: Any, like: Preprocessing, place: str) -> None:
    there = set(names)
    missing = next((name for name in like.columns if name not in there), None)
    if missing is not None or not like.columns:
        got = f"no '{missing}' in {place}" if like.columns else "a run whose columns have no names"
        raise fail("inputs", "every column that the run was trained on", got, _AS_TENSOR)


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise fail_type("inputs", f"numbers in column '{name}'", "other values", "convert that column") from None
