"""Every objective trains a small network on the digits under noise; those with state survive a kill."""

import json
import math
import random
from dataclasses import replace

import pytest
import torch
from objective_specs import specification
from safetensors.torch import load_file
from training import kill_in_epoch, train

from softtargets._errors import InputError
from softtargets.data import load
from softtargets.data.noise import clean_labels
from softtargets.objectives import OBJECTIVES
from softtargets.runs.store import HISTORY, PREDICTIONS, RunStore
from softtargets.train import loop

NOISE = {"name": "symmetric", "rate": 0.2}
# words of each class
WORDS = ("goal match team", "star moon orbit", "pan salt oven", "vote law court")


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> str:
    """Return the path of 400 short texts of four classes."""
    path = tmp_path_factory.mktemp("data") / "texts.csv"
    draw = random.Random(0)
    rows = []
    for row in range(400):
        words = draw.choices(WORDS[row % 4].split(), k=4) + draw.choices(" ".join(WORDS).split(), k=3)
        rows.append(f"{' '.join(words)},class {row % 4}")
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return str(path)


def _data(name: str, texts: str) -> tuple[dict, list[str]]:
    """Return a data set for an objective, and the names of its classes."""
    if name in ("tfidf_smoothing", "keyword_smoothing"):
        return {"name": texts, "limit": None}, [f"class {index}" for index in range(4)]
    return {"limit": None}, [str(index) for index in range(10)]


# objectives whose specification here has the running average for a teacher
AVERAGED = ("distillation", "mean_teacher", "pseudo_labels")


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_trains(small_run, tmp_path, texts, name) -> None:
    data, class_names = _data(name, texts)
    resolved = small_run(
        data=data,
        noise=NOISE,
        objective=specification(name, class_names),
        training={"epochs": 2, "average_decay": 0.8 if name in AVERAGED else None},
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


# objectives with state or random draws
RESUMED = {
    "negative_smoothing": {"warmup": 0.3},
    "max_suppression": {},
    "cores": {"ramp_to": 1.0},
    "peer": {"ramp_to": 1.0},
    "learned_transition": {},
    "learned_smoothing": {},
    "scheduled_smoothing": {},
    "disturb_label": {},
    "mixup": {"per_example": True, "loss": {"name": "max_suppression"}},
    "cutmix": {"per_example": True, "probability": 0.5},
}
# their own parameters, with a learning rate of their own
OWN = {"learned_transition": "objective.scores", "learned_smoothing": "objective.table"}


@pytest.mark.parametrize("name", RESUMED)
def test_a_killed_run_ends_as_if_it_had_not_been(small_run, tmp_path, monkeypatch, name) -> None:
    own = [{"match": OWN[name], "learning_rate": 1.0, "weight_decay": 0.0}] if name in OWN else []
    resolved = small_run(
        noise=NOISE,
        objective={"name": name, **RESUMED[name]},
        optimizer={"groups": own},
    )
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert train(resolved, whole).status == "trained"
    kill_in_epoch(3, lambda: train(resolved, killed, checkpoint_seconds=0), monkeypatch)
    assert train(resolved, killed).status == "trained"
    for file in (HISTORY, PREDICTIONS):
        assert (whole.path(resolved.identity) / file).read_bytes() == (
            killed.path(resolved.identity) / file
        ).read_bytes()


@pytest.mark.parametrize("objective", [{"name": "pseudo_labels", "threshold": 0.5}, {"name": "distillation"}])
def test_rows_without_a_label_are_trained_on_without_it(small_run, tmp_path, objective) -> None:
    """Their numbers among the labels change nothing."""
    resolved = small_run(objective={**objective, "source": "average"}, training={"average_decay": 0.8})
    dataset = load(resolved.run.data)
    labelled = torch.ones(len(dataset.labels), dtype=torch.bool)
    labelled[dataset.splits["train"][::2]] = False
    weights = []
    for hidden in (0, 7):
        labels = dataset.labels.where(labelled, torch.tensor(hidden))
        some = replace(dataset, labels=labels, labelled=labelled)
        trainer = loop.Trainer(resolved, some, clean_labels(some), tmp_path)
        trainer.train(checkpoint_seconds=60)
        weights.append(trainer.predict(dataset.splits["test"])["logits"])
    assert torch.equal(weights[0], weights[1])
    assert torch.isfinite(weights[0]).all()
    plain = small_run()
    with pytest.raises(
        InputError, match=r"^objective: one that uses rows without a label: .*; got 'cross_entropy', with 60"
    ):
        loop.Trainer(plain, replace(dataset, labelled=labelled), clean_labels(dataset), tmp_path)
