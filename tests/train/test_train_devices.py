"""Several processes train one run: real ones, on this machine, with gloo."""

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from safetensors.torch import load_file
from training import files_of

from softtargets import _packages
from softtargets._errors import InputError
from softtargets.runs.store import CHECKPOINT, MODEL, PREDICTIONS, RunStore
from softtargets.runs.training import Seeds
from softtargets.train import devices
from softtargets.train.execute import Outcome, execute, validate_setup
from softtargets.train.outputs import DivergedError
from softtargets.train.processes import Processes
from softtargets.train.streams import EpochStreams

together = pytest.mark.skipif(
    importlib.util.find_spec("lightning_fabric") is None, reason="lightning-fabric is not installed"
)
# Batches of 17 and a last one of 1 row, of which one process has none; state of every kind.
SETTINGS = {
    "mixup, parts, averages and dynamics": {
        "objective": {"name": "mixup", "smoothing": 0.1},
        "training": {
            "accumulate": 2,
            "clip_norm": 1.0,
            "average_decay": 0.9,
            "dynamics": True,
            "evaluate_every": 1,
        },
    },
    "state of examples and a teacher": {
        "objective": {"name": "distillation", "weight": 0.5, "source": "average"},
        "training": {"average_decay": 0.9},
    },
    "parameters of the objective": {"objective": {"name": "learned_transition"}},
}


def _resolved(small_run, count: int, settings: dict):
    training = {"epochs": 3, "batch_size": 17, **settings.get("training", {}), "devices": count}
    return small_run(data={"limit": {"train": 120, "validation": 41, "test": 60}}, **{**settings, "training": training})


@together
@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_two_processes_give_the_numbers_of_one(small_run, tmp_path, name) -> None:
    store, numbers = RunStore(tmp_path), []
    for count in (1, 2):
        resolved = _resolved(small_run, count, SETTINGS[name])
        outcome = execute(resolved, store)
        assert outcome.status == "trained", outcome
        folder = store.path(resolved.identity)
        numbers.append({**load_file(folder / MODEL), **load_file(folder / PREDICTIONS)})
    assert numbers[0].keys() == numbers[1].keys()
    for key, tensor in numbers[0].items():
        torch.testing.assert_close(numbers[1][key], tensor, rtol=1e-4, atol=2e-5, equal_nan=True)
    assert "MASTER_PORT" not in os.environ, "another run chooses its own port"


UNGUARDED = """
from softtargets.train import train_run

model = {"name": "mlp", "hidden": [4]}
trained = train_run({"model": model, "training": {"epochs": 1, "devices": 2}}, runs="RUNS")
print(trained.status, trained.message)
"""


@together
@pytest.mark.slow
def test_a_script_that_trains_when_it_is_imported_ends_with_the_reason(tmp_path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(UNGUARDED.replace("RUNS", str(tmp_path / "runs")))
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=240)
    assert "failed RuntimeError: devices: 2 processes that train to the end; got process " in ended.stdout
    assert 'put the call under if __name__ == "__main__":' in ended.stdout
    assert "training.devices: a script that can be imported without training" in ended.stderr


def _executed(resolved, store: RunStore) -> tuple[threading.Thread, list[Outcome]]:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(execute(resolved, store, checkpoint_seconds=0)))
    thread.start()
    return thread, outcomes


@together
@pytest.mark.slow
def test_a_killed_process_ends_the_run_with_a_message_and_it_resumes_bit_for_bit(small_run, tmp_path) -> None:
    settings = {"model": {"name": "mlp", "hidden": [16], "dropout": 0.3}, "training": {"epochs": 150}}
    resolved = _resolved(small_run, 2, settings)
    whole, store = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert execute(resolved, whole).status == "trained"
    thread, outcomes = _executed(resolved, store)
    while thread.is_alive() and not (store.partial(resolved.identity) / CHECKPOINT).exists():
        time.sleep(0.01)
    second = sorted(multiprocessing.active_children(), key=lambda child: child.pid or 0)[1]
    os.kill(second.pid or 0, signal.SIGKILL)
    thread.join()
    assert outcomes[0].status == "failed"
    assert "2 processes that train to the end; got process 2 ended by SIGKILL; run again" in outcomes[0].message
    assert not multiprocessing.active_children()
    assert (store.partial(resolved.identity) / CHECKPOINT).exists()
    outcome = execute(resolved, store)
    assert outcome.status == "trained", outcome
    assert files_of(store, resolved.identity) == files_of(whole, resolved.identity)


def test_the_dropout_of_each_process_is_restored() -> None:
    """Each process has a row of the states, and torch reads the storage of a view from its beginning."""
    with torch.random.fork_rng():
        streams = [EpochStreams(Seeds(), 0, torch.device("cpu"), Processes(_Fabric(rank, 2))) for rank in range(2)]
        states = torch.stack([torch.Generator().manual_seed(seed).get_state() for seed in (5, 6)])
        for rank, seed in enumerate((5, 6)):
            state = {"method": states[0], "augmentation": states[1], "dropout": states}
            streams[rank].load_state_dict(state)
            assert torch.rand(()) == torch.rand((), generator=torch.Generator().manual_seed(seed))
            expected = torch.rand((), generator=torch.Generator().manual_seed(6))
            assert torch.rand((), generator=streams[rank].augmentation) == expected


def test_a_number_that_is_not_finite_is_returned_and_not_raised(small_run, tmp_path, monkeypatch) -> None:
    """All processes find it at the same step: none of them has died, and the run is not tried again."""

    def diverges(*arguments):
        raise DivergedError("loss: finite; got nan")

    monkeypatch.setattr(devices, "train_to_record", diverges)
    resolved = small_run()
    said = devices._train_in_process(_Fabric(0, 2), resolved.model_dump_json(), str(tmp_path), 1.0)
    assert said == "loss: finite; got nan"


def test_several_devices_need_fabric(small_run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_packages, "is_installed", lambda name: False)
    with pytest.raises(InputError, match=r"training\.devices: .*lightning_fabric.*softtargets\[distributed\]"):
        validate_setup([small_run(training={"devices": 2})], RunStore(tmp_path))


def test_what_needs_cuda_is_refused_before_training(small_run, monkeypatch) -> None:
    monkeypatch.setattr(_packages, "is_installed", lambda name: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    run = small_run(training={"devices": 2, "sync_batch_norm": True}).run
    with pytest.raises(InputError, match=r"training\.devices: at most 1, the CUDA devices of this machine; got 2"):
        devices.check_devices(run, "cuda")
    with pytest.raises(InputError, match=r"training\.sync_batch_norm: false on the CPU"):
        devices.check_devices(run, "cpu")
    with pytest.raises(InputError, match=r"training\.sync_batch_norm: given with devices"):
        small_run(training={"sync_batch_norm": True})


class _Fabric:
    """A process of several whose sums are given."""

    def __init__(self, rank: int, size: int, total: torch.Tensor | None = None) -> None:
        self.global_rank, self.world_size, self.total = rank, size, total
        self.sent: list[torch.Tensor] = []

    def all_reduce(self, tensor: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "sum"
        self.sent.append(tensor)
        return tensor if self.total is None else self.total


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 12])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_are_disjoint_complete_and_in_order(rows, size) -> None:
    shares = [Processes(_Fabric(rank, size)).share(rows) for rank in range(size)]
    assert [row for share in shares for row in range(share.start, share.stop)] == list(range(rows))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True), "the first process always has rows"


def test_assembled_parts_are_at_their_place() -> None:
    fabric = _Fabric(1, 3)
    found = Processes(fabric).assembled(torch.tensor([[5.0, 6.0]]), 4)
    assert found.tolist() == [[0, 0], [0, 0], [5, 6], [0, 0]]
    found = Processes(fabric).assembled(torch.ones(2, 1), 4, dim=1)
    assert found.tolist() == [[0, 0, 1, 0]] * 2


def test_a_step_sums_gradients_and_averages_buffers_by_rows() -> None:
    weight, unused = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.tensor([1.0, 2.0])
    running = torch.tensor([8.0])
    # gradients of both, the buffer, which gradients the first process has, and its wish for a checkpoint
    total = torch.tensor([11.0, 22.0, 0.0, 5.0, 1.0, 0.0, 1.0])
    fabric = _Fabric(1, 2, total)
    assert Processes(fabric).reduce_step([weight, unused], [running], 0.25) is True
    assert fabric.sent[0].tolist() == [1, 2, 0, 2, 0, 0, 0]
    assert weight.grad.tolist() == [11, 22]
    assert unused.grad is None
    assert running.tolist() == [5]
    assert Processes().reduce_step([weight], [running], 1.0, save=False) is False
    assert weight.grad.tolist() == [11, 22]


def test_processes_that_disagree_are_found() -> None:
    with pytest.raises(RuntimeError, match=r"devices: the same checkpoint in all processes; got \[3, 4\]; run again"):
        Processes(_Fabric(0, 2, torch.tensor([3, 4]))).agree(3, "checkpoint")
