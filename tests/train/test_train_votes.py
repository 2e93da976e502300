"""Runs whose labels are votes: what they learn, record and measure, and how they resume."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from training import files_of, kill_in_epoch

from softtargets import metrics
from softtargets._errors import InputError
from softtargets.calibration import TemperatureScaling
from softtargets.measures import MEASURES
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.train import load_run
from softtargets.train.execute import execute

# probability of class "b" for each of three groups of rows, which one of three features tells apart
GROUPS = (0.0, 0.7, 0.95)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """Return a table of 600 rows with ten votes each, which the inputs determine up to chance."""
    draw, lines = random.Random(0), ["x,y,z,v_a,v_b"]
    for row in range(600):
        group = row % 3
        second = sum(draw.random() < GROUPS[group] for _ in range(10))
        lines.append(",".join(str(n) for n in (*(int(group == place) for place in range(3)), 10 - second, second)))
    path = tmp_path_factory.mktemp("data") / "votes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _run(small_run, table: Path, **changes: Any) -> ResolvedRun:
    training = {"epochs": 8, "evaluate_every": 4, **changes.pop("training", {})}
    return small_run(
        data={"name": str(table), "votes": "v", "limit": None},
        model={"hidden": []},
        optimizer={"learning_rate": 0.5},
        training=training,
        **changes,
    )


def test_a_network_learns_the_shares_and_not_the_majority(small_run, table, tmp_path) -> None:
    store, probs, found = RunStore(tmp_path), {}, {}
    for aggregation in ("shares", "majority"):
        run = _run(small_run, table, objective={"name": "votes", "aggregation": aggregation})
        assert execute(run, store).status == "trained"
        loaded = load_run(store.path(run.identity))
        assert loaded.class_names == ("a", "b")
        probs[aggregation] = loaded.predict_proba(torch.eye(3, dtype=torch.float64))[:, 1].tolist()
        found[aggregation] = loaded.metrics
    assert probs["shares"] == pytest.approx(GROUPS, abs=0.04)
    assert probs["majority"][1] > 0.8
    assert found["shares"]["test.votes.divergence"] < found["majority"]["test.votes.divergence"] - 0.03


def test_scores_are_recorded_against_the_majority_and_against_the_votes(small_run, table, tmp_path) -> None:
    run, store = _run(small_run, table), RunStore(tmp_path)
    assert execute(run, store).status == "trained"
    loaded = load_run(store.path(run.identity))
    recorded, measured = loaded.predictions, loaded.metrics
    votes, logits = recorded["test.votes"], recorded["test.logits"]
    assert votes.sum(1).unique().tolist() == [10]
    assert torch.equal(recorded["test.labels"], votes.argmax(1))
    assert measured["test.accuracy"] == float(metrics.accuracy(logits=logits, labels=votes.argmax(1)))
    best = metrics.label_uncertainty(votes)
    expected = {
        "accuracy": metrics.accuracy(logits=logits, labels=votes),
        "best_accuracy": 1 - best.error,
        "nll": metrics.nll(logits=logits, labels=votes),
        "least_nll": best.nll,
        "divergence": metrics.nll(logits=logits, labels=votes) - best.nll,
        "brier": metrics.brier(logits=logits, labels=votes),
        "least_brier": best.brier,
        "ece": metrics.ece(logits=logits, labels=votes),
    }
    for split in ("validation", "test"):
        assert {name for name in measured if name.startswith(f"{split}.votes.")} == {
            f"{split}.votes.{name}" for name in expected
        }
    assert {name: measured[f"test.votes.{name}"] for name in expected} == {n: float(v) for n, v in expected.items()}
    last = loaded.history[-1]
    assert last["validation_votes_nll"] == pytest.approx(measured["validation.votes.nll"])
    assert last["validation_votes_accuracy"] == pytest.approx(measured["validation.votes.accuracy"])
    labels = recorded["validation.labels"]
    assert last["validation_nll"] == pytest.approx(
        float(metrics.nll(logits=recorded["validation.logits"], labels=labels))
    )
    fitted = TemperatureScaling().fit(recorded["validation.logits"], recorded["validation.votes"])
    made: Any = loaded.calibrate().calibrator
    assert torch.equal(made.temperature, fitted.temperature)


def test_runs_on_classes_have_no_scores_against_votes(small_run, tmp_path) -> None:
    run, store = small_run(training={"epochs": 1, "evaluate_every": 1}), RunStore(tmp_path)
    assert execute(run, store).status == "trained"
    loaded = load_run(store.path(run.identity))
    assert not [name for name in loaded.metrics if ".votes." in name]
    assert not [name for name in loaded.predictions if name.endswith("votes")]
    assert set(loaded.history[0]) & {"validation_accuracy", "validation_votes_accuracy"} == {"validation_accuracy"}
    assert MEASURES["test.votes.nll"].unit == "nats"


def test_the_best_epoch_is_chosen_by_the_votes(small_run, table, tmp_path) -> None:
    run, store = _run(small_run, table, training={"evaluate_every": 1, "monitor": "nll"}), RunStore(tmp_path)
    assert execute(run, store).status == "trained"
    history = load_run(store.path(run.identity)).history
    best = min(history, key=lambda row: row["validation_votes_nll"])
    assert (store.result(run.identity) or {})["selected_epoch"] == best["epoch"]
    assert best["validation_nll"] > min(row["validation_nll"] for row in history), "the majority prefers another epoch"


def test_a_killed_run_resumes_bit_for_bit(small_run, table, tmp_path, monkeypatch) -> None:
    run = _run(small_run, table, objective={"name": "mixup", "smoothing": 0.1}, training={"dynamics": True})
    stores = [RunStore(tmp_path / name) for name in ("whole", "killed")]
    assert execute(run, stores[0], checkpoint_seconds=0).status == "trained"
    kill_in_epoch(5, lambda: execute(run, stores[1], checkpoint_seconds=0), monkeypatch)
    assert execute(run, stores[1], checkpoint_seconds=0).status == "trained"
    assert files_of(stores[0], run.identity) == files_of(stores[1], run.identity)


def test_the_identity_has_the_votes_and_not_the_path_of_their_file(small_run, table, tmp_path) -> None:
    named = [
        small_run(data={"name": "digits", "votes_file": str(tmp_path / name), "votes": "v", "limit": None})
        for name in ("a.csv", "b.csv")
    ]
    assert named[0].identity == named[1].identity, "the fingerprint of the data covers the content"
    other = small_run(data={"name": "digits", "votes_file": "a.csv", "annotators": ["v", "w"], "limit": None})
    assert other.identity != named[0].identity
    assert "votes" not in small_run().run.data.model_dump(exclude_none=True)


def test_added_noise_is_refused(small_run, table) -> None:
    with pytest.raises(InputError, match=r"noise: left out for labels that are votes; got 'symmetric'"):
        _run(small_run, table, noise={"name": "symmetric", "rate": 0.1})
