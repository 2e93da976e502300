"""Checkpoints between steps: a run killed after any step ends bit for bit like one that was never killed."""

import random

import pytest
from training import STATEFUL, KilledError, files_of, kill_before_steps

from softtargets.runs.store import CHECKPOINT, HISTORY, STEPS, RunStore
from softtargets.train import checkpoints, loop
from softtargets.train.execute import execute
from softtargets.train.progress import steps_so_far

# Seven steps per epoch.
WITHIN = {
    **STATEFUL,
    "peer": {"objective": {"name": "peer"}},
    "cores with its sieve": {"objective": {"name": "cores"}, "training": {"epochs": 3}},
    "everything": {
        "model": {"name": "resnet", "depth": 8, "width": 4},
        "augmentation": {"crop_padding": 1, "flip": True},
        "objective": {"name": "mixup", "smoothing": 0.1},
        "training": {"dynamics": True, "average_decay": 0.9, "evaluate_every": 1, "snapshot_every": 1, "epochs": 2},
    },
    "dropout and parts": {
        "model": {"name": "mlp", "hidden": [16], "dropout": 0.3},
        "training": {"accumulate": 3, "clip_norm": 0.5},
    },
    "lars": {"optimizer": {"name": "lars", "nesterov": False}},
    "lamb": {"optimizer": {"name": "lamb", "nesterov": False, "learning_rate": 0.01}},
    "rmsprop": {"optimizer": {"name": "rmsprop", "nesterov": False, "learning_rate": 0.01}},
    "early stopping": {"training": {"evaluate_every": 1, "patience": 1, "monitor": "nll", "epochs": 8}},
}


def _small(settings: dict) -> dict:
    training = {"batch_size": 18, **settings.get("training", {})}
    return {**settings, "training": training}


@pytest.mark.parametrize("name", WITHIN)
def test_a_run_killed_after_any_step_ends_bit_for_bit_the_same(small_run, tmp_path, monkeypatch, name) -> None:
    resolved = small_run(**_small(WITHIN[name]))
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert execute(resolved, whole).status == "trained"
    steps = (whole.result(resolved.identity) or {})["steps"]
    deaths = random.Random(name).sample(range(1, steps), 4)
    with monkeypatch.context() as patch:
        taken = kill_before_steps(patch, set(deaths))
        for _ in deaths:
            with pytest.raises(KilledError):
                execute(resolved, killed, checkpoint_seconds=0)
            assert (killed.partial(resolved.identity) / CHECKPOINT).exists()
        assert execute(resolved, killed, checkpoint_seconds=0).status == "trained"
    assert taken == list(range(steps)), "no step was taken twice"
    assert files_of(killed, resolved.identity) == files_of(whole, resolved.identity)


def test_a_checkpoint_is_saved_within_an_epoch_only_when_it_is_due(small_run, tmp_path, monkeypatch) -> None:
    """A clock that advances a second per step: a checkpoint every third step, wherever an epoch ends."""
    resolved, saved = small_run(training={"batch_size": 18, "epochs": 2}), []
    clock, original = {"now": 0.0}, checkpoints.Journal.save
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock["now"])
    step = loop.Learner.step

    def ticks(self, batch, save=False):
        clock["now"] += 1
        return step(self, batch, save)

    def counts(self, state):
        saved.append(state["step"])
        original(self, state)

    monkeypatch.setattr(loop.Learner, "step", ticks)
    monkeypatch.setattr(checkpoints.Journal, "save", counts)
    execute(resolved, RunStore(tmp_path), checkpoint_seconds=3)
    # whether one is due is asked before a step, since all processes have to know it
    assert saved == [4, 7, 11]


def test_slow_checkpoints_become_less_frequent(tmp_path, monkeypatch) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(checkpoints, "save_state", lambda path, state: clock.update(now=clock["now"] + 3))
    journal = checkpoints.Journal(tmp_path, b"", 20.0)
    clock["now"] = 20.0
    assert journal.due
    journal.save({})
    clock["now"] = 23.0 + 59
    assert not journal.due
    clock["now"] = 23.0 + 60
    assert journal.due


def test_progress_within_a_long_epoch_is_noted(small_run, tmp_path, monkeypatch) -> None:
    resolved, store = small_run(training={"batch_size": 18}), RunStore(tmp_path)
    monkeypatch.setattr(checkpoints, "NOTE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        kill_before_steps(patch, {3})
        with pytest.raises(KilledError):
            execute(resolved, store)
    folder = store.partial(resolved.identity)
    assert (folder / HISTORY).read_bytes() == b""
    assert steps_so_far(store, resolved.identity) == 3
    (folder / STEPS).write_text("many")
    assert steps_so_far(store, resolved.identity) == 0
    assert execute(resolved, store).status == "trained"
    assert not (store.path(resolved.identity) / STEPS).exists()


def test_a_loss_that_is_not_finite_ends_a_long_epoch_at_the_next_checkpoint(small_run, tmp_path) -> None:
    settings = {"optimizer": {"learning_rate": 1e30, "nesterov": False}, "training": {"batch_size": 18}}
    resolved, store = small_run(**settings), RunStore(tmp_path)
    outcome = execute(resolved, store, checkpoint_seconds=0)
    assert outcome.status == "failed"
    assert "at step 1 of 28 (epoch 1)" in outcome.message
