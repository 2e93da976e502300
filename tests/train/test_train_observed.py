"""What is made of observed labels: the transition that an objective is given, and the epoch that is selected."""

import json

import pytest
import torch
from training import train

from softtargets import noise
from softtargets._errors import InputError
from softtargets.data import fingerprint
from softtargets.measures import measure_record
from softtargets.objectives.transitions import EstimatedTransition
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import HISTORY, RunStore
from softtargets.train import loop
from softtargets.train.execute import resolve, validate_setup

FORWARD = {"name": "forward", "transition": {"name": "estimated", "estimator": "confident_joint"}}


def test_a_transition_is_estimated_from_a_first_run_that_is_kept_and_shared(small_run, tmp_path) -> None:
    store = RunStore(tmp_path)
    settings = {"noise": {"name": "pair_flip", "rate": 0.3}, "training": {"evaluate_every": 1, "epochs": 12}}
    resolved = small_run(objective=FORWARD, **settings)
    assert train(resolved, store).status == "trained"
    first = resolved.run.pretraining()
    assert first is not None
    assert first == small_run(**settings).run
    before = resolved.changed(run=first)
    assert train(before, store).status == "present", "the first run is kept like any other"
    said = read_predictions(store.path(before.identity))
    held_out = said["selected.validation.logits"].double().softmax(-1)
    expected = noise.confident_joint(held_out, said["validation.observed"]).transition.to_dense()
    assert torch.equal(read_predictions(store.path(resolved.identity))["transition"], expected)
    source = resolved.run.objective.needs_transition()
    assert isinstance(source, EstimatedTransition)
    assert torch.equal(source.estimate(said).to_dense(), expected)


def test_the_known_transition_is_the_one_that_labels_were_drawn_from(small_run, tmp_path) -> None:
    store = RunStore(tmp_path)
    known = {"name": "forward", "transition": {"name": "known"}}
    resolved = small_run(objective=known, noise={"name": "pair_flip", "rate": 0.3})
    assert train(resolved, store).status == "trained"
    used = read_predictions(store.path(resolved.identity))["transition"]
    assert torch.equal(used, noise.pair_flip(0.3, 10).to_dense())
    assert measure_record(store, resolved.identity)["transition.distance"] < 0.1
    unknown = small_run(objective=known, noise={"name": "instance", "rate": 0.3})
    with pytest.raises(InputError, match="whose transition is unknown"):
        train(unknown, store)


def test_a_first_run_that_fails_fails_the_second_by_name(small_run, tmp_path) -> None:
    store = RunStore(tmp_path)
    wild = {"optimizer": {"learning_rate": 1e30}}
    outcome = train(small_run(objective=FORWARD, **wild), store)
    assert outcome.status == "failed"
    assert outcome.message.startswith("pre-training: a finished run; got a failure: ")


def test_the_selected_epoch_is_the_first_that_does_best_on_observed_labels(small_run, tmp_path) -> None:
    store = RunStore(tmp_path)
    resolved = small_run(
        noise={"name": "symmetric", "rate": 0.5},
        training={"evaluate_every": 1, "epochs": 10},
        optimizer={"learning_rate": 0.5},
    )
    assert train(resolved, store).status == "trained"
    folder = store.path(resolved.identity)
    history = [json.loads(line) for line in (folder / HISTORY).read_text().splitlines()]
    reached = [row["validation_accuracy"] for row in history]
    result = store.result(resolved.identity)
    assert result is not None
    assert result["selected_epoch"] == reached.index(max(reached)) + 1
    said = read_predictions(folder)
    best = (said["selected.validation.logits"].argmax(-1) == said["validation.observed"]).double().mean()
    assert float(best) == max(reached)
    values = measure_record(store, resolved.identity)
    assert values["selected.validation.accuracy"] == max(reached)
    right = said["selected.test.logits"].argmax(-1) == said["test.labels"]
    assert values["selected.test.accuracy"] == pytest.approx(float(right.double().mean()))
    assert not torch.equal(said["selected.test.logits"], said["test.logits"]), "else the test could not tell them apart"


def test_a_selected_epoch_that_is_the_last_one_is_predicted_once(small_run, tmp_path, monkeypatch) -> None:
    calls: list[int] = []
    original = loop.Trainer.predict
    monkeypatch.setattr(loop.Trainer, "predict", lambda self, rows: calls.append(len(rows)) or original(self, rows))
    store, resolved = RunStore(tmp_path), small_run(training={"evaluate_every": 1, "epochs": 1})
    assert train(resolved, store).status == "trained"
    said = read_predictions(store.path(resolved.identity))
    for split in ("train", "validation", "test"):
        assert torch.equal(said[f"selected.{split}.logits"], said[f"{split}.logits"])
    assert len(calls) == 3


def test_clean_labels_choose_no_epoch_and_train_nothing(tmp_path) -> None:
    """The same observed labels over other clean ones give the same run, epoch and weights (trap 38)."""
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 4, generator=draws)
    clean = (inputs[:, 0] > 0).long()
    observed = torch.where(torch.rand(120, generator=draws) < 0.3, 1 - clean, clean)
    lines = [f"{','.join(map(str, x))},{y},{1 - y}" for x, y in zip(inputs.tolist(), clean.tolist(), strict=True)]
    data, people = tmp_path / "data.csv", tmp_path / "people.csv"
    data.write_text("a,b,c,d,right,reversed\n" + "\n".join(lines) + "\n")
    people.write_text("seen\n" + "\n".join(map(str, observed.tolist())) + "\n")
    store, results = RunStore(tmp_path / "runs"), []
    for label in ("right", "reversed"):
        run = RunSpec.parse(
            {
                "data": {
                    "name": str(data),
                    "label": label,
                    "features": ["a", "b", "c", "d"],
                    "test": 0.0,
                    "fold": {"index": 0, "count": 3},
                },
                "noise": {"name": "recorded", "file": str(people), "column": "seen"},
                "model": {"name": "mlp", "hidden": [16]},
                "optimizer": {"learning_rate": 0.5},
                "training": {"epochs": 12, "batch_size": 16, "evaluate_every": 1, "precision": "float32"},
            }
        )
        resolved = resolve(run, fingerprint(run.data))
        assert train(resolved, store).status == "trained"
        results.append((store.result(resolved.identity), read_predictions(store.path(resolved.identity))))
    (one, said), (other, again) = results
    assert one is not None
    assert other is not None
    assert one["selected_epoch"] == other["selected_epoch"]
    assert one["noise_rates"]["validation"] == pytest.approx(1 - other["noise_rates"]["validation"])
    for name in ("validation.observed", "train.logits", "selected.train.logits", "selected.validation.logits"):
        assert torch.equal(said[name], again[name]), name
    assert torch.equal(said["validation.labels"], 1 - again["validation.labels"])


def test_dynamics_say_how_each_training_label_was_learned(small_run, tmp_path) -> None:
    store = RunStore(tmp_path)
    resolved = small_run(
        noise={"name": "symmetric", "rate": 0.3}, training={"dynamics": True, "epochs": 15}, model={"hidden": [32]}
    )
    assert train(resolved, store).status == "trained"
    said = read_predictions(store.path(resolved.identity))
    wrong = said["train.labels"] != said["train.observed"]
    margin = said["train.area_under_margin"]
    assert len(margin) == len(said["train.ids"]) == len(said["train.forgetting"]) == len(said["train.early_agreement"])
    assert float(margin[wrong].mean()) < float(margin[~wrong].mean())


def test_a_transition_is_not_estimated_from_clean_labels(small_run, tmp_path) -> None:
    noise = {"name": "pair_flip", "rate": 0.3, "splits": ["train"]}
    with pytest.raises(
        InputError, match=r"noise.splits: 'validation' too, from whose labels the transition is estimated"
    ):
        validate_setup([small_run(objective=FORWARD, noise=noise)], RunStore(tmp_path))


def test_an_epoch_is_selected_among_those_there_are(small_run, tmp_path) -> None:
    with pytest.raises(InputError, match=r"training.evaluate_every: at most 4, the number of epochs; got 5"):
        validate_setup([small_run(training={"evaluate_every": 5})], RunStore(tmp_path))
