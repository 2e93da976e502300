"""Images in Parquet files and in folders."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, load

Png = Callable[..., bytes]


def loaded(path: Path, **values: object) -> Dataset:
    return load(DataSpec.model_validate({"name": str(path), "test": 0, "validation": 0, **values}))


def refused(text: str, path: Path, **values: object) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        loaded(path, **values)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_grey_stays_one_channel(tmp_path: Path, png: Png, write_images: Callable[..., Path]) -> None:
    values = torch.arange(6, dtype=torch.uint8).reshape(2, 3)
    data = loaded(write_images(tmp_path / "a.parquet", [encoded(Image.fromarray(values.numpy())), png(9)], [0, 1]))
    assert data.inputs.dtype == torch.uint8
    assert data.is_image
    assert data.input_shape == (1, 2, 3)
    assert torch.equal(data.inputs[0, 0], values)
    assert data.inputs[1].unique().tolist() == [9]


def test_one_colour_image_makes_all_rgb(tmp_path: Path, png: Png, write_images: Callable[..., Path]) -> None:
    data = loaded(write_images(tmp_path / "a.parquet", [png(7), png((1, 2, 3)), png(8)], [0, 1, 1]))
    assert data.inputs[:, :, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3], [8, 8, 8]]


def test_modes(tmp_path: Path, png: Png, write_images: Callable[..., Path]) -> None:
    deep = encoded(Image.fromarray(np.array([[0, 257, 65535]], dtype=np.uint16)))
    black_and_white = encoded(Image.fromarray(np.array([[0, 255, 255]], dtype=np.uint8)).convert("1"))
    data = loaded(write_images(tmp_path / "grey.parquet", [deep, black_and_white], [0, 1]))
    assert data.inputs.flatten(1).tolist() == [[0, 1, 255], [0, 255, 255]]
    clear = Image.fromarray(np.full((2, 3, 4), (10, 20, 30, 0), dtype=np.uint8))
    palette = png((51, 102, 153), mode="P")
    see_through = encoded(Image.open(io.BytesIO(palette)), transparency=b"\x00" * 3)
    colours = [encoded(clear), palette, see_through, png((0, 0, 0), mode="CMYK", kind="JPEG")]
    data = loaded(write_images(tmp_path / "colour.parquet", colours, [0, 1, 1, 0]))
    assert data.inputs[:, :, 0, 0].tolist() == [[10, 20, 30], [51, 102, 153], [51, 102, 153], [0, 0, 0]]


def test_a_camera_s_orientation_is_followed(tmp_path: Path, write_images: Callable[..., Path]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = Image.fromarray(np.array([[0, 50, 100], [150, 200, 250]], dtype=np.uint8))
    path = write_images(tmp_path / "a.parquet", [encoded(pixels, exif=exif)] * 2, [0, 1])
    assert loaded(path).inputs[0, 0].tolist() == [[150, 0], [200, 50], [250, 100]]


def test_an_image_that_will_not_decode(tmp_path: Path, png: Png, write_images: Callable[..., Path]) -> None:
    refused(
        "image: an image that can be decoded; got set.parquet, row 1: cannot identify image file; replace",
        write_images(tmp_path / "set.parquet", [png(), b"not an image"], [0, 1]),
    )
    large = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)))
    path = write_images(tmp_path / "set.parquet", [large, large[: len(large) // 2]], [0, 1])
    refused("got set.parquet, row 1: ", path)
    refused("; replace or drop that image", path)
    for nothing in (None, b""):
        path = write_images(tmp_path / "set.parquet", [png(), png(), nothing], [0, 1, 0])
        refused("image: the bytes of an image in every row; got none in set.parquet, row 2; drop that row", path)


def test_a_stranger_s_path_is_never_opened(tmp_path: Path, png: Png) -> None:
    (tmp_path / "private.png").write_bytes(png())
    cells = pa.array([{"bytes": None, "path": str(tmp_path / "private.png")}] * 2)
    pq.write_table(pa.table({"image": cells, "label": [0, 1]}), tmp_path / "set.parquet")
    with pytest.raises(InputError):
        loaded(tmp_path / "set.parquet")


def test_images_of_two_sizes(tmp_path: Path, png: Png, write_images: Callable[..., Path]) -> None:
    write_images(tmp_path / "train.parquet", [png()] * 2, [0, 1])
    write_images(tmp_path / "test.parquet", [png(), png(size=(4, 5))], [0, 1])
    refused(
        "image: images of one size, 3x2 as the first; got 5x4 in test.parquet, row 1; resize or crop the images",
        tmp_path,
    )


def test_which_column(tmp_path: Path, png: Png) -> None:
    cells = pa.array([{"bytes": png(3), "path": None}, {"bytes": png(4), "path": None}])
    table = pa.table({"left": cells, "right": cells, "size": [1.0, 2.0], "label": [0, 1]})
    pq.write_table(table, tmp_path / "set.parquet")
    path = tmp_path / "set.parquet"
    refused("image: one of left, right; got nothing; name the column to read", path)
    refused(
        "image: a column of images, each {bytes, path}; got 'size' of set.parquet; use one of left, right",
        path,
        image="size",
    )
    refused(
        "image: one of the columns of set.parquet: left, right, size, label; got 'rigt'; did you mean 'right'?",
        path,
        image="rigt",
    )
    assert loaded(path, image="right").inputs[:, 0, 0, 0].tolist() == [3, 4]
    assert loaded(path, features=("size",)).inputs.tolist() == [[1], [2]]


@pytest.fixture
def folder(tmp_path: Path, png: Png) -> Path:
    root = tmp_path / "animals"
    for name, value in (("dog/a", 1), ("cat/b", 2), ("dog/c", 3), ("cat/deep/d", 4)):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value))
    (root / "notes.csv").write_text("nothing to do with it")
    (root / ".hidden").mkdir()
    return root


def test_a_folder_for_each_class(folder: Path) -> None:
    data = loaded(folder)
    assert data.name == "animals"
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.inputs[:, 0, 0, 0].tolist() == [2, 4, 1, 3]


def test_folders_for_splits(tmp_path: Path, folder: Path, png: Png) -> None:
    root = tmp_path / "splits"
    root.mkdir()
    folder.rename(root / "train")
    (root / "val" / "dog").mkdir(parents=True)
    (root / "val" / "dog" / "z.PNG").write_bytes(png(9))
    data = loaded(root, validation=0.5, test=0.25)
    assert data.inputs[data.splits["validation"], 0, 0, 0].tolist() == [9]
    assert (len(data.splits["train"]), len(data.splits["test"])) == (3, 1)
    (root / "val" / "dgo").mkdir()
    (root / "val" / "dgo" / "y.png").write_bytes(png(9))
    refused("label: at least one training example of every class; got none of class 1 ('dgo')", root)


def test_folders_that_are_refused(tmp_path: Path, folder: Path, png: Png) -> None:
    (folder / "loose.png").write_bytes(png())
    refused("name: every image in the folder of its class; got", folder)
    (folder / "loose.png").unlink()
    (folder / "dog" / "bad.png").write_bytes(b"no image")
    refused("got dog/bad.png: cannot identify image file", folder)
    (folder / "dog" / "bad.png").write_bytes(png(size=(9, 9)))
    refused("got 9x9 in dog/bad.png", folder)
    (folder / "dog" / "bad.png").unlink()
    (folder / "empty").mkdir()
    refused("got none of class 2 ('empty')", folder)
    refused(
        "features: nothing, as animals holds images and no columns; got ('x',); leave it out", folder, features=("x",)
    )
    (tmp_path / "only" / "test" / "dog").mkdir(parents=True)
    refused("name: a folder named train; got only test in", tmp_path / "only")
    refused("holds images", folder, features=("x",))


def test_a_folder_has_one_column_of_images_and_one_of_labels_whatever_they_are_called(folder: Path) -> None:
    data = loaded(folder, image="img", label="fine_label")
    assert data.inputs[:, 0, 0, 0].tolist() == [2, 4, 1, 3]
    assert data.labels.tolist() == [0, 0, 1, 1]
