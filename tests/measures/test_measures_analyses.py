"""Analyses of trained networks: each against the definition, on one small run."""

import math

import pytest
import torch
from training import train

from softtargets._errors import InputError
from softtargets._spec import merged
from softtargets.analysis import mutual_information, neural_collapse
from softtargets.data import fingerprint
from softtargets.data.spec import DataSpec
from softtargets.measures import analyses
from softtargets.measures.analyses import ANALYSES, TRACES, analyse
from softtargets.measures.networks import (
    DRAWS,
    GROUPS,
    PENALTIES,
    Subject,
    _differences_of,
    analysed,
    evenly,
    stratified,
)
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.runs.streams import generator
from softtargets.train.execute import resolve

CLASSES = (3, 8, 0)
SMALL = {
    "data": {"name": "digits", "limit": {"train": 300, "validation": 80, "test": 90}},
    "model": {"name": "mlp", "hidden": [24]},
    "optimizer": {"learning_rate": 0.1},
    "augmentation": {"shift": 1},
    "training": {"epochs": 3, "batch_size": 32, "precision": "float32"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("runs"))


def trained(store: RunStore, data: DataSpec | None = None, **changes) -> ResolvedRun:
    run = RunSpec.parse(merged(SMALL, changes))
    run = run if data is None else run.changed(data=data)
    resolved = resolve(run, fingerprint(run.data))
    assert train(resolved, store).status in ("trained", "present")
    return resolved


@pytest.fixture
def subject(store) -> Subject:
    return Subject(trained(store), store, CLASSES)


def _features(subject: Subject, split: str) -> torch.Tensor:
    """Return what the last layer is given, without hooks."""
    _, inputs = subject._data
    with torch.no_grad():
        seen = inputs.batch(subject.predictions[f"{split}.ids"])
        return subject.network.features(seen).double()  # pyright: ignore[reportCallIssue]


def test_every_analysis_is_of_a_group_that_computes_it(subject) -> None:
    assert {item.group for item in ANALYSES.values()} == GROUPS.keys()
    for group, compute in GROUPS.items():
        assert set(compute(subject)) == {name for name, item in ANALYSES.items() if item.group == group}
    assert TRACES["information"] is ANALYSES["information"]


def test_separation_is_the_definition_over_all_pairs(subject) -> None:
    features, labels = _features(subject, "train"), subject.predictions["train.labels"]
    directions = features / features.norm(dim=1, keepdim=True)
    away = 1 - directions @ directions.T
    blocks = [[away[labels == a][:, labels == b].mean() for b in range(10)] for a in range(10)]
    within = sum(blocks[a][a] for a in range(10)) / 10
    total = sum(block for row in blocks for block in row) / 100
    found = GROUPS["separation"](subject)
    assert found["within"] == pytest.approx(float(within), rel=1e-5)
    assert found["separation"] == pytest.approx(float(1 - within / total), rel=1e-5)


def test_collapse_asks_the_network_and_the_nearest_mean(subject) -> None:
    features, labels = _features(subject, "train"), subject.predictions["train.labels"]
    means = torch.stack([features[labels == name].mean(0) for name in range(10)])
    nearest = torch.cdist(features, means).argmin(1)
    predicted = subject.predictions["train.logits"].argmax(1)
    assert GROUPS["collapse"](subject)["nc4"] == pytest.approx(float((nearest != predicted).double().mean()))


def test_a_class_without_an_example_has_no_part_in_collapse(subject) -> None:
    kept = subject.predictions["train.labels"] != 4
    for name in ("train.ids", "train.labels"):
        subject.predictions[name] = subject.predictions[name][kept]
    found = GROUPS["collapse"](subject)
    others = [name for name in range(10) if name != 4]
    labels = subject.predictions["train.labels"]
    expected = neural_collapse(
        _features(subject, "train"),
        torch.where(labels > 4, labels - 1, labels),
        subject.head.weight[others].double(),
        bias=subject.head.bias[others].double(),
    )
    assert found["nc1"] == pytest.approx(float(expected.nc1), rel=1e-5)
    assert found["nc3"] == pytest.approx(float(expected.nc3), rel=1e-5)


def test_the_probe_is_logistic_regression_with_the_penalty_that_validation_prefers(subject) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    labels = {split: subject.predictions[f"{split}.labels"].numpy() for split in ("train", "validation", "test")}
    scaler = StandardScaler().fit(_features(subject, "train").numpy())
    rows = {split: scaler.transform(_features(subject, split).numpy()) for split in labels}
    fitted = [
        LogisticRegression(C=1 / (l2 * len(labels["train"])), max_iter=2000).fit(rows["train"], labels["train"])
        for l2 in PENALTIES
    ]
    reached = [model.score(rows["validation"], labels["validation"]) for model in fitted]
    best = max(range(len(PENALTIES)), key=lambda place: (reached[place], place))
    expected = fitted[best].score(rows["test"], labels["test"])
    # one example of 90 may lie on the border
    assert GROUPS["probe"](subject)["probe.accuracy"] == pytest.approx(expected, abs=1.5 / 90)


def test_without_validation_the_probe_holds_training_examples_out(store) -> None:
    bare = DataSpec.parse({"name": "digits", "validation": 0, "limit": {"train": 300, "test": 90}})
    resolved = trained(store, bare)
    found, problem = analyse(resolved, store, ["probe.accuracy"], None)
    assert problem == ""
    assert 0.5 < found["probe.accuracy"] <= 1


def test_distances_are_between_the_classes_that_are_named(subject, store) -> None:
    found = GROUPS["projection.train"](subject)
    assert 0 < found["projection.d1.train"] < found["projection.d2.train"]
    expected = found["projection.d1.train"] / found["projection.d2.train"]
    assert found["projection.ratio.train"] == pytest.approx(expected)
    # the two similar classes may be named in either order
    swapped = GROUPS["projection.train"](Subject(subject.resolved, store, (8, 3, 0)))
    assert swapped == pytest.approx(found, rel=1e-4)
    other = GROUPS["projection.train"](Subject(subject.resolved, store, (3, 0, 8)))
    assert other["projection.dc.train"] != pytest.approx(found["projection.dc.train"], rel=1e-2)


def test_information_takes_as_many_examples_of_each_class_and_lies_between_its_bounds(subject) -> None:
    rows = _differences_of(subject)
    labels = subject.predictions["train.labels"][torch.isin(subject.predictions["train.ids"], rows)]
    counts = labels.bincount(minlength=10)
    assert counts[3] == counts[0] > 10
    assert counts.sum() == 2 * counts[3]
    found = GROUPS["information"](subject)["information"]
    assert 0 < found < math.log(len(rows))


def test_information_is_in_the_logits_of_the_first_and_the_third_class(subject) -> None:
    rows, run = _differences_of(subject), subject.resolved.run
    draws, (_, inputs) = generator("information", run.seeds.augmentation), subject._data
    with torch.no_grad():
        logits = [subject.network(inputs.batch(rows, run.augmentation, draws)) for _ in range(DRAWS)]
    expected = mutual_information(torch.stack([seen[:, 3] - seen[:, 0] for seen in logits], 1)).value
    assert GROUPS["information"](subject)["information"] == pytest.approx(expected, abs=1e-6)


def test_information_is_drawn_from_its_own_stream(subject, store) -> None:
    before = torch.get_rng_state()
    with analysed(subject.resolved, store, CLASSES) as opened:
        first = GROUPS["information"](opened)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert GROUPS["information"](subject) == first


def test_a_network_that_tells_nothing_has_no_information(subject) -> None:
    with torch.no_grad():
        subject.head.weight.zero_()
    assert GROUPS["information"](subject)["information"] == pytest.approx(0, abs=1e-9)


def test_a_network_trained_in_bfloat16_is_analysed_in_float32(store) -> None:
    resolved = trained(
        store,
        model={"name": "resnet", "depth": 8, "width": 4},
        training={"epochs": 1, "precision": "bfloat16"},
    )
    with analysed(resolved, store, CLASSES) as subject:
        features, _ = subject.sample
        assert torch.equal(features.double().sort(0)[0], _features(subject, "train").sort(0)[0])
    found, problem = analyse(resolved, store, [*ANALYSES], CLASSES)
    assert problem == ""
    assert found.keys() == ANALYSES.keys()


def test_under_noise_classes_are_the_true_ones(store) -> None:
    resolved = trained(store, noise={"name": "symmetric", "rate": 0.4})
    with analysed(resolved, store, CLASSES) as subject:
        assert not torch.equal(subject.predictions["train.observed"], subject.predictions["train.labels"])
        places = subject.of_classes("train", 5)
        labels = subject.predictions["train.labels"]
        assert labels[places].tolist() == [3] * 5 + [8] * 5 + [0] * 5
        # by such observed labels there would be no example of class 0
        subject.predictions["train.observed"] = torch.full_like(labels, 3)
        assert len(_differences_of(subject)) == 2 * labels.bincount()[[3, 0]].min()


def test_a_number_that_is_not_defined_is_left_out(store, monkeypatch) -> None:
    resolved = trained(store, seeds=1)
    monkeypatch.setitem(GROUPS, "collapse", lambda subject: {"nc1": 1.0, "nc2.angles": math.nan})
    assert analyse(resolved, store, ["nc1", "nc2.angles"], None) == ({"nc1": 1.0}, "")


def test_what_was_computed_is_kept_until_the_version_is_raised(store, monkeypatch) -> None:
    resolved = trained(store, seeds=2)
    computed = []
    monkeypatch.setitem(GROUPS, "collapse", lambda subject: computed.append(1) or {"nc1": 1.0})
    for _ in range(2):
        assert analyse(resolved, store, ["nc1"], None) == ({"nc1": 1.0}, "")
    assert len(computed) == 1
    monkeypatch.setattr(analyses, "ANALYSES_VERSION", analyses.ANALYSES_VERSION + 1)
    analyse(resolved, store, ["nc1"], None)
    assert len(computed) == 2


def test_on_a_full_disk_the_number_is_still_there(store, monkeypatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    resolved = trained(store, seeds=3)
    monkeypatch.setattr(RunStore, "put_derived", full)
    found, problem = analyse(resolved, store, ["nc1"], None)
    assert found["nc1"] > 0
    assert problem == ""


def test_a_network_that_is_gone_is_said(store) -> None:
    resolved = trained(store).changed(fingerprint="other")
    found, problem = analyse(resolved, store, ["nc1"], None)
    assert found == {}
    assert problem.startswith("collapse not computed: ")


def test_samples_are_spread_evenly_and_hold_every_class() -> None:
    assert evenly(torch.arange(10), 4).tolist() == [0, 2, 5, 7]
    assert evenly(torch.arange(3), 4).tolist() == [0, 1, 2]
    assert evenly(torch.arange(0), 4).tolist() == []
    labels = torch.tensor([0] * 60 + [1] * 39 + [2])
    found = stratified(labels, 10)
    assert labels[found].bincount().tolist() == [6, 3, 1]
    assert stratified(labels, 1000).sort()[0].tolist() == list(range(100))
    assert stratified(labels[:0], 10).tolist() == []


def test_classes_that_the_data_lack_are_refused(store) -> None:
    resolved = trained(store)
    for classes in (None, (3, 8, 10), (-1, 3, 8)):
        with pytest.raises(InputError, match="classes: three of the 10 classes"):
            _ = Subject(resolved, store, classes).classes
