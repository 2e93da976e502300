"""Training rows that are drawn: bootstrap samples, and the weights of SAMME."""

import math
from itertools import pairwise

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier
from training import files_of, kill_in_epoch, train

from softtargets._errors import InputError
from softtargets.data.sources import load_cached
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.runs.training import Seeds
from softtargets.train import loop
from softtargets.train.execute import resolve
from softtargets.train.processes import Processes
from softtargets.train.sampling import SampledRows, boosting_of, samme
from softtargets.train.streams import EpochStreams


def streams(epoch: int, **seeds: int) -> EpochStreams:
    return EpochStreams(Seeds(**seeds), epoch, torch.device("cpu"), Processes())


def test_samme_is_the_loop_of_the_paper() -> None:
    wrong = torch.rand(4, 30, generator=torch.Generator().manual_seed(0)) < 0.4
    num_classes, weights, votes = 3, [1 / 30] * 30, []
    for row in wrong.tolist():
        error = sum(w for w, bad in zip(weights, row, strict=True) if bad) / sum(weights)
        alpha = math.log((1 - error) / error) + math.log(num_classes - 1)
        weights = [w * math.exp(alpha) if bad else w for w, bad in zip(weights, row, strict=True)]
        weights = [w / sum(weights) for w in weights]
        votes.append(alpha)
    found = samme(wrong, num_classes)
    assert found.votes == pytest.approx(votes, rel=1e-12)
    assert found.weights.tolist() == pytest.approx(weights, rel=1e-12)


def test_samme_is_that_of_scikit_learn() -> None:
    inputs, labels = load_digits(return_X_y=True)
    inputs, labels = inputs[:300], labels[:300]
    fitted = AdaBoostClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=5, random_state=0).fit(inputs, labels)
    wrong = torch.stack([torch.from_numpy(one.predict(inputs) != labels) for one in fitted.estimators_])
    found = samme(wrong, 10)
    assert found.votes == pytest.approx(fitted.estimator_weights_.tolist(), rel=1e-9)
    assert found.errors == pytest.approx(fitted.estimator_errors_.tolist(), rel=1e-9)


def test_members_without_errors_and_members_no_better_than_chance() -> None:
    none, all_, some = torch.zeros(10).bool(), torch.ones(10).bool(), torch.arange(10) < 2
    found = samme(torch.stack([none, all_, some]), 3)
    assert found.votes[0] == pytest.approx(math.log(19) + math.log(2))
    assert found.votes[1] == 0
    assert found.votes[2] == pytest.approx(math.log(4) + math.log(2))
    assert float(found.weights.sum()) == pytest.approx(1)
    assert found.weights[0] == pytest.approx(8 * float(found.weights[9]))


def test_draws_follow_the_weights() -> None:
    rows, weights = torch.arange(10, 14), torch.tensor([0.7, 0.2, 0.1, 0.0], dtype=torch.float64)
    sampled = SampledRows(rows, weights)
    drawn = torch.cat([sampled.order(streams(epoch)) for epoch in range(1500)])
    shares = (drawn - 10).bincount(minlength=4) / len(drawn)
    assert shares.tolist() == pytest.approx(weights.tolist(), abs=0.025)  # 4 standard deviations
    assert torch.equal(sampled.order(streams(3)), sampled.order(streams(3)))
    assert any(not torch.equal(sampled.order(streams(a)), sampled.order(streams(b))) for a, b in pairwise(range(5)))


def test_a_bootstrap_sample_depends_on_its_seed_alone(small_run, tmp_path) -> None:
    one, other = small_run(bootstrap=0), small_run(bootstrap=1)
    dataset = load_cached(one.run.data, str(tmp_path / "cache"))
    train_rows = dataset.splits["train"]
    first, second = (SampledRows.of(run, dataset, tmp_path) for run in (one, other))
    reseeded = SampledRows.of(small_run(bootstrap=0, seeds=7), dataset, tmp_path)
    assert len(first.rows) == len(train_rows)
    assert set(first.rows.tolist()) < set(train_rows.tolist())
    # a row is in a sample with probability 1 - (1 - 1/n)^n, about .632
    assert len(first.rows.unique()) / len(train_rows) == pytest.approx(1 - 1 / math.e, abs=0.15)
    assert torch.equal(first.rows, reseeded.rows)
    assert not torch.equal(first.rows, second.rows)
    assert len({small_run().identity, one.identity, other.identity}) == 3
    order = first.order(streams(0))
    assert torch.equal(order.sort().values, first.rows.sort().values)


def boosted(small_run, **changes):
    base = small_run(**changes)
    run = RunSpec.parse(
        {**base.run.model_dump(exclude_none=True), "boosted_after": base.run.model_dump(exclude_none=True)}
    )
    return base, resolve(run.changed(seeds=Seeds(order=1)), base.fingerprint)


def test_a_boosted_run_trains_after_the_one_before(small_run, tmp_path, monkeypatch) -> None:
    store = RunStore(tmp_path)
    base, run = boosted(small_run, training={"epochs": 3}, noise={"name": "symmetric", "rate": 0.3})
    rows = []
    step = loop.Learner.step

    def notes(self, batch, save=False):
        rows.append(batch.ids)
        return step(self, batch, save)

    monkeypatch.setattr(loop.Learner, "step", notes)
    assert train(run, store).status == "trained"
    found = boosting_of([base], store)
    recorded = read_predictions(store.path(base.identity))
    wrong = recorded["train.logits"].argmax(1) != recorded["train.observed"]
    assert 0 < int(wrong.sum()) < len(wrong)
    assert found.errors[0] == pytest.approx(float(wrong.double().mean()))
    seen = torch.cat(rows[len(rows) // 2 :])
    own = torch.isin(seen, recorded["train.ids"][wrong]).double().mean()
    # SAMME gives the wrong rows the share 1 - 1/K of all weight
    assert float(found.weights[wrong].sum()) == pytest.approx(0.9)
    assert float(own) == pytest.approx(0.9, abs=0.08)


@pytest.mark.parametrize("kind", ["bootstrap", "boosted_after"])
def test_a_resumed_run_ends_bit_for_bit(small_run, tmp_path, monkeypatch, kind: str) -> None:
    base, run = boosted(small_run)
    run = small_run(bootstrap=4) if kind == "bootstrap" else run
    whole, halved = RunStore(tmp_path / "whole"), RunStore(tmp_path / "halved")
    train(run, whole)
    if kind == "boosted_after":
        train(base, halved)
    kill_in_epoch(2, lambda: train(run, halved, checkpoint_seconds=0), monkeypatch)
    train(run, halved)
    assert files_of(halved, run.identity) == files_of(whole, run.identity)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bootstrap": 1}, "bootstrap: left out with boosted_after, which members of boosting have"),
        ({"noise": {"name": "symmetric", "rate": 0.2}}, "boosted_after: a run on the same data and labels"),
        ({"bootstrap": -1, "boosted_after": None}, "bootstrap"),
    ],
)
def test_what_does_not_go_together_is_refused(small_run, change, words: str) -> None:
    _, run = boosted(small_run)
    content = {**run.run.model_dump(exclude_none=True), **change}
    with pytest.raises(InputError, match=words):
        RunSpec.parse({key: value for key, value in content.items() if value is not None})
