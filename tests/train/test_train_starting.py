"""Runs that start from the weights of another run: scheduled after it, with their own head or its head."""

import re
import shutil
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from training import files_of, kill_in_epoch, train

from softtargets._errors import InputError
from softtargets._spec import merged
from softtargets.data import fingerprint
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import MODEL, RunStore
from softtargets.train import train_run
from softtargets.train.execute import execute, resolve, validate_setup
from softtargets.train.graph import RunGraph
from softtargets.train.schedule import train_all

START: dict[str, Any] = {
    "data": {"name": "digits", "limit": {"train": 120, "validation": 40, "test": 60}},
    "model": {"name": "mlp", "hidden": [16]},
    "training": {"epochs": 2, "batch_size": 32, "precision": "float32"},
}
FROZEN = {"groups": [{"match": "*", "learning_rate": 0.0}]}


def run_from(start: dict[str, Any] | None = None, **changes: Any) -> ResolvedRun:
    """Return a resolved run that starts from another; both are small."""
    specification = merged({**START, "init_from": merged(START, start or {}), "seeds": 5}, changes)
    run = RunSpec.parse(specification)
    prints = {data: fingerprint(data) for data in run.data_sets()}
    return resolve(run, prints[run.data], prints)


def weights(store: RunStore, run: ResolvedRun) -> dict[str, Tensor]:
    return load_file(store.path(run.identity) / MODEL)


@pytest.mark.parametrize("head", ["new", "kept"])
def test_training_starts_from_the_weights_of_the_other_run(tmp_path, head: str) -> None:
    resolved, store = run_from(optimizer=FROZEN, init_head=head), RunStore(tmp_path)
    assert train(resolved, store).status == "trained"
    start = resolved.init_from
    assert start is not None
    before, after = weights(store, start), weights(store, resolved)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if head == "kept" or not name.startswith("head.")}
    logits = [read_predictions(store.path(run.identity))["test.logits"] for run in (start, resolved)]
    assert torch.equal(*logits) == (head == "kept")


def test_it_is_trained_after_the_other_run_which_is_trained_once(tmp_path) -> None:
    store = RunStore(tmp_path)
    first, second = run_from(), run_from(seeds=6)
    assert first.init_from == second.init_from
    assert [len(wave) for wave in RunGraph.build([first, second], store).waves] == [1, 2]
    outcomes = train_all([first, second], store, workers=2)
    assert [outcome.status for outcome in outcomes] == ["trained"] * 3
    # what it was trained from is not needed again
    assert first.init_from is not None
    shutil.rmtree(store.path(first.init_from.identity))
    assert RunGraph.build([first], store).missing == []


def test_it_depends_on_the_other_run_and_not_on_where_its_data_are() -> None:
    plain, other = run_from(), run_from({"seeds": 1})
    assert len({plain.identity, other.identity, run_from(init_head="kept").identity}) == 3
    alone = plain.changed(init_from=None, run=plain.run.changed(init_from=None))
    assert alone.identity != plain.identity
    assert alone.identity == resolve(alone.run, alone.fingerprint).identity


def test_a_run_that_was_killed_ends_bit_for_bit_the_same(tmp_path, monkeypatch) -> None:
    resolved = run_from(training={"epochs": 4, "average_decay": 0.9, "snapshot_every": 1})
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert train(resolved, whole).status == "trained"
    assert resolved.init_from is not None
    execute(resolved.init_from, killed)
    kill_in_epoch(2, lambda: execute(resolved, killed, checkpoint_seconds=0), monkeypatch)
    assert execute(resolved, killed).status == "trained"
    assert files_of(killed, resolved.identity) == files_of(whole, resolved.identity)


def test_a_run_that_it_starts_from_is_required(tmp_path) -> None:
    outcome = execute(run_from(), RunStore(tmp_path))
    assert outcome.status == "failed"
    assert "init_from: a finished run; got none in" in outcome.message


def test_other_data_with_other_classes_need_a_new_head(tmp_path) -> None:
    start = {"data": {"classes": [0, 1, 2]}}
    resolved, store = run_from(start), RunStore(tmp_path)
    assert train(resolved, store).status == "trained"
    assert resolved.init_from is not None
    assert weights(store, resolved.init_from)["head.weight"].shape == (3, 16)
    text = "init_from: 'head.weight' of shape (10, 16); got (3, 16) in 'mlp trained on digits'; use init_head"
    with pytest.raises(InputError, match=re.escape(text)):
        train(run_from(start, init_head="kept"), store)


@pytest.mark.parametrize(
    ("start", "text"),
    [
        ({"model": {"hidden": [8]}}, "init_from: 'body.0.weight' of shape (16, 64); got (8, 64)"),
        (
            {"model": {"hidden": [16, 16]}},
            "init_from: only tensors of the network; got 'body.3.weight' in 'mlp trained on digits'; give",
        ),
    ],
)
def test_weights_of_another_network_are_refused_before_either_is_trained(tmp_path, start, text) -> None:
    resolved, store = run_from(start), RunStore(tmp_path)
    with pytest.raises(InputError, match=re.escape(text)):
        train_all([resolved], store)
    assert not any(store.folder.glob("*.partial"))
    with pytest.raises(InputError, match=re.escape(text)):
        validate_setup([resolved], store)


def test_specifications_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match="init_head: given with init_from, and only then; got 'kept' alone"):
        RunSpec.parse({**START, "init_head": "kept"})
    with pytest.raises(InputError, match="init_from: left out for a model with trained weights of its own"):
        run_from(model={"init_from": "weights.safetensors"})


def test_pretraining_for_an_estimated_transition_starts_from_the_same_weights() -> None:
    objective = {"name": "forward", "transition": {"name": "estimated"}}
    run = RunSpec.parse({**START, "init_from": START, "objective": objective})
    first = run.pretraining()
    assert first is not None
    assert first.init_from == run.init_from


def test_it_can_be_trained_from_a_specification_alone(tmp_path) -> None:
    estimates: list[float] = []
    found = train_run({**START, "init_from": START}, runs=tmp_path, on_estimate=estimates.append)
    assert found.status == "trained"
    assert estimates
    assert estimates[0] > 0
