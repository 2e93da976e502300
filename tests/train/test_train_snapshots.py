"""Weights through training: which epochs are kept, and that a kill at any moment changes no byte of them."""

import pytest
import torch
from safetensors.torch import load_file

from softtargets._errors import InputError
from softtargets.data import load
from softtargets.runs import snapshots
from softtargets.runs.network import load_trained
from softtargets.runs.snapshots import read_snapshots
from softtargets.runs.store import MODEL, SNAPSHOTS, RunStore
from softtargets.train import loop
from softtargets.train.execute import execute


class KilledError(BaseException):
    """Stands for the death of the process: no handler of errors may see it."""


def _bytes(store: RunStore, identity: str) -> bytes:
    return (store.path(identity) / SNAPSHOTS).read_bytes()


@pytest.mark.parametrize(
    ("every", "length", "kept"),
    [
        (1, {"epochs": 3}, [0, 1, 2, 3]),
        (2, {"epochs": 3}, [0, 2, 3]),
        (9, {"epochs": 3}, [0, 3]),
        # 4 steps an epoch: the third ends after 2
        (2, {"epochs": None, "steps": 10}, [0, 2, 3]),
    ],
)
def test_the_beginning_every_so_many_epochs_and_the_end_are_kept(small_run, tmp_path, every, length, kept) -> None:
    resolved, store = small_run(training={"snapshot_every": every, **length}), RunStore(tmp_path)
    assert execute(resolved, store).status == "trained"
    found = dict(read_snapshots(store.path(resolved.identity)))
    assert [*found] == kept
    last = load_file(store.path(resolved.identity) / MODEL)
    assert found[kept[-1]].keys() == last.keys()
    assert all(torch.equal(found[kept[-1]][name], last[name]) for name in last)
    assert not torch.equal(found[0]["head.weight"], last["head.weight"])
    result = store.result(resolved.identity)
    assert result is not None
    assert SNAPSHOTS in result["files"]
    # nothing of the run in the making is left
    assert not list(store.path(resolved.identity).glob("snapshot-*"))


def test_of_averaged_weights_the_average_is_kept_and_buffers_with_it(small_run, tmp_path) -> None:
    resolved = small_run(
        model={"name": "resnet", "depth": 8, "width": 4},
        training={"snapshot_every": 1, "epochs": 1, "average_decay": 0.9},
    )
    store = RunStore(tmp_path)
    assert execute(resolved, store).status == "trained"
    found = dict(read_snapshots(store.path(resolved.identity)))
    trained = load_trained(resolved, load(resolved.run.data), store)
    # the whole state, batch statistics too: it loads without a key that is missing
    trained.network.load_state_dict(found[0])
    last = load_file(store.path(resolved.identity) / MODEL)
    assert all(torch.equal(found[1][name], last[name]) for name in last)


def test_keeping_snapshots_changes_no_number_of_the_run(small_run, tmp_path) -> None:
    store, with_them, without = RunStore(tmp_path), small_run(training={"snapshot_every": 1}), small_run()
    for resolved in (with_them, without):
        assert execute(resolved, store).status == "trained"
    assert with_them.identity != without.identity
    assert (store.path(with_them.identity) / MODEL).read_bytes() == (store.path(without.identity) / MODEL).read_bytes()
    with pytest.raises(InputError, match="snapshot_every: given, for a run whose weights"):
        next(read_snapshots(store.path(without.identity)))


@pytest.mark.parametrize("checkpoint_seconds", [0, 1e9])
def test_killed_before_or_after_any_snapshot_the_run_ends_with_the_same_bytes(
    small_run, tmp_path, monkeypatch, checkpoint_seconds
) -> None:
    resolved = small_run(training={"snapshot_every": 2})
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    execute(resolved, whole)
    original = snapshots.Snapshots.keep
    for moment in range(5):
        for after in (False, True):

            def dies(self, epoch, model, moment=moment, after=after):
                if epoch == moment and not after:
                    raise KilledError
                original(self, epoch, model)
                if epoch == moment:
                    raise KilledError

            monkeypatch.setattr(snapshots.Snapshots, "keep", dies)
            with pytest.raises(KilledError):
                execute(resolved, killed, checkpoint_seconds=checkpoint_seconds)
    monkeypatch.setattr(snapshots.Snapshots, "keep", original)
    assert execute(resolved, killed).status == "trained"
    assert _bytes(killed, resolved.identity) == _bytes(whole, resolved.identity)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_snapshot_starts_the_run_again(small_run, tmp_path, monkeypatch, damage) -> None:
    resolved = small_run(training={"snapshot_every": 1})
    whole, store = RunStore(tmp_path / "whole"), RunStore(tmp_path / "damaged")
    execute(resolved, whole)
    original = loop.Trainer._train_epoch

    def dies(self):
        if self.epoch == 3:
            raise KilledError
        return original(self)

    monkeypatch.setattr(loop.Trainer, "_train_epoch", dies)
    with pytest.raises(KilledError):
        execute(resolved, store, checkpoint_seconds=0)
    trained: list[int] = []

    def counts(self):
        trained.append(self.epoch)
        return original(self)

    monkeypatch.setattr(loop.Trainer, "_train_epoch", counts)
    path = store.partial(resolved.identity) / "snapshot-1.safetensors"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    assert execute(resolved, store).status == "trained"
    assert trained == [0, 1, 2, 3]
    assert _bytes(store, resolved.identity) == _bytes(whole, resolved.identity)
