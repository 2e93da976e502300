"""Observed labels by the name of the noise, the transition behind them, and the epoch that is selected by them."""

import json
from typing import get_args

import pytest
import torch
from training import train

from softtargets import noise
from softtargets._errors import InputError
from softtargets._spec import tags
from softtargets.data import DataSpec, fingerprint, load
from softtargets.data.dataset import Dataset
from softtargets.data.noise import clean_labels
from softtargets.measures import measure_record
from softtargets.runs.noise import NoiseSpec
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import HISTORY, RunStore
from softtargets.runs.transition_sources import EstimatedTransition
from softtargets.train.estimate import ESTIMATORS, estimate_transition, pretraining
from softtargets.train.execute import resolve, validate_setup
from softtargets.train.observed import TRANSITIONS, drawn_from, observe

DIGITS = load(DataSpec(name="digits"))


def run_with(**noise) -> RunSpec:
    content = {"model": {"name": "mlp"}, "training": {"epochs": 1}, **({"noise": noise} if noise else {})}
    return RunSpec.parse(content)


def test_every_noise_has_a_transition_or_none_that_anybody_knows() -> None:
    assert set(TRANSITIONS) | {"instance", "recorded"} == set(tags(NoiseSpec))


def test_every_estimator_that_a_specification_may_name_is_there() -> None:
    assert set(ESTIMATORS) == set(get_args(EstimatedTransition.model_fields["estimator"].annotation))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "symmetric", "rate": 0.4, "inclusive": True}, noise.symmetric(0.4, 10, inclusive=True)),
        ({"name": "pair_flip", "rate": 0.3}, noise.pair_flip(0.3, 10)),
        ({"name": "asymmetric_cifar10", "rate": 0.4}, noise.asymmetric_cifar10(0.4)),
        (
            {"name": "superclass_flip", "rate": 0.3, "superclasses": [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]},
            noise.superclass_flip(0.3, torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])),
        ),
    ],
)
def test_labels_are_drawn_from_the_transition_that_is_named(spec, expected) -> None:
    run = run_with(**spec)
    assert torch.equal(drawn_from(run.noise, 10).to_dense(), expected.to_dense())
    seen = observe(run, DIGITS)
    for split in ("train", "validation"):
        rows = DIGITS.splits[split]
        clean, observed = DIGITS.labels[rows], seen.labels[rows]
        counts = torch.bincount(clean * 10 + observed, minlength=100).view(10, 10)
        # systematic rounding: no cell is off by more than one example but for the total of its class
        assert float((counts - counts.sum(1, keepdim=True) * expected.to_dense()).abs().max()) <= 2
        assert seen.rates[split] == pytest.approx(float((clean != observed).double().mean()))
    test = DIGITS.splits["test"]
    assert torch.equal(seen.labels[test], DIGITS.labels[test])


def test_noise_by_instance_depends_on_the_image_and_not_on_the_objective() -> None:
    run = run_with(name="instance", rate=0.4)
    seen = observe(run, DIGITS)
    assert seen.rates["train"] == pytest.approx(0.4, abs=0.03)
    assert torch.equal(seen.labels, observe(run, DIGITS).labels)
    other = run.changed(seeds=run.seeds.changed(noise=1))
    assert not torch.equal(seen.labels, observe(other, DIGITS).labels)


def test_noise_by_instance_sees_what_a_model_sees() -> None:
    """In float32 a spread of 10 around 2^30 would be gone before it is normalised."""
    rows = torch.arange(600)
    numbers = torch.randint(-10, 10, (600, 4), generator=torch.Generator().manual_seed(0)).double()
    splits = {"train": rows[:500], "validation": rows[500:], "test": rows[:0]}
    near, far = (Dataset("t", "", numbers + at, rows % 3, ("a", "b", "c"), splits) for at in (0.0, 2.0**30))
    run = run_with(name="instance", rate=0.4)
    assert torch.equal(observe(run, near).labels, observe(run, far).labels)


def test_recorded_labels_are_read_row_by_row(tmp_path) -> None:
    rows = len(DIGITS.labels)
    wrong = (DIGITS.labels + (torch.arange(rows) % 3 == 0)) % 10
    path = tmp_path / "people.csv"
    path.write_text("worse\n" + "\n".join(map(str, wrong.tolist())) + "\n")
    seen = observe(run_with(name="recorded", file=str(path), column="worse", splits=["train"]), DIGITS)
    train, validation = DIGITS.splits["train"], DIGITS.splits["validation"]
    assert torch.equal(seen.labels[train], wrong[train])
    assert torch.equal(seen.labels[validation], DIGITS.labels[validation])
    assert list(seen.rates) == ["train"]


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"name": "asymmetric_cifar10", "rate": 0.4}, "noise: the ten classes of CIFAR-10"),
        ({"name": "superclass_flip", "rate": 0.4, "superclasses": [0, 0]}, "noise.superclasses: one number for each"),
        ({"name": "instance", "rate": 0.4}, "noise: noise drawn from a transition: .*; got 'instance'"),
    ],
)
def test_noise_that_does_not_fit_is_refused(spec, error) -> None:
    with pytest.raises(InputError, match=error):
        drawn_from(run_with(**spec).noise, 3)


def test_no_noise_is_the_identity() -> None:
    assert torch.equal(drawn_from(None, 4).to_dense(), torch.eye(4, dtype=torch.float64))
    assert torch.equal(observe(run_with(), DIGITS).labels, clean_labels(DIGITS).labels)


FORWARD = {"name": "forward", "transition": {"name": "estimated", "estimator": "confident_joint"}}


def test_a_transition_is_estimated_from_a_first_run_that_is_kept_and_shared(small_run, tmp_path) -> None:
    store = RunStore(tmp_path)
    settings = {"noise": {"name": "pair_flip", "rate": 0.3}, "training": {"evaluate_every": 1, "epochs": 12}}
    resolved = small_run(objective=FORWARD, **settings)
    assert train(resolved, store).status == "trained"
    first = pretraining(resolved.run)
    assert first == small_run(**settings).run
    before = resolved.changed(run=first)
    assert train(before, store).status == "present", "the first run is kept like any other"
    said = read_predictions(store.path(before.identity))
    held_out = said["selected.validation.logits"].double().softmax(-1)
    expected = noise.confident_joint(held_out, said["validation.observed"]).transition.to_dense()
    assert torch.equal(read_predictions(store.path(resolved.identity))["transition"], expected)
    assert torch.equal(estimate_transition(resolved, said).to_dense(), expected)


def test_the_known_transition_is_the_one_that_labels_were_drawn_from(small_run, tmp_path) -> None:
    store = RunStore(tmp_path)
    known = {"name": "forward", "transition": {"name": "known"}}
    resolved = small_run(objective=known, noise={"name": "pair_flip", "rate": 0.3})
    assert train(resolved, store).status == "trained"
    used = read_predictions(store.path(resolved.identity))["transition"]
    assert torch.equal(used, noise.pair_flip(0.3, 10).to_dense())
    assert measure_record(store, resolved.identity)["transition.distance"] < 0.1
    unknown = small_run(objective=known, noise={"name": "instance", "rate": 0.3})
    with pytest.raises(InputError, match="whose transition nobody knows"):
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


def test_labels_of_people_are_not_asked_for_where_the_file_has_none(tmp_path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for split in ("train", "validation"):
        (folder / f"{split}.csv").write_text("x,label\n" + "".join(f"{i},{i % 2}\n" for i in range(8)))
    people = tmp_path / "people.csv"
    people.write_text("worse\n" + "1\n" * 8)
    dataset = load(DataSpec(name=str(folder), test=0))
    spec = {"name": "recorded", "file": str(people), "column": "worse"}
    with pytest.raises(InputError, match=r"noise.splits: .*; got 'validation', which it has of its own; leave it out"):
        observe(run_with(**spec), dataset)
    seen = observe(run_with(**spec, splits=["train"]), dataset)
    assert seen.rates == {"train": 0.5}


def test_an_epoch_is_selected_among_those_there_are(small_run, tmp_path) -> None:
    with pytest.raises(InputError, match=r"training.evaluate_every: at most 4, the epochs there are; got 5"):
        validate_setup([small_run(training={"evaluate_every": 5})], RunStore(tmp_path))
