"""Every objective trains a small network on the digits under noise; those with state survive a kill."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from training import train

from softtargets.objectives import OBJECTIVES
from softtargets.runs.store import HISTORY, PREDICTIONS, RunStore
from softtargets.train import loop

NOISE = {"name": "symmetric", "rate": 0.2}
NEEDED = {
    "forward": {"noise_rate": 0.2},
    "backward": {"noise_rate": 0.2},
    "loss_bound": {"transition": NOISE},
    "distillation": {"source": "average", "weight": 0.3},
}


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_trains(small_run, tmp_path, name) -> None:
    resolved = small_run(
        data={"limit": None},
        noise=NOISE,
        objective={"name": name, **NEEDED.get(name, {})},
        training={"epochs": 2, "average_decay": 0.8 if name == "distillation" else None},
    )
    store = RunStore(tmp_path)
    outcome = train(resolved, store)
    assert outcome.status == "trained", outcome.message
    folder = store.path(resolved.identity)
    rows = [json.loads(line) for line in (folder / HISTORY).read_text().splitlines()]
    assert len(rows) == 2
    assert all(math.isfinite(row["objective"]) for row in rows)
    predictions = load_file(folder / PREDICTIONS)
    logits = predictions["test.logits"]
    assert torch.isfinite(logits).all()
    assert float((logits.argmax(-1) == predictions["test.labels"]).float().mean()) > 0.3  # by chance a tenth


class KilledError(BaseException):
    """Stands for the death of the process: no handler of errors may see it."""


STATEFUL = {
    "negative_smoothing": {"warmup": 0.3},
    "max_suppression": {},
    "cores": {"ramp_to": 1.0},
    "peer": {"ramp_to": 1.0},
    "learned_transition": {},
}


@pytest.mark.parametrize("name", STATEFUL)
def test_a_killed_run_ends_as_if_it_had_not_been(small_run, tmp_path, monkeypatch, name) -> None:
    own = [{"match": "objective.scores", "learning_rate": 1.0, "weight_decay": 0.0}]
    resolved = small_run(
        noise=NOISE,
        objective={"name": name, **STATEFUL[name]},
        optimizer={"groups": own if name == "learned_transition" else []},
    )
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert train(resolved, whole).status == "trained"
    original = loop.Trainer._train_epoch

    def dies(self):
        if self.epoch == 3:
            raise KilledError
        return original(self)

    monkeypatch.setattr(loop.Trainer, "_train_epoch", dies)
    with pytest.raises(KilledError):
        train(resolved, killed, checkpoint_seconds=0)
    monkeypatch.setattr(loop.Trainer, "_train_epoch", original)
    assert train(resolved, killed).status == "trained"
    for file in (HISTORY, PREDICTIONS):
        assert (whole.path(resolved.identity) / file).read_bytes() == (
            killed.path(resolved.identity) / file
        ).read_bytes()
