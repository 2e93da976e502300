"""Comparisons of a small table, from the file to the recommended specification."""

import json
import re
import shutil
from pathlib import Path

import pytest
from compare.compare_examples import RECIPE, options, write_table

from softtargets._errors import InputError
from softtargets.compare import CompareResults, ComparisonFailedError, compare_methods, training
from softtargets.compare.training import MEMBER_STRIDE, SELECTION
from softtargets.data.sources import load
from softtargets.data.spec import DataSpec
from softtargets.measures import measure_record
from softtargets.runs.store import RunStore
from softtargets.train import train_run

METHODS = ("temperature", "label_smoothing", "forward", "ensemble")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def results(folder) -> CompareResults:
    data = write_table(folder / "table.csv")
    return compare_methods(data, output=folder / "page", options=options(folder, methods=METHODS))


def test_every_method_is_in_the_verdict_or_has_a_reason(results):
    assert [method.name for method in results.methods] == ["cross_entropy", "label_smoothing", "ensemble"]
    (skipped,) = results.skipped
    assert skipped.name == "forward"
    assert "it needs label noise: the estimate on the validation split is" in skipped.reason


def test_the_results_are_those_of_the_runs(results, folder):
    store = RunStore(folder / "runs")
    runs = {resolved.identity: resolved for resolved in store.recorded()}
    own = [
        resolved
        for resolved in runs.values()
        if resolved.run.objective.name == "cross_entropy"
        and resolved.run.objective.smoothing == 0  # pyright: ignore[reportAttributeAccessIssue]
        and resolved.run.seeds.order < 2
    ]
    assert len(own) == 2
    measured = [measure_record(store, resolved.identity) for resolved in own]
    values = results.baseline.values
    assert values["accuracy"] == pytest.approx(sum(one["test.accuracy"] for one in measured) / 2)
    assert values["nll"] == pytest.approx(sum(one["test.nll"] for one in measured) / 2)


def test_arms_differ_in_the_objective_alone_and_the_choice_has_seeds_of_its_own(folder, results):
    verdict, choice, members = set(), set(), set()
    shared = set()
    for resolved in RunStore(folder / "runs").recorded():
        order = resolved.run.seeds.order
        place = members if order >= MEMBER_STRIDE else choice if order >= SELECTION else verdict
        place.add(order)
        shared.add(resolved.run.model_dump_json(exclude={"objective", "seeds"}))
        assert resolved.run.seeds.initialisation == resolved.run.seeds.augmentation == order
        assert resolved.run.seeds.noise == 0
    assert verdict == {0, 1}
    assert choice == {SELECTION, SELECTION + 1}
    assert members == {place * MEMBER_STRIDE + seed for place in (1, 2) for seed in (0, 1)}
    assert len(shared) == 1


def test_an_ensemble_costs_three_networks(results, folder):
    store = RunStore(folder / "runs")
    times = {
        resolved.run.seeds.order: store.checked_result(resolved.identity)["seconds"]
        for resolved in store.recorded()
        if resolved.run.objective.smoothing == 0  # pyright: ignore[reportAttributeAccessIssue]
    }
    sums = [sum(times[seed + place * MEMBER_STRIDE] for place in range(3)) for seed in (0, 1)]
    found = results.method("ensemble")
    assert found.members == 3
    assert found.seconds == pytest.approx(sum(sums) / 2)
    assert found.cost == pytest.approx(min(sums) / min(times[0], times[1]))
    assert results.baseline.cost == 1.0


def test_the_recommended_specification_is_a_run_of_the_verdict(results, folder, monkeypatch):
    monkeypatch.chdir(folder)
    path = folder / "page" / "recommended.toml"
    assert path.read_text() == results.specification
    trained = train_run(path, runs=folder / "runs")
    assert trained.status == "present"
    assert trained.resolved.run.seeds.order == 0


def test_few_repetitions_and_the_network_are_said(results):
    few = any("repetitions hardly show how much trainings differ" in limit for limit in results.provenance.limits)
    assert few == (results.provenance.plan.seeds < 4)
    assert re.fullmatch(r"mlp( hidden=(none|[\d,]+))?", results.data.network)


def test_the_files_hold_the_results(results, folder):
    assert results.page == folder / "page" / "index.html"
    kept = json.loads((folder / "page" / "compare.json").read_text())
    assert kept["recommendation"]["headline"] == results.advice.headline
    found = next(method for method in kept["methods"] if method["name"] == "label_smoothing")
    assert found["values"]["accuracy"] == results.method("label_smoothing").values["accuracy"]
    assert (
        found["differences"]["accuracy"]["low"] == results.method("label_smoothing").verdict.differences["accuracy"].low
    )
    assert kept["plan"]["seeds"] == 2


def test_a_second_comparison_trains_nothing_and_finds_the_same(results, folder):
    before = sorted(path.name for path in (folder / "runs").iterdir())
    stages: list[str] = []
    again = compare_methods(
        folder / "table.csv",
        options=options(folder, methods=METHODS, on_progress=lambda state: stages.append(getattr(state, "name", ""))),
    )
    assert again.to_dict() == {**results.to_dict(), "command": again.provenance.command}
    assert sorted(path.name for path in (folder / "runs").iterdir()) == before
    assert not any("runs, about" in stage for stage in stages)
    assert again.page is None


def test_an_interrupted_comparison_continues(results, folder, tmp_path, monkeypatch):
    shutil.copy(folder / "table.csv", tmp_path / "table.csv")
    calls = 0
    train_all = training.train_all

    def interrupted(*args, **settings):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return train_all(*args, **settings)

    monkeypatch.setattr(training, "train_all", interrupted)
    chosen = options(tmp_path, methods=METHODS)
    with pytest.raises(KeyboardInterrupt):
        compare_methods(tmp_path / "table.csv", options=chosen)
    assert len(list(RunStore(tmp_path / "runs").recorded())) > 1
    found = compare_methods(tmp_path / "table.csv", options=chosen)
    assert [method.values for method in found.methods] == [method.values for method in results.methods]
    assert found.advice == results.advice


def test_a_method_that_diverges_is_listed_and_the_others_are_compared(folder, tmp_path):
    recipe = {**RECIPE, "optimizer": {"name": "sgd", "learning_rate": 0.1}}
    chosen = options(tmp_path, methods=("temperature", "generalized_cross_entropy"), specification=recipe)
    outputs = training.Trainings.failure

    def failure(self, candidate, seed):
        return "not finite" if candidate.method == "generalized_cross_entropy" else outputs(self, candidate, seed)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training.Trainings, "failure", failure)
        found = compare_methods(write_table(tmp_path / "table.csv"), options=chosen)
    assert [method.name for method in found.methods] == ["cross_entropy"]
    assert [(one.name, one.reason) for one in found.skipped] == [
        ("generalized_cross_entropy", "its training failed: not finite")
    ]


def test_cross_entropy_that_diverges_is_an_error(tmp_path):
    recipe = {**RECIPE, "optimizer": {"name": "sgd", "learning_rate": 1e30, "momentum": 0.0}}
    with pytest.raises(ComparisonFailedError, match="training with cross entropy failed"):
        compare_methods(
            write_table(tmp_path / "table.csv"),
            options=options(tmp_path, methods=("temperature",), specification=recipe),
        )


def test_added_noise_is_the_same_in_all_runs_and_forward_correction_is_tested(tmp_path):
    recipe = {**RECIPE, "noise": {"name": "symmetric", "rate": 0.3}, "training": {"epochs": 6, "batch_size": 16}}
    found = compare_methods(
        write_table(tmp_path / "table.csv", rows=900, spread=0.3),
        options=options(tmp_path, methods=("forward",), specification=recipe),
    )
    assert [method.name for method in found.methods] == ["cross_entropy", "forward"]
    assert found.data.noisy
    assert "29.9 % of the train labels" in (found.data.noise or "")
    assert "The test labels are those of the data" in found.provenance.limits[-1]
    assert {resolved.run.seeds.noise for resolved in RunStore(tmp_path / "runs").recorded()} == {0}
    # its own training, and that of the network which T is estimated from
    store, times = RunStore(tmp_path / "runs"), {"cross_entropy": 0.0, "forward": 0.0}
    for resolved in store.recorded():
        if resolved.run.seeds.order < SELECTION:
            times[resolved.run.objective.name] += store.checked_result(resolved.identity)["seconds"] / 2
    assert found.baseline.seconds == pytest.approx(times["cross_entropy"])
    assert found.method("forward").seconds == pytest.approx(times["forward"] + times["cross_entropy"])


def test_noisy_test_labels_are_said(tmp_path):
    data = write_table(tmp_path / "table.csv", rows=900, flipped=0.5, spread=0.3)
    recipe = {**RECIPE, "training": {"epochs": 6, "batch_size": 16}}
    found = compare_methods(data, options=options(tmp_path, methods=("temperature",), specification=recipe))
    assert found.data.noisy
    assert "The test labels come from the same source, so they are as wrong" in found.provenance.limits[-1]


def test_a_budget_is_kept_and_its_plan_too(tmp_path):
    data = write_table(tmp_path / "table.csv")
    chosen = options(tmp_path, methods=("label_smoothing",), seeds=None, budget="10m")
    first = compare_methods(data, options=chosen).provenance.plan
    assert first.run_seconds is not None
    assert first.seconds is not None
    assert first.seconds <= 600
    assert compare_methods(data, options=chosen).provenance.plan == first
    with pytest.raises(InputError, match=r"budget: at least .* for 2 repetitions"):
        compare_methods(data, options=options(tmp_path, seeds=None, budget=0.001))


def test_inputs_that_say_nothing_of_the_labels_are_said(tmp_path, results):
    data = write_table(tmp_path / "table.csv", flipped=1.0)
    found = compare_methods(data, options=options(tmp_path, methods=("temperature", "label_smoothing"), seeds=3))
    assert found.advice.method == "cross_entropy"
    assert found.advice.headline.endswith("no method is better than cross entropy beyond chance.")
    pattern = (
        r"Cross entropy does not predict better beyond chance than the most frequent class of the training split does: "
        r"([\d.]+) % against ([\d.]+) % of the test rows \(difference −[\d.]+ to \+[\d.]+ points\)\."
    )
    match = re.match(pattern, found.advice.sentences[0])
    assert match is not None, found.advice.sentences
    dataset = load(DataSpec.parse({"name": str(data), "split_seed": 0}, source="data"))
    train, test = (dataset.labels[dataset.splits[split]] for split in ("train", "test"))
    share = float((test == train.bincount().argmax()).double().mean())
    assert float(match[2]) == pytest.approx(100 * share, abs=0.005)
    assert not any(sentence.startswith("Cross entropy does not predict") for sentence in results.advice.sentences)
