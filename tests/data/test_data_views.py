"""What a network sees of one image: the part, its size, and random augmentation."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from softtargets._errors import InputError
from softtargets.data._pixels import Crop, cropped
from softtargets.data.spec import AugmentationSpec
from softtargets.data.views import View


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(width: int, height: int) -> Image.Image:
    """Return a picture whose red is the column and whose green is the row."""
    down, across = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([across, down, 0 * down], 2).astype(np.uint8))


def seen(view: View, image: Image.Image, seed: int, **augmentation: object) -> np.ndarray:
    return view.pixels(image, AugmentationSpec.parse(augmentation), seeded(seed))


def test_resize_and_centre_crop_by_hand() -> None:
    # shorter side 100 -> 50, and the central 40 of it: pixel j covers columns 60 + 2j and 61 + 2j
    view = View(3, (40, 40), (40, 40), 40 / 50)
    found = view.pixels(ramp(200, 100))
    assert found.shape == (3, 40, 40)
    # the antialiasing filter is symmetric, so a ramp stays a ramp
    assert abs(found[0, 20, 1:-1].astype(int) - (60.5 + 2 * np.arange(1, 39))).max() <= 0.5
    assert abs(found[1, 1:-1, 20].astype(int) - (10.5 + 2 * np.arange(1, 39))).max() <= 0.5


def test_a_training_image_shows_the_same_part_at_its_own_size() -> None:
    view = View(3, (20, 20), (40, 40), 0.8)
    small, large = view.pixels(ramp(200, 100), AugmentationSpec()), view.pixels(ramp(200, 100))
    assert small.shape == (3, 20, 20)
    halves = large.reshape(3, 20, 2, 20, 2).mean((2, 4))
    assert abs(small[:, 1:-1, 1:-1] - halves[:, 1:-1, 1:-1]).max() <= 1


def test_random_parts_have_the_areas_and_shapes_that_are_asked_for(monkeypatch) -> None:
    boxes: list[Crop] = []

    def recorded(image: Image.Image, choose) -> Image.Image:
        boxes.append(choose(*image.size))
        return cropped(image, choose)

    monkeypatch.setattr("softtargets.data.views.cropped", recorded)
    view = View(3, (8, 8), (8, 8))
    for seed in range(400):
        seen(view, ramp(250, 200), seed, resized_crop={"scale": [0.2, 0.6], "ratio": [0.5, 2.0]})
    left, top, right, bottom = np.array([box.box for box in boxes]).T
    share = (right - left) * (bottom - top) / (250 * 200)
    shape = np.log((right - left) / (bottom - top))
    assert left.min() >= 0 and top.min() >= 0 and right.max() <= 250 and bottom.max() <= 200  # noqa: PT018
    # rounding to whole pixels moves the share a little
    assert 0.19 < share.min() < 0.22
    # a large part of an extreme shape does not fit and is drawn again, so large shares are rarer
    assert 0.55 < share.max() < 0.61
    assert abs(shape).max() < np.log(2) + 0.05
    assert abs(shape.mean()) < 0.1
    assert left.std() > 25
    assert {box.size for box in boxes} == {(8, 8)}


def test_a_shape_that_never_fits_falls_back_to_the_centre() -> None:
    view = View(3, (4, 4), (4, 4))
    # at least the whole area, but three times as wide as high
    found = seen(view, ramp(60, 60), 0, resized_crop={"scale": [1.0, 1.0], "ratio": [3.0, 3.0]})
    expected = ramp(60, 60).resize((4, 4), Image.Resampling.BILINEAR, box=(0, 20, 60, 40), reducing_gap=2.0)
    assert np.array_equal(found, np.array(expected).transpose(2, 0, 1))


def test_a_random_square_is_placed_everywhere() -> None:
    view = View(3, (10, 10), (10, 10), 0.5)
    corners = np.array([seen(view, ramp(20, 20), seed, random_crop=True)[:2, 0, 0] for seed in range(200)])
    assert corners.min() == 0
    assert corners.max() >= 9
    assert abs(corners.mean(0) - 5).max() < 0.8


def test_shifted_images_have_black_borders_and_flips_are_half() -> None:
    view = View(1, (6, 6), (6, 6))
    white = Image.new("L", (6, 6), 255)
    found = np.stack([seen(view, white, seed, crop_padding=2)[0] for seed in range(300)])
    rows, columns = (found > 0).any(2).sum(1), (found > 0).any(1).sum(1)
    assert set(rows.tolist()) == set(columns.tolist()) == {4, 5, 6}
    assert abs((rows == 6).mean() - 1 / 5) < 0.08
    left = Image.fromarray(np.tile(np.arange(6, dtype=np.uint8), (6, 1)))
    mirrored = np.mean([seen(view, left, seed, flip=True)[0, 0, 0] == 5 for seed in range(300)])
    assert abs(mirrored - 0.5) < 0.1


@pytest.mark.parametrize(
    ("setting", "enhancer"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
def test_jitter_enhances_by_a_factor_in_its_range(setting: str, enhancer) -> None:
    view, image = (
        View(3, (9, 9), (9, 9)),
        Image.fromarray(np.random.default_rng(0).integers(60, 190, (9, 9, 3), np.uint8)),
    )
    of_factor = {k: np.array(enhancer(image).enhance(k / 1000)).transpose(2, 0, 1) for k in range(500, 1501)}
    factors = []
    for seed in range(40):
        found = seen(view, image, seed, jitter={setting: 0.5})
        near = min(of_factor, key=lambda k: abs(of_factor[k].astype(int) - found).sum())
        assert abs(of_factor[near].astype(int) - found).max() <= 1
        factors.append(near)
    assert min(factors) < 650
    assert max(factors) > 1350


def test_turned_hues() -> None:
    view, red = View(3, (2, 2), (2, 2)), Image.new("RGB", (2, 2), (200, 0, 0))
    found = {tuple(seen(view, red, seed, jitter={"hue": 0.5})[:, 0, 0].tolist()) for seed in range(60)}
    # every hue has the same largest and smallest channel
    assert all(abs(max(colour) - 200) <= 1 and min(colour) == 0 for colour in found)
    assert {np.argmax(colour) for colour in found} == {0, 1, 2}
    grey = Image.new("L", (2, 2), 90)
    assert seen(View(1, (2, 2), (2, 2)), grey, 0, jitter={"hue": 0.5, "saturation": 0.9}).tolist() == [
        [[90, 90], [90, 90]]
    ]


def test_settings_out_of_range() -> None:
    for bad in ({"scale": [0.5, 0.2]}, {"ratio": [2.0, 1.0]}, {"scale": [0.0, 1.0]}, {"scale": [0.1, 1.1]}):
        with pytest.raises(InputError, match=f"resized_crop.*{next(iter(bad))}"):
            AugmentationSpec.parse({"resized_crop": bad})
    with pytest.raises(InputError, match="hue"):
        AugmentationSpec.parse({"jitter": {"hue": 0.6}})
