"""Training on images of several sizes, which are streamed, and on rows without a label."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training import kill_in_epoch, train

from softtargets._errors import InputError
from softtargets.measures import measure_record
from softtargets.runs.record import read_predictions
from softtargets.runs.store import MODEL, PREDICTIONS, RunStore
from softtargets.train.execute import execute, validate_setup
from softtargets.train.schedule import train_all

NETWORK = {"name": "resnet", "depth": 8, "width": 4}
AUGMENTED = {"flip": True, "resized_crop": {"scale": [0.5, 1.0]}, "jitter": {"brightness": 0.3}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """48 pictures of several sizes; their class is their mean colour."""
    root = tmp_path / "pictures"
    for row in range(48):
        path = root / ("blue", "green", "red")[row % 3] / f"{row:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(row).integers(0, 120, (20 + row % 5, 24 - row % 7, 3), dtype=np.uint8)
        pixels[..., 2 - row % 3] += 100
        Image.fromarray(pixels).save(path)
    return root


def settings(folder: Path, data: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a small run on the pictures."""
    return {
        "data": {"name": str(folder), "size": 12, "workers": 0, "limit": None, **(data or {})},
        "model": NETWORK,
        "noise": None,
        "augmentation": AUGMENTED,
        "training": {"epochs": 3, "batch_size": 8, "precision": "float32"},
        **changes,
    }


def _files(store: RunStore, identity: str) -> list[bytes]:
    return [(store.path(identity) / name).read_bytes() for name in (MODEL, PREDICTIONS)]


def test_workers_and_a_resume_change_no_bit(folder: Path, tmp_path: Path, small_run, monkeypatch) -> None:
    resolved = small_run(**settings(folder))
    whole, parallel, killed = (RunStore(tmp_path / name) for name in ("whole", "parallel", "killed"))
    assert execute(resolved, whole).status == "trained"
    several = small_run(**settings(folder, {"workers": 2}))
    assert several.identity == resolved.identity
    assert execute(several, parallel).status == "trained"
    assert _files(parallel, resolved.identity) == _files(whole, resolved.identity)

    kill_in_epoch(2, lambda: execute(resolved, killed, checkpoint_seconds=0), monkeypatch)
    assert execute(several, killed).status == "trained"
    assert _files(killed, resolved.identity) == _files(whole, resolved.identity)


def test_several_runs_at_a_time_have_workers_of_their_own(folder: Path, tmp_path: Path, small_run) -> None:
    runs = [small_run(**settings(folder, {"workers": 1}, seeds=seed)) for seed in (0, 1)]
    outcomes = train_all(runs, RunStore(tmp_path / "runs"), workers=2)
    assert [(outcome.status, outcome.message) for outcome in outcomes] == [("trained", "")] * 2


def test_the_record_tells_how_many_rows_each_class_has(folder: Path, tmp_path: Path, small_run) -> None:
    resolved = small_run(**settings(folder, {"per_class": 5, "validation": 0.25, "test": 0.25}))
    store = RunStore(tmp_path / "runs")
    execute(resolved, store)
    result = store.result(resolved.identity)
    assert result is not None
    assert result["data"]["class_counts"] == {"train": [5, 5, 5], "validation": [3, 3, 3], "test": [4, 4, 4]}
    assert result["data"]["input_shape"] == [3, 12, 12]


def test_a_network_is_tested_at_a_larger_size(folder: Path, tmp_path: Path, small_run) -> None:
    resolved = small_run(**settings(folder, {"test_size": 16}))
    store = RunStore(tmp_path / "runs")
    assert execute(resolved, store).status == "trained"
    assert 0 <= measure_record(store, resolved.identity)["test.accuracy"] <= 1
    fixed = small_run(**settings(folder, {"test_size": 16}, model={"name": "mlp", "hidden": [4]}))
    with pytest.raises(InputError, match=r"data\.test_size: the size of training images.*; got 16 with size 12"):
        validate_setup([fixed], store)


@pytest.mark.parametrize("way", ["online", "precomputed", "cached"])
def test_teachers_of_streamed_images(folder: Path, tmp_path: Path, small_run, way: str) -> None:
    augmentation = AUGMENTED if way == "online" else {"flip": False, "resized_crop": None, "jitter": None}
    objective: dict[str, Any] = {"name": "distillation", "temperature": 2.0}
    if way == "cached":
        objective["cache"] = {"k": 2}
    teacher = settings(folder, augmentation=augmentation)
    teacher["training"] = {**teacher["training"], "epochs": 1}
    base = small_run(**teacher).run
    student = small_run(
        **settings(
            folder, augmentation=augmentation, objective=objective, teachers=[base.model_dump(exclude_none=True)]
        )
    )
    outcome = train(student, RunStore(tmp_path / "runs"))
    assert outcome.status == "trained", outcome.message


def test_an_image_that_is_damaged_inside_ends_the_run_with_its_name(folder: Path, tmp_path: Path, small_run) -> None:
    whole = (folder / "red" / "05.png").read_bytes()
    pixels = whole.index(b"IDAT") + 4
    (folder / "red" / "05.png").write_bytes(whole[:pixels] + bytes(20) + whole[pixels + 20 :])
    normalised = {"normalization": "imagenet", "workers": 1}
    outcome = execute(small_run(**settings(folder, normalised)), RunStore(tmp_path / "runs"))
    assert outcome.status == "failed"
    assert "got red/05.png" in outcome.message


def test_rows_without_a_label_are_trained_on_and_not_recorded(folder: Path, tmp_path: Path, small_run) -> None:
    data = {"unlabelled": 0.5, "validation": 0.25, "test": 0.25}
    plain = small_run(**settings(folder, data))
    store = RunStore(tmp_path / "runs")
    with pytest.raises(InputError, match="objective: one that uses rows without a label"):
        validate_setup([plain], store)
    resolved = small_run(**settings(folder, data, objective={"name": "pseudo_labels"}))
    assert execute(resolved, store).status == "trained"
    result, found = store.result(resolved.identity), read_predictions(store.path(resolved.identity))
    assert result is not None
    assert result["data"]["sizes"]["train"] == 27
    assert sum(result["data"]["class_counts"]["train"]) == len(found["train.ids"]) == 13
    assert len(found["test.ids"]) == 12


def test_a_stream_learns_what_memory_learns(folder: Path, tmp_path: Path, small_run) -> None:
    """The same pictures of one size, without augmentation: in memory and streamed give the same weights."""
    for path in folder.glob("*/*.png"):
        Image.open(path).resize((12, 12)).save(path)
    store, weights = RunStore(tmp_path / "runs"), []
    for stream in (False, True):
        run = small_run(**settings(folder, {"stream": stream}, augmentation={"resized_crop": None, "jitter": None}))
        assert execute(run, store).status == "trained"
        weights.append(load_file(store.path(run.identity) / MODEL))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
