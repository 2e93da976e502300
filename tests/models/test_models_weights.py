"""Weights that training starts from: a file or a finished run."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from training import train

from softtargets._errors import InputError
from softtargets.data import fingerprint as data_fingerprint
from softtargets.data.sources import load
from softtargets.models.convnet import ConvNetSpec
from softtargets.models.weights import fingerprint, load_weights, read_weights
from softtargets.runs.network import load_trained
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import execute, resolve

WIDTHS = (4, 6)
DATA = {"name": "digits", "limit": {"train": 60, "validation": 20, "test": 20}}


def no_images(count: int) -> list[Tensor]:
    raise AssertionError("these weights do not depend on the data")


def resolved(**model: Any) -> ResolvedRun:
    run = RunSpec.parse(
        {
            "data": DATA,
            "model": {"name": "convnet", "widths": WIDTHS, **model},
            "optimizer": {"learning_rate": 0.05},
            "training": {"epochs": 1, "snapshot_every": 1, "batch_size": 20, "precision": "float32"},
        }
    )
    return resolve(run, data_fingerprint(run.data))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def finished(store: RunStore) -> Path:
    run = resolved()
    assert train(run, store).status == "trained"
    return store.path(run.identity)


def written(path: Path, **changes: Tensor) -> Path:
    torch.manual_seed(3)
    save_file({**ConvNetSpec(widths=WIDTHS).build((1, 8, 8), 10).state_dict(), **changes}, path)
    return path


def initial(run: ResolvedRun, store: RunStore) -> dict[str, Tensor]:
    """Return the weights before the first epoch."""
    assert train(run, store).status in ("trained", "present")
    everything = load_file(store.path(run.identity) / "snapshots.safetensors")
    return {name.removeprefix("epoch.0/"): value for name, value in everything.items() if "epoch.0/" in name}


@pytest.mark.parametrize("head", ["new", "kept"])
def test_a_run_starts_from_the_weights_of_a_finished_run(finished: Path, store: RunStore, head: str) -> None:
    trained, fresh = load_file(finished / "model.safetensors"), initial(resolved(), store)
    start = initial(resolved(init_from=str(finished), init_head=head), store)
    assert start.keys() == trained.keys()
    for name, value in start.items():
        source = fresh if head == "new" and name.startswith("head.") else trained
        assert torch.equal(value, source[name]), name
    assert not torch.equal(trained["head.weight"], fresh["head.weight"])


def test_the_identity_has_the_content_of_the_weights_and_not_their_path(finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy.safetensors"
    shutil.copy(finished / "model.safetensors", other)
    plain, folder, file = resolved(), resolved(init_from=str(finished)), resolved(init_from=str(other))
    assert folder.identity == file.identity != plain.identity
    assert resolved(init_from=str(finished), init_head="kept").identity != folder.identity
    changed = {**load_file(other)}
    changed["head.bias"] = changed["head.bias"] + 1
    save_file(changed, other)
    assert resolved(init_from=str(other)).identity != folder.identity
    assert plain.model_source is None
    assert plain.weights_fingerprint is None


def test_a_finished_run_is_loaded_without_the_weights_that_it_started_from(tmp_path: Path) -> None:
    file, store = written(tmp_path / "start.safetensors"), RunStore(tmp_path / "runs")
    run = resolved(init_from=str(file))
    assert train(run, store).status == "trained"
    file.unlink()
    network = load_trained(run, load(run.run.data), store).network
    assert torch.equal(network.state_dict()["head.weight"], read_weights(str(store.path(run.identity)))["head.weight"])


def test_weights_that_changed_after_planning_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "start.safetensors")
    run = resolved(init_from=str(file))
    written(file, **{"head.bias": torch.ones(10)})
    outcome = execute(run, RunStore(tmp_path / "runs"))
    assert outcome.status == "failed"
    assert (
        "model: the code and the initial weights of 'convnet' when the run was planned; got others" in outcome.message
    )


def test_the_hash_depends_on_names_shapes_types_and_bytes() -> None:
    base = fingerprint({"a": torch.zeros(4), "b": torch.ones(2)})
    assert base == fingerprint({"b": torch.ones(2), "a": torch.zeros(4)})
    others = [
        {"a": torch.zeros(4), "c": torch.ones(2)},
        {"a": torch.zeros(2, 2), "b": torch.ones(2)},
        {"a": torch.zeros(4, dtype=torch.int32), "b": torch.ones(2)},
        {"a": torch.tensor([0.0, 0, 0, -0.0]), "b": torch.ones(2)},
        {"a": torch.zeros(4)},
    ]
    assert len({base, *map(fingerprint, others)}) == 6


def test_what_is_refused(tmp_path: Path) -> None:
    def refused(place: Path | str, text: str, widths: tuple[int, ...] = WIDTHS, head: Any = "new") -> None:
        spec = ConvNetSpec(widths=widths, init_from=str(place), init_head=head)
        with pytest.raises(InputError, match=re.escape(text)):
            spec.initialise(spec.build((1, 8, 8), 10), no_images)

    file = written(tmp_path / "start.safetensors")
    required = "model.init_from: a .safetensors file, or a folder with model.safetensors such as a finished run; got "
    missing = tmp_path / "strat.safetensors"
    refused(missing, f"{required}'{missing}', which does not exist; did you mean '{file}'?")
    refused(tmp_path, f"{required}'{tmp_path}', which has no model.safetensors;")
    (tmp_path / "text").write_text("not weights, but more than eight bytes")
    refused(tmp_path / "text", f"{required}'{tmp_path / 'text'}' (")
    refused(file, "model.init_from: 'body.0.weight' of shape (5, 1, 3, 3); got (4, 1, 3, 3) in", (5, 6))
    refused(file, "model.init_from: all 18 tensors of the network; got no 'body.8.weight' (but 'body.", (4, 6, 7))
    refused(file, "model.init_from: only tensors of the network; got 'body.6.num_batches_tracked' in", (4,))
    written(file, **{"head.weight": torch.zeros(3, 6)})
    refused(file, "'head.weight' of shape (10, 6); got (3, 6) in", head="kept")
    with pytest.raises(
        InputError, match=r"init_head: given with weights to start from, and only then; got 'kept' alone"
    ):
        ConvNetSpec.parse({"init_head": "kept"})


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    network = ConvNetSpec(widths=WIDTHS).build((1, 8, 8), 10)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = read_weights(str(written(tmp_path / "start.safetensors", **{"body.6.bias": torch.zeros(7)})))
    with pytest.raises(InputError, match=r"body\.6\.bias"):
        load_weights(network, weights, keep_head=True, source="start")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
