"""Training on streamed images: resumed within an epoch, estimated, and shared by processes."""

import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training import KilledError, files_of

from softtargets.data.sources import load_cached
from softtargets.runs.store import MODEL, PREDICTIONS, RunStore
from softtargets.train import load_run, loop
from softtargets.train.estimate import estimate_run_time
from softtargets.train.execute import execute


@pytest.fixture
def streamed(small_run, tmp_path):
    """Return a function from the changes of a specification to a run on a folder of images of several sizes."""
    draw, folder = np.random.default_rng(0), tmp_path / "images"
    for label, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            size = (14 + number % 3, 12 + number % 5, 3)
            values = draw.integers(0, 156, size) + 100 * label
            Image.fromarray(values.astype(np.uint8)).save(folder / name / f"{number}.png")

    def make(**changes):
        data = {"name": str(folder), "limit": None, "size": 12, "workers": 0, **changes.pop("data", {})}
        training = {"epochs": 2, "batch_size": 9, **changes.pop("training", {})}
        settings = {
            "model": {"name": "convnet", "widths": [4]},
            "augmentation": {"flip": True, "crop_padding": 1},
            "objective": {"name": "cutmix"},
        }
        return small_run(data=data, training=training, **{**settings, **changes})

    return make


def test_a_streamed_run_killed_within_an_epoch_ends_the_same_with_other_workers(
    streamed, tmp_path, monkeypatch
) -> None:
    resolved = streamed()
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    outcome = execute(resolved, whole)
    assert outcome.status == "trained", outcome
    with_workers = streamed(data={"workers": 1})
    assert with_workers.identity == resolved.identity
    step, taken, deaths = loop.Learner.step, [], [3]

    def dies(self, batch, save=False):
        if len(taken) in deaths:
            deaths.clear()
            raise KilledError
        taken.append(batch.ids)
        return step(self, batch, save)

    monkeypatch.setattr(loop.Learner, "step", dies)
    with pytest.raises(KilledError):
        execute(with_workers, killed, checkpoint_seconds=0)
    assert execute(with_workers, killed).status == "trained"
    assert len(taken) == (whole.result(resolved.identity) or {})["steps"], "no step was taken twice"
    assert files_of(killed, resolved.identity) == files_of(whole, resolved.identity)


def test_a_streamed_run_is_loaded_and_predicts_images_of_its_size(streamed, tmp_path) -> None:
    resolved, store = streamed(), RunStore(tmp_path / "runs")
    assert execute(resolved, store).status == "trained"
    run = load_run(store.path(resolved.identity))
    assert run.class_names == ("dark", "light")
    dataset = run.dataset
    pixels = torch.cat(list(dataset.inputs.batches([run.predictions["test.ids"]])))
    torch.testing.assert_close(run.logits(pixels), run.predictions["test.logits"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_streamed_run_is_estimated(streamed, tmp_path, workers) -> None:
    run = streamed(data={"workers": workers}).run
    measured = estimate_run_time(run, load_cached(run.data, str(tmp_path / "cache")), budget=0.0)
    assert measured.steps == 12
    assert 0 < measured.step_seconds < measured.seconds


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lightning_fabric") is None, reason="lightning-fabric is not installed")
def test_two_processes_decode_their_shares_and_give_the_numbers_of_one(streamed, tmp_path) -> None:
    store, numbers = RunStore(tmp_path / "runs"), []
    for count in (1, 2):
        # without batch normalisation, whose statistics are those of each process
        resolved = streamed(training={"devices": count}, model={"name": "mlp", "hidden": [16]})
        outcome = execute(resolved, store)
        assert outcome.status == "trained", outcome
        folder = store.path(resolved.identity)
        numbers.append({**load_file(folder / MODEL), **load_file(folder / PREDICTIONS)})
    for key, tensor in numbers[0].items():
        torch.testing.assert_close(numbers[1][key], tensor, rtol=1e-4, atol=2e-5)
