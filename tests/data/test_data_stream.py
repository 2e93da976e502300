"""Images that are streamed: what a network sees of them, on how many workers whatever, and what is refused."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, load, normalization
from softtargets.data import _images as images_module
from softtargets.data.batches import Inputs, check_augmentation
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.settings import ResizedCrop
from softtargets.data.spec import AugmentationSpec
from softtargets.data.stream import StreamedImages
from softtargets.data.views import View

CPU = torch.device("cpu")
ALL = AugmentationSpec.parse(
    {"flip": True, "shift": 1, "resized_crop": {}, "jitter": {"brightness": 0.4, "saturation": 0.4, "hue": 0.1}}
)


def loaded(path: Path, cache: Path | None = None, **values: Any) -> Dataset:
    return load(DataSpec.parse({"name": path, "test": 0, "validation": 0, **values}), cache=cache)


def refused(text: str, path: Path, **values: Any) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        loaded(path, **values)


def picture(row: int, size: tuple[int, int] = (20, 14)) -> Image.Image:
    """Return a smooth colour picture, which resampling changes little; (width, height)."""
    coarse = np.random.default_rng(row).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 12 images of several sizes and two classes."""
    root = tmp_path / "mixed"
    for row in range(12):
        path = root / ("cat", "dog")[row % 2] / f"{row:02}.{('png', 'jpg')[row % 3 == 0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(row, (16 + row, 30 - row)).save(path)
    return root


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif"])
@pytest.mark.parametrize("lost", [30, 200])
def test_a_file_that_is_cut_short_is_refused_with_its_name(folder: Path, suffix: str, lost: int) -> None:
    path = folder / "cat" / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert loaded(folder, size=16).input_shape == (3, 16, 16)
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    refused(f"image: an image that can be decoded; got cat/cut.{suffix}: ", folder, size=16)


def test_whole_files_are_not_decoded_before_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    padded = folder / "cat" / "00.jpg"
    padded.write_bytes(padded.read_bytes() + bytes(100))

    def decoded(image: Image.Image) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    assert loaded(folder, size=16).input_shape == (3, 16, 16)


def test_images_of_several_sizes_need_a_size(folder: Path) -> None:
    text = "image: images of one size, 16x30 as the first; got 18x28 in cat/02.png; resize or crop the images"
    refused(text, folder)
    refused(text, folder, stream=True)
    refused("set data.size, such as size = 224", folder)
    data = loaded(folder, size=8)
    assert isinstance(data.inputs, StreamedImages)
    assert (data.is_image, data.input_shape, data.class_names) == (True, (3, 8, 8), ("cat", "dog"))
    assert Inputs(data, CPU).batch(torch.arange(12)).shape == (12, 3, 8, 8)


def test_resized_images_are_held_in_memory_if_they_are_not_to_be_streamed(folder: Path, tmp_path: Path) -> None:
    for resize in (None, 8, 11):
        streamed = loaded(folder, size=8, resize=resize)
        for held in (loaded(folder, size=8, resize=resize, stream=False) for _ in range(2)):
            assert isinstance(held.inputs, torch.Tensor)
            assert torch.equal(held.inputs, torch.stack([streamed.inputs[row] for row in range(12)]))
            assert Preprocessing.of(held).view == Preprocessing.of(streamed).view
    again = load(DataSpec(name=str(folder), size=8, stream=False), cache=tmp_path / "cache")
    restored = load(DataSpec(name=str(folder), size=8, stream=False), cache=tmp_path / "cache")
    assert torch.equal(again.inputs, restored.inputs)
    assert again.view == restored.view == View(3, (8, 8), (8, 8), 7 / 8)
    text = "test_size: left out, or data.size (8), for images that are held in memory; got 12"
    refused(text, folder, size=8, test_size=12, stream=False)
    with pytest.raises(InputError, match="resized_crop: left out for images that are resized once and held in memory"):
        check_augmentation(AugmentationSpec(resized_crop=ResizedCrop()), again)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_bit(folder: Path, workers: int) -> None:
    def seen(count: int, augmentation: AugmentationSpec | None, epoch: int) -> torch.Tensor:
        inputs = Inputs(loaded(folder, size=8, workers=count), CPU)
        order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
        return torch.cat(list(inputs.batches(order, 5, augmentation, torch.Generator().manual_seed(epoch))))

    for augmentation in (ALL, None):
        assert torch.equal(seen(workers, augmentation, 1), seen(0, augmentation, 1))
    assert not torch.equal(seen(workers, ALL, 1), seen(workers, ALL, 2))


def test_the_draws_of_an_image_depend_on_the_seed_and_its_row_only(folder: Path) -> None:
    inputs = Inputs(loaded(folder, size=8, workers=0), CPU)
    whole = inputs.batch(torch.arange(12), ALL, torch.Generator().manual_seed(4))
    draws = torch.Generator().manual_seed(4)
    torch.rand(9, generator=draws)
    # as after a resume in the middle of an epoch
    rest = torch.cat(list(inputs.batches(torch.tensor([7, 3, 11]), 2, ALL, draws)))
    assert torch.equal(rest, whole[[7, 3, 11]])
    state = torch.get_rng_state()
    streamed = Inputs(loaded(folder, size=8, workers=2), CPU)
    assert torch.equal(torch.cat(list(streamed.batches(torch.arange(12), 4, ALL, draws))), whole)
    assert torch.equal(torch.get_rng_state(), state), "the generator of dropout is not used"


def test_training_and_test_sizes_differ(folder: Path) -> None:
    data = loaded(folder, size=8, test_size=12, resize=14)
    inputs = Inputs(data, CPU)
    ids = torch.arange(4)
    assert data.input_shape == (3, 8, 8)
    assert inputs.batch(ids).shape == (4, 3, 12, 12)
    assert inputs.batch(ids, AugmentationSpec()).shape == (4, 3, 8, 8)
    assert inputs.batch(ids, AugmentationSpec(flip=True), torch.Generator()).shape == (4, 3, 8, 8)
    with pytest.raises(InputError, match="generator: given with an augmentation"):
        inputs.batch(ids, AugmentationSpec(flip=True))


def _modes() -> list[bytes]:
    """Return images of 3x2 pixels in every mode that differs in how it is decoded."""
    values = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    colours = np.stack([values, values[::-1], 255 - values], 2)
    rgb = Image.fromarray(colours)
    exif = Image.Exif()
    exif[0x0112] = 8
    images: list[tuple[Image.Image, dict[str, object]]] = [
        (Image.fromarray(values), {"format": "PNG"}),
        (Image.fromarray(values > 90), {"format": "PNG"}),
        (Image.fromarray(values.astype(np.uint16) * 257), {"format": "PNG"}),
        (rgb, {"format": "PNG"}),
        (rgb.convert("P"), {"format": "PNG"}),
        (rgb.convert("P"), {"format": "PNG", "transparency": 3}),
        (rgb.convert("RGBA"), {"format": "PNG"}),
        (rgb.convert("CMYK"), {"format": "JPEG"}),
        (rgb.rotate(90, expand=True), {"format": "JPEG", "exif": exif, "quality": 95}),
    ]
    encoded = []
    for image, options in images:
        stream = io.BytesIO()
        image.save(stream, **options)  # pyright: ignore[reportArgumentType]
        encoded.append(stream.getvalue())
    return encoded


def test_streamed_pixels_of_every_mode_are_those_in_memory(tmp_path: Path, write_images: Callable[..., Path]) -> None:
    path = write_images(tmp_path / "set.parquet", _modes(), [0, 1, 0, 1, 0, 1, 0, 1, 0])
    memory, stream = loaded(path), loaded(path, stream=True)
    assert isinstance(memory.inputs, torch.Tensor)
    assert isinstance(stream.inputs, StreamedImages)
    assert memory.input_shape == stream.input_shape == (3, 2, 3)
    assert torch.equal(torch.stack([stream.inputs[row] for row in range(9)]), memory.inputs)
    assert memory.fingerprint == stream.fingerprint
    for one, other in zip(normalization(memory), normalization(stream), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(Inputs(memory, CPU).batch(torch.arange(9)), Inputs(stream, CPU).batch(torch.arange(9)))


def test_a_png_with_its_orientation_after_the_pixels_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for row in range(2):
            picture(row, (20, 10)).save(tmp_path / name / f"{row}.png", exif=exif)
    data = loaded(tmp_path, size=10, resize=10)
    turned = picture(0, (20, 10)).transpose(Image.Transpose.ROTATE_270).crop((0, 5, 10, 15))
    assert np.array_equal(data.inputs[0].permute(1, 2, 0).numpy(), np.array(turned))


def test_grey_images_keep_one_channel_unless_one_is_in_colour(tmp_path: Path, png: Callable[..., bytes]) -> None:
    for row in range(4):
        path = tmp_path / "set" / f"c{row % 2}" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(40 * row, (4 + row, 5)))
    assert loaded(tmp_path / "set", size=3).input_shape == (1, 3, 3)
    (tmp_path / "set" / "c1" / "9.png").write_bytes(png((1, 2, 3), (6, 6)))
    data = loaded(tmp_path / "set", size=3)
    assert data.input_shape == (3, 3, 3)
    assert data.inputs[1].flatten(1).tolist() == [[80] * 9] * 3
    assert data.inputs[4].flatten(1).tolist() == [[1] * 9, [2] * 9, [3] * 9]


def test_a_file_that_is_no_image_is_found_before_training(folder: Path) -> None:
    (folder / "dog" / "bad.png").write_bytes(b"no image")
    refused("image: an image that can be decoded; got dog/bad.png: cannot identify image file", folder, size=8)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_is_damaged_inside_is_named_when_it_is_decoded(folder: Path, workers: int) -> None:
    whole = (folder / "dog" / "05.png").read_bytes()
    (folder / "dog" / "05.png").write_bytes(whole[:-60] + bytes(30) + whole[-30:])
    data = loaded(folder, size=8, workers=workers, normalization="imagenet")
    text = re.escape("image: an image that can be decoded; got dog/05.png: ") + r".*; replace or drop that image$"
    with pytest.raises(InputError, match=text):
        list(Inputs(data, CPU).batches(torch.arange(12), 4))


def test_images_of_parquet_files_are_streamed_from_a_copy(tmp_path: Path, folder: Path, write_images) -> None:
    files = sorted(folder.glob("*/*"))
    labels = [("cat", "dog").index(file.parent.name) for file in files]
    path = write_images(tmp_path / "set.parquet", [file.read_bytes() for file in files], labels)
    first = loaded(path, tmp_path / "cache", size=8)
    (copy,) = (tmp_path / "cache").glob("*.images")
    assert copy.stat().st_size == sum(file.stat().st_size for file in files)
    ids = torch.arange(12)
    expected = Inputs(loaded(folder, size=8), CPU).batch(ids, ALL, torch.Generator().manual_seed(0))
    again = loaded(path, tmp_path / "cache", size=8)
    for data in (first, again, loaded(path, size=8)):
        assert torch.equal(Inputs(data, CPU).batch(ids, ALL, torch.Generator().manual_seed(0)), expected)
    copy.write_bytes(b"cut short")
    assert torch.equal(loaded(path, tmp_path / "cache", size=8).inputs[5], first.inputs[5])
    write_images(tmp_path / "broken.parquet", [files[0].read_bytes(), b"no image", files[1].read_bytes()], [0, 1, 0])
    refused("got broken.parquet, row 1: cannot identify image file", tmp_path / "broken.parquet", size=8)


def test_a_temporary_copy_is_deleted_with_its_data_set(tmp_path: Path, monkeypatch, write_images, png) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = write_images(tmp_path / "set.parquet", [png(size=(4 + row, 5)) for row in range(6)], [0, 1, 2] * 2)
    data = loaded(path, size=4, classes=2)
    assert len(list((tmp_path / "temporary").glob("softtargets-*"))) == 1
    assert data.inputs[0].shape == (1, 4, 4)
    del data
    assert list((tmp_path / "temporary").glob("softtargets-*")) == []


def test_what_decides_between_memory_and_stream(tmp_path: Path, monkeypatch, png, write_images) -> None:
    path = write_images(tmp_path / "set.parquet", [png(row, (4, 4)) for row in range(6)], [0, 1] * 3)

    def streamed(**values: Any) -> bool:
        return isinstance(loaded(path, **values).inputs, StreamedImages)

    assert not streamed()
    assert streamed(stream=True)
    assert not streamed(size=4)
    assert streamed(size=3)
    assert streamed(size=4, resize=5)
    assert streamed(size=3, test_size=4)
    assert streamed(size=4, stream=True)
    monkeypatch.setattr(images_module, "STREAMED_BYTES", 6 * 16 - 1)
    assert streamed()
    assert streamed(size=4)
    assert not streamed(stream=False)
    assert loaded(path, size=4).inputs[2].unique().tolist() == [2]


def test_the_images_have_exactly_the_size_so_nothing_is_cut_off(tmp_path: Path) -> None:
    for row in range(4):
        path = tmp_path / f"c{row % 2}" / f"{row}.png"
        path.parent.mkdir(exist_ok=True)
        picture(row, (16, 16)).save(path)
    whole = loaded(tmp_path, stream=True, size=16)
    assert np.array_equal(whole.inputs[1].permute(1, 2, 0).numpy(), np.array(picture(2, (16, 16))))
    cut = loaded(tmp_path, size=14, resize=16)
    central = picture(2, (16, 16)).crop((1, 1, 15, 15))
    assert np.array_equal(cut.inputs[1].permute(1, 2, 0).numpy(), np.array(central))


def test_a_large_jpeg_is_decoded_small(tmp_path: Path) -> None:
    for row in range(2):
        (tmp_path / f"c{row}").mkdir()
        picture(row, (1600, 1200)).save(tmp_path / f"c{row}" / "x.jpg", quality=95)
    data = loaded(tmp_path, size=32, resize=32)
    exact = picture(0, (1600, 1200)).crop((200, 0, 1400, 1200)).resize((32, 32), Image.Resampling.BILINEAR)
    found = data.inputs[0].permute(1, 2, 0).numpy().astype(int)
    assert abs(found - np.array(exact).astype(int)).mean() < 1.5


def test_normalization_that_is_given(folder: Path) -> None:
    mean, std = normalization(loaded(folder, size=8, normalization="imagenet"))
    assert torch.equal(mean, torch.tensor([0.485, 0.456, 0.406]))
    assert torch.equal(std, torch.tensor([0.229, 0.224, 0.225]))
    given = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    data = loaded(folder, size=8, normalization=given)
    seen = Inputs(data, CPU).batch(torch.tensor([3]))[0]
    expected = (data.inputs[3].double() / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor(
        [0.4, 0.5, 0.6]
    ).view(3, 1, 1)
    torch.testing.assert_close(seen.double(), expected, rtol=1e-5, atol=1e-6)
    refused(
        "normalization: 3 channels, as the images of 'mixed' have; got 1",
        folder,
        size=8,
        normalization={"mean": [0.5], "std": [1.0]},
    )
    with pytest.raises(InputError, match="normalization: one mean and one std for each channel"):
        DataSpec.parse({"name": "x", "normalization": {"mean": [0.5], "std": [1.0, 1.0, 1.0]}})
    with pytest.raises(InputError, match=r"normalization: .*imagenet"):
        DataSpec.parse({"name": "x", "normalization": "imagenett"})


def test_statistics_of_a_stream_are_computed_once(folder: Path, tmp_path: Path, monkeypatch) -> None:
    data = loaded(folder, tmp_path / "cache", size=8)
    mean, std = normalization(data)
    pixels = torch.stack([data.inputs.pixels(row, AugmentationSpec(), None) for row in range(12)]).double() / 255
    torch.testing.assert_close(mean.double(), pixels.mean((0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(std.double(), pixels.std((0, 2, 3), correction=0), rtol=1e-6, atol=0)
    monkeypatch.setattr(StreamedImages, "batches", None)
    again = normalization(loaded(folder, tmp_path / "cache", size=8))
    assert torch.equal(again[0], mean)
    assert torch.equal(again[1], std)
    with pytest.raises(TypeError):
        normalization(loaded(folder, tmp_path / "cache", size=9))


def test_settings_of_images_are_refused_for_tables(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    path = write_csv(tmp_path / "set.csv", [0, 1] * 3)
    refused("size: left out for data without images", path, size=8)
    refused("normalization: left out for data without images", path, normalization="imagenet")
    refused("size: left out for the digits, which are 8x8; got 16", Path("digits"), size=16)


def test_images_in_memory_are_augmented_alone_where_the_augmentation_says_so(tmp_path: Path, write_images, png) -> None:
    path = write_images(tmp_path / "set.parquet", [png((9 * row, 5, 100), (6, 6)) for row in range(8)], [0, 1] * 4)
    data = loaded(path, workers=2)
    assert isinstance(data.inputs, torch.Tensor)
    inputs = Inputs(data, CPU)
    ids, jitter = torch.arange(8), AugmentationSpec.parse({"jitter": {"brightness": 0.5}})
    assert inputs.drawn_alone(jitter)
    assert not inputs.drawn_alone(AugmentationSpec(flip=True))
    seen = inputs.batch(ids, jitter, torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat(list(inputs.batches(ids, 3, jitter, torch.Generator().manual_seed(1)))), seen)
    blue = (seen[:, 2] * normalization(data)[1][2] + normalization(data)[0][2]) * 255
    factors = (blue.mean((1, 2)) / 100).tolist()
    assert all(0.48 < factor < 1.52 for factor in factors)
    assert len({round(factor, 2) for factor in factors}) > 5, "each image has a brightness of its own"
    assert torch.equal(inputs.batch(ids), Inputs(loaded(path), CPU).batch(ids))


def test_augmentation_that_does_not_fit(folder: Path) -> None:
    data = loaded(folder, size=8, resize=8)
    with pytest.raises(InputError, match=r"augmentation.random_crop: images that are larger than data.size"):
        check_augmentation(AugmentationSpec(random_crop=True), data)
    check_augmentation(AugmentationSpec(random_crop=True), loaded(folder, size=8))
    with pytest.raises(InputError, match="augmentation: distances below 8 pixels"):
        check_augmentation(AugmentationSpec(crop_padding=8), data)
    with pytest.raises(InputError, match="random_crop: left out with resized_crop"):
        AugmentationSpec.parse({"random_crop": True, "resized_crop": {}})


def test_a_path_beside_bytes_is_never_opened(tmp_path: Path, png: Callable[..., bytes]) -> None:
    (tmp_path / "private.png").write_bytes(png())
    cells = pa.array([{"bytes": None, "path": str(tmp_path / "private.png")}] * 2)
    pq.write_table(pa.table({"image": cells, "label": [0, 1]}), tmp_path / "set.parquet")
    refused("the bytes of an image in every row; got none in set.parquet, row 0", tmp_path / "set.parquet", size=2)


def test_a_batch_that_does_not_fit_into_memory(folder: Path, monkeypatch) -> None:
    inputs = Inputs(loaded(folder, size=8, normalization="imagenet"), CPU)
    monkeypatch.setattr("softtargets.data.limits.data_bytes", lambda: 1000)
    with pytest.raises(InputError, match=r"data: data of at most .*; got .* for a batch of 12 streamed images"):
        inputs.batch(torch.arange(12))
