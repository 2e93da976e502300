"""Strong perturbations of inputs: what each setting does, that rows are drawn one by one, and what is refused."""

from typing import Any

import pytest
import torch

from softtargets._errors import InputError
from softtargets.data.perturb import OF_IMAGES, Perturbation, perturbed

IMAGES = torch.randn(64, 1, 12, 12, generator=torch.Generator().manual_seed(0))


def _changed(inputs: torch.Tensor, seed: int = 0, **settings) -> torch.Tensor:
    return perturbed(inputs, Perturbation.parse(settings), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [*OF_IMAGES, "noise", "mask"])
def test_every_setting_changes_images_and_is_drawn_from_the_generator(name) -> None:
    value: Any = True if name == "flip" else 30.0 if name in ("rotation", "shear") else 0.4
    found = _changed(IMAGES, **{name: value})
    assert found.shape == IMAGES.shape
    assert torch.equal(found, _changed(IMAGES, **{name: value}))
    assert not torch.equal(found, _changed(IMAGES, seed=1, **{name: value}))
    rows = (found - IMAGES).flatten(1).abs().amax(1)
    assert int((rows > 1e-4).sum()) > 20
    # of two equal images, each has draws of its own
    same = _changed(IMAGES[:1].expand(64, -1, -1, -1), **{name: value})
    assert not torch.allclose(same[0], same[1:].mean(0))


def test_a_shift_moves_the_content_by_at_most_its_share_of_the_side() -> None:
    images = torch.zeros(500, 1, 21, 21)
    images[:, :, 10, 10] = 1.0
    found = _changed(images, shift=0.2)
    axis = torch.arange(21.0) - 10
    mass = found.sum((1, 2, 3))
    right = (found * axis).sum((1, 2, 3)) / mass
    down = (found * axis[:, None]).sum((1, 2, 3)) / mass
    for moved in (right, down):
        assert float(moved.abs().max()) <= 0.2 * 21 + 0.5
        assert float(moved.abs().max()) > 3.5
        assert abs(float(moved.mean())) < 0.5


def test_a_rotation_keeps_the_distance_to_the_centre() -> None:
    ring = torch.zeros(1, 1, 9, 9)
    ring[..., 4, 6] = 1.0
    turned = _changed(ring.expand(400, -1, -1, -1), rotation=180.0)
    axis = torch.arange(9.0) - 4
    mass = turned.sum((1, 2, 3))
    x, y = (turned * axis).sum((1, 2, 3)) / mass, (turned * axis[:, None]).sum((1, 2, 3)) / mass
    assert float(((x**2 + y**2).sqrt() - 2).abs().max()) < 0.25
    assert float(x.min()) < -1.8
    assert float(y.min()) < -1.8
    assert float(y.max()) > 1.8
    few = _changed(ring.expand(400, -1, -1, -1), rotation=20.0)
    assert float((few * axis).sum((1, 2, 3)).min()) > 0, "no image is turned by more than 20 degrees"


def test_a_flip_mirrors_about_half_of_the_images() -> None:
    found = _changed(IMAGES, flip=True)
    mirrored = torch.isclose(found, IMAGES.flip(-1), atol=1e-5).flatten(1).all(1)
    kept = torch.isclose(found, IMAGES, atol=1e-5).flatten(1).all(1)
    assert bool((mirrored ^ kept).all())
    assert 16 < int(mirrored.sum()) < 48


def test_noise_mask_and_cutout_have_the_size_that_they_say() -> None:
    zeros, ones = torch.zeros(200, 50), torch.ones(200, 50)
    assert float(_changed(zeros, noise=0.15).std()) == pytest.approx(0.15, rel=0.03)
    assert float((_changed(ones, mask=0.3) == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    found = _changed(torch.ones(2000, 2, 12, 12), cutout=0.5)
    cut = (found == 0).sum((2, 3))
    assert torch.equal(cut[:, 0], cut[:, 1])
    assert int(cut.max()) == 36
    assert int(cut.min()) >= 9  # a corner of the square is always inside
    whole = _changed(IMAGES, brightness=0.5) - IMAGES
    assert float(whole.flatten(1).std(1).max()) < 1e-5
    assert 0.45 < float(whole.abs().max()) <= 0.5


def test_rows_of_tables_may_be_changed_too() -> None:
    table = torch.randn(5, 7)
    assert _changed(table, noise=1.0, mask=0.5).shape == (5, 7)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "strong: at least one change; got none"),
        ({"noise": 0.0}, "strong: at least one change; got none"),
        ({"mask": 1.0}, "mask: below 1"),
        ({"shift": 2.0}, "shift: at most 1"),
        ({"blur": 1.0}, "blur"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words) -> None:
    with pytest.raises(InputError, match=words):
        Perturbation.parse(settings)
