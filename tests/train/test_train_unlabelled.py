"""Training with unlabelled rows: batches with labelled rows, averages, shares of pseudo-labels, resumed runs, a CSV."""

import json
import math
from dataclasses import replace

import pytest
import torch
from training import KilledError, files_of, kill_before_steps, train

from softtargets._errors import InputError
from softtargets.data import load
from softtargets.data.noise import clean_labels
from softtargets.runs.record import read_history
from softtargets.runs.store import RESULT, RunStore
from softtargets.train import loop, train_run
from softtargets.train.averaging import average_of
from softtargets.train.execute import execute
from softtargets.train.pseudo_labels import pseudo_label_shares
from softtargets.train.streams import EpochStreams

FEW = {"labelled_per_class": 2}
TEACHER = {
    "objective": {"name": "mean_teacher", "weight": 20.0, "strong": {"noise": 0.2, "shift": 0.1}},
    "training": {"average_decay": 0.9, "average_ramp": True, "labelled_batch": 8},
}
FIXMATCH = {
    "objective": {
        "name": "pseudo_labels",
        "threshold": 0.15,
        "ramp": "sigmoid",
        "strong": {"noise": 0.2, "shift": 0.1},
    },
    "augmentation": {"shift": 1},
    "training": {"labelled_batch": 8},
}


def test_every_batch_has_labelled_rows_and_an_epoch_is_a_pass_over_the_others(small_run, tmp_path) -> None:
    resolved = small_run(data=FEW, objective={"name": "pseudo_labels"}, training={"labelled_batch": 8})
    dataset = load(resolved.run.data)
    trainer = loop.Trainer(resolved, dataset, clean_labels(dataset), tmp_path)
    streams = EpochStreams(resolved.run.seeds, 0, trainer.device, trainer.processes)
    rows = trainer._batches.divided(streams.order(dataset.splits["train"]), streams)
    assert trainer.length.steps_per_epoch == len(rows) == math.ceil(100 / 24)
    assert dataset.labelled is not None
    assert [int(dataset.labelled[batch].sum()) for batch in rows] == [8] * 5
    assert all(bool(dataset.labelled[batch[:8]].all()) for batch in rows)
    whole = torch.cat(rows)
    others = whole[~dataset.labelled[whole]]
    assert sorted(others.tolist()) == sorted(
        set(dataset.splits["train"].tolist()) - set(dataset.labelled_train.tolist())
    )
    repeated = whole[dataset.labelled[whole]]
    for start in (0, 20):  # each pass has every labelled row once
        assert sorted(repeated[start : start + 20].tolist()) == dataset.labelled_train.tolist()
    again = trainer._batches.divided(streams.order(dataset.splits["train"]), streams)
    assert all(torch.equal(a, b) for a, b in zip(rows, again, strict=True))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"training": {"labelled_batch": 32}}, r"training\.labelled_batch: below batch_size, which is 32; got 32"),
        ({"training": {"average_ramp": True}}, r"training\.average_ramp: given with average_decay"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(small_run, changes, text) -> None:
    with pytest.raises(InputError, match=text):
        small_run(**changes)


def test_labelled_batches_need_unlabelled_rows(small_run, tmp_path) -> None:
    resolved = small_run(training={"labelled_batch": 4})
    dataset = load(resolved.run.data)
    with pytest.raises(
        InputError, match=r"^training\.labelled_batch: left out for training data that are all labelled"
    ):
        loop.Trainer(resolved, dataset, clean_labels(dataset), tmp_path)


def test_a_ramped_average_is_the_mean_of_all_weights_until_its_decay_is_reached(small_run) -> None:
    """The authors' code: alpha = min(1 - 1 / (step + 1), alpha), for steps from 0."""
    training = small_run(training={"average_decay": 0.75, "average_ramp": True}).run.training
    linear = torch.nn.Linear(1, 1, bias=False)
    model = torch.nn.Sequential(linear, torch.nn.BatchNorm1d(1))
    average = average_of(model, training)
    assert average is not None
    expected = 0.0
    for step in range(8):
        torch.nn.init.constant_(linear.weight, float(step**2))
        average.update_parameters(model)
        alpha = min(1 - 1 / (step + 1), 0.75)
        expected = alpha * expected + (1 - alpha) * step**2
        assert float(average.module.get_parameter("0.weight").detach()) == pytest.approx(expected, rel=1e-6)
    assert average_of(model, small_run().run.training) is None


@pytest.mark.parametrize(
    "changes",
    [
        TEACHER,
        FIXMATCH,
        {**FIXMATCH, "objective": {"name": "pseudo_labels", "threshold": 0.15, "balance": "alignment"}},
    ],
)
def test_a_run_killed_within_an_epoch_ends_as_if_it_had_not_been(small_run, tmp_path, monkeypatch, changes) -> None:
    resolved = small_run(data=FEW, **changes)
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert train(resolved, whole).status == "trained"
    kill_before_steps(monkeypatch, {7})
    with pytest.raises(KilledError):
        execute(resolved, killed, checkpoint_seconds=0)
    assert execute(resolved, killed, checkpoint_seconds=0).status == "trained"
    assert files_of(whole, resolved.identity) == files_of(killed, resolved.identity)
    rows = read_history(whole.path(resolved.identity))
    assert all(0 <= row["pseudo_labels"] <= 1 for row in rows)
    assert rows[-1]["pseudo_label_accuracy"] > 0.15
    counts = json.loads((whole.path(resolved.identity) / RESULT).read_text())["data"]["unlabelled"]
    assert counts == {"hidden": 100, "missing": 0}


def test_hidden_labels_are_never_trained_on(small_run, tmp_path) -> None:
    """Another number in their place changes the counts of right pseudo-labels, and no weight."""
    outcomes = []
    for changes in (TEACHER, FIXMATCH):
        resolved = small_run(data=FEW, **changes)
        dataset = load(resolved.run.data)
        assert dataset.labelled is not None
        found = []
        for shift in (0, 1):
            labels = torch.where(dataset.labelled, dataset.labels, (dataset.labels + shift) % 10)
            some = replace(dataset, labels=labels)
            trainer = loop.Trainer(resolved, some, clean_labels(some), tmp_path / f"{len(outcomes)}-{shift}")
            trainer.folder.mkdir()
            trainer.train(checkpoint_seconds=60)
            row = read_history(trainer.folder)[-1]
            found.append((trainer.predict(dataset.splits["test"])["logits"], row["pseudo_label_accuracy"]))
        assert torch.equal(found[0][0], found[1][0])
        assert found[0][1] != found[1][1]
        outcomes.append(found)


def test_shares_count_unlabelled_rows_and_known_labels(small_run) -> None:
    dataset = load(small_run(data=FEW).run.data)
    classes = torch.full((len(dataset.labels),), -2, dtype=torch.int32)
    assert pseudo_label_shares(None, dataset) == {}
    assert pseudo_label_shares(classes, dataset) == {}
    assert dataset.hidden is not None
    rows = dataset.hidden.nonzero().flatten()[:10]
    classes[rows] = dataset.labels[rows].int()
    classes[rows[0]] = -1
    classes[rows[1]] = (classes[rows[1]] + 1) % 10
    assert pseudo_label_shares(classes, dataset) == pytest.approx(
        {"pseudo_labels": 0.9, "pseudo_label_accuracy": 8 / 9}
    )
    unknown = replace(dataset, hidden=None)
    assert pseudo_label_shares(classes, unknown) == pytest.approx({"pseudo_labels": 0.9})


def test_a_second_file_trains_from_python(tmp_path) -> None:
    draw = torch.Generator().manual_seed(0)
    rows = [(label := row % 2, *(torch.randn(2, generator=draw) + 3 * label).tolist()) for row in range(60)]
    (tmp_path / "set.csv").write_text("\n".join(["label,x,y", *(f"{k},{a},{b}" for k, a, b in rows)]))
    (tmp_path / "more.csv").write_text("\n".join(["x,y", *(f"{a},{b}" for _, a, b in rows)]))
    specification = {
        "data": {"name": str(tmp_path / "set.csv")},
        "model": {"name": "mlp", "hidden": [4]},
        "objective": {"name": "pseudo_labels", "threshold": 0.5},
        "training": {"epochs": 3, "batch_size": 16},
    }
    given = {"unlabelled": tmp_path / "more.csv", "runs": tmp_path / "runs"}
    run = train_run(specification, **given)
    assert run.status == "trained", run.message
    result = json.loads((run.folder / RESULT).read_text())
    assert result["data"]["unlabelled"] == {"hidden": 0, "missing": 60}
    assert run.metrics["train.pseudo_labels"] == 1.0
    assert "train.pseudo_label_accuracy" not in run.metrics
    with pytest.raises(InputError, match=r"^objective: one that uses rows without a label: .*; got 'cross_entropy'"):
        train_run({**specification, "objective": {"name": "cross_entropy"}}, **given)
