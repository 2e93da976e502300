"""`train_ensemble`: members as runs of the store, combinations, calibration after combining, files, and errors."""

import json
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from classifiers import inputs_of
from ensembles.small import made_on, specification, write_table

from softtargets import metrics
from softtargets._errors import InputError, InputTypeError
from softtargets.calibration import TemperatureScaling
from softtargets.cli import run_safely
from softtargets.cli.ensembles import show_ensemble
from softtargets.cli.errors import BAD_INPUT, DONE
from softtargets.data import read_predictions as read_files
from softtargets.ensembles import EnsembleResults, train_ensemble
from softtargets.export import save_program
from softtargets.metrics.statistics import holm_adjusted
from softtargets.runs.record import read_predictions
from softtargets.train import load_run, train_run

Make = Any


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three classes, and a run store, which the tests share."""
    return write_table(tmp_path_factory.mktemp("ensembles"))


@pytest.fixture(scope="module")
def made(folder: Path) -> Make:
    """Return a function that trains an ensemble of a small network."""
    return partial(made_on, folder)


def recorded(results: EnsembleResults, folder: Path, split: str) -> torch.Tensor:
    paths = [folder / "runs" / member.identity for member in results.members]
    return torch.stack([read_predictions(path)[f"{split}.logits"] for path in paths])


def test_a_deep_ensemble(made: Make, folder: Path) -> None:
    results = made({"name": "seeds", "size": 3})
    assert results.trained == 3
    logits, labels = (
        recorded(results, folder, "test"),
        load_run(folder / "runs" / results.members[0].identity).predictions,
    )
    ensemble = results.ensemble
    assert ensemble is not None
    run = load_run(folder / "runs" / results.members[0].identity)
    rows = inputs_of(run)
    mean = logits.softmax(-1).mean(0)
    torch.testing.assert_close(ensemble.logits(rows).exp(), mean, rtol=1e-4, atol=1e-6)
    # calibrated on the validation split, after combining
    valid = recorded(results, folder, "validation").softmax(-1).mean(0)
    fitted = TemperatureScaling().fit(valid.log(), labels["validation.observed"])
    expected = fitted(mean.log()).exp()
    torch.testing.assert_close(ensemble.predict_proba(rows), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(ensemble(rows), expected, rtol=1e-4, atol=1e-5)
    assert [model.name for model in results.variants()] == [
        "calibrated after combining",
        "not calibrated",
        "calibrated before combining",
    ]
    accuracy = float((mean.argmax(-1) == labels["test.labels"]).double().mean())
    found = results.variants()[1].metric("accuracy")
    assert found is not None
    assert found.value == pytest.approx(accuracy)
    assert results.members[1].metrics["accuracy"] == pytest.approx(
        float((logits[1].argmax(-1) == labels["test.labels"]).double().mean())
    )
    written = read_files([results.folder / "test.safetensors"])
    torch.testing.assert_close(written.values, expected, rtol=1e-4, atol=1e-5)
    assert json.loads((results.folder / "ensemble.json").read_text())["kind"] == "seeds"
    assert results.diversity is not None


def test_what_is_compared(made: Make, folder: Path) -> None:
    results = made({"name": "seeds", "size": 3})
    assert results.evaluation is not None
    runs = [load_run(folder / "runs" / member.identity).predictions for member in results.members]
    valid = [float((one["validation.logits"].argmax(1) == one["validation.observed"]).double().mean()) for one in runs]
    nll = [float(metrics.nll(logits=one["validation.logits"], labels=one["validation.observed"])) for one in runs]
    best = min(range(3), key=lambda place: (-valid[place], nll[place]))
    own = TemperatureScaling().fit(runs[best]["validation.logits"], runs[best]["validation.observed"])
    logits = own(runs[best]["test.logits"].double())
    *_, compared = results.evaluation.models
    assert compared.name == "best member"
    for name, expected in (
        ("accuracy", float((logits.argmax(1) == runs[best]["test.labels"]).double().mean())),
        ("nll", float(metrics.nll(logits=logits, labels=runs[best]["test.labels"]))),
    ):
        found = compared.metric(name)
        assert found is not None
        assert found.value == pytest.approx(expected)
    shown = [(one.metric, one.against) for one in results.comparisons]
    ways = [(metric, way) for way in ("not calibrated", "calibrated before combining") for metric in ("nll", "ece")]
    assert shown == [*ways, ("accuracy", "best member"), ("nll", "best member")]
    assert results.best == results.members[best].name
    ps = [one.p for one in results.comparisons]
    assert [one.adjusted for one in results.comparisons] == holm_adjusted(ps)
    plain = made({"name": "seeds", "size": 2, "calibrator": "none"})
    assert [one.against for one in plain.comparisons] == ["best member", "best member"]
    assert plain.calibrated_on == 0


def test_what_speaks_against_an_ensemble_is_printed(made: Make) -> None:
    results = made({"name": "boosting", "size": 2})
    printed = "\n".join(show_ensemble(results))
    assert "gained by averaging" not in printed
    assert "worse than its best member" not in printed
    assert f"fitted on {results.calibrated_on} validation rows" in printed
    assert "did not converge" not in printed
    assert "verdicts are after adjustment for these 4 differences" in printed
    evaluation = results.evaluation
    assert evaluation is not None
    worse = tuple(
        replace(one, value=-0.1 if one.metric == "accuracy" else 0.1, p=0.001) for one in evaluation.differences
    )
    ensemble = deepcopy(results.ensemble)
    assert ensemble is not None
    assert ensemble.calibrator is not None
    ensemble.calibrator.converged.fill_(False)
    changed = replace(results, evaluation=replace(evaluation, differences=worse), ensemble=ensemble)
    printed = "\n".join(show_ensemble(changed))
    assert "The ensemble is significantly worse than its best member in Accuracy and NLL" in printed
    assert f"did not converge on its {results.calibrated_on} validation rows" in printed


def test_members_are_shared_between_sizes_and_kinds(made: Make) -> None:
    three = made({"name": "seeds", "size": 3})
    four = made({"name": "seeds", "size": 4, "combine": "logits", "calibrator": "none"})
    assert [member.identity for member in four.members[:3]] == [member.identity for member in three.members]
    assert three.trained == 0
    assert four.trained == 1
    assert [model.name for model in four.variants()] == ["not calibrated"]
    assert four.ensemble is not None
    assert four.ensemble.calibrator is None
    assert three.folder != four.folder
    assert len({run.seeds.order for run in four.runs}) == 4
    assert {run.seeds.noise for run in four.runs} == {0}


def test_bagging_differs_in_the_samples_alone(made: Make) -> None:
    bagged = made({"name": "bagging", "size": 2})
    seeds = made({"name": "seeds", "size": 2})
    assert [run.bootstrap for run in bagged.runs] == [0, 1]
    assert [run.changed(bootstrap=None) for run in bagged.runs] == list(seeds.runs)
    assert not {member.identity for member in bagged.members} & {member.identity for member in seeds.members}


def test_snapshots_are_the_ends_of_the_cycles(made: Make, folder: Path) -> None:
    results = made({"name": "snapshots", "size": 2})
    assert len({member.identity for member in results.members}) == 1
    assert [member.name.split(", ")[1] for member in results.members] == ["epoch 2", "epoch 4"]
    run = load_run(folder / "runs" / results.members[0].identity)
    rates = [row["learning_rate"] for row in run.history]
    assert rates[1] < rates[0] / 2
    assert rates[2] > rates[1]
    rows = inputs_of(run)
    assert results.ensemble is not None
    last = results.ensemble.members[1]
    torch.testing.assert_close(last.logits(rows), run.predictions["test.logits"], rtol=1e-5, atol=1e-5)  # pyright: ignore[reportCallIssue]
    first = results.ensemble.members[0]
    assert not torch.allclose(first.logits(rows), run.predictions["test.logits"], atol=1e-3)  # pyright: ignore[reportCallIssue]


def test_boosting_votes_with_the_weights_of_samme(made: Make, folder: Path) -> None:
    results = made({"name": "boosting", "size": 3})
    assert results.runs[2].boosted_after == results.runs[1]
    assert results.runs[0].boosted_after is None
    votes = [member.vote for member in results.members]
    logits = recorded(results, folder, "test")
    sums = torch.zeros(logits.shape[1:])
    for vote, one in zip(votes, logits, strict=True):
        assert vote is not None
        assert vote > 0
        sums += vote * torch.nn.functional.one_hot(one.argmax(-1), 3)
    run = load_run(folder / "runs" / results.members[0].identity)
    assert results.ensemble is not None
    torch.testing.assert_close(results.ensemble.logits(inputs_of(run)), sums)
    assert [model.name for model in results.variants()] == ["calibrated after combining", "not calibrated"]
    assert made({"name": "boosting", "size": 2}).trained == 0


def test_stacking_is_fitted_to_held_out_predictions(made: Make, folder: Path) -> None:
    from softtargets.ensembles.combining import StackedLogits

    results = made({"name": "stacking", "folds": 3, "models": [{"name": "mlp", "hidden": []}]})
    assert results.trained == 1 + 2 * 3  # the first member is that of the deep ensemble
    assert [run.model.name for run in results.runs] == ["mlp", "mlp"]
    assert results.ensemble is not None
    combination = results.ensemble.combination
    assert isinstance(combination, StackedLogits)
    assert combination.weight.shape == (3, 6)
    logits = recorded(results, folder, "train")
    run = load_run(folder / "runs" / results.members[0].identity)
    in_sample = StackedLogits.fit(logits.double(), run.predictions["train.observed"])
    assert not torch.allclose(in_sample.weight, combination.weight, atol=1e-3)
    # no run has a row of the validation split, on which the calibrator is fitted, in its training split
    for path in (folder / "runs").glob("*/spec.json"):
        fold = json.loads(path.read_text())["run"]["data"].get("fold")
        if fold and fold["count"] == 3:
            parts = read_predictions(path.parent)
            rows = torch.cat([parts["train.ids"], parts["validation.ids"]]).sort().values
            assert torch.equal(rows, run.predictions["train.ids"])
    found = results.variants()[1].metric("accuracy")
    assert found is not None
    assert found.value is not None
    assert found.value > 0.5


def test_votes_calibrate_and_judge_an_ensemble(made: Make, folder: Path) -> None:
    draw = torch.Generator().manual_seed(2)
    rows = torch.randn(240, 2, generator=draw)
    first = torch.distributions.Binomial(4, torch.sigmoid(rows[:, 0])).probs.mul(4).round().long().tolist()
    lines = (f"{a},{b},{n},{4 - n}\n" for (a, b), n in zip(rows.tolist(), first, strict=True))
    (folder / "votes.csv").write_text("a,b,v_x,v_y\n" + "".join(lines))
    results = made({"name": "seeds", "size": 2}, data={"name": str(folder / "votes.csv"), "votes": "v"})
    assert results.evaluation is not None
    assert results.evaluation.main.votes is not None
    calibrator = results.ensemble.calibrator
    members = recorded(results, folder, "validation")
    votes = load_run(folder / "runs" / results.members[0].identity).predictions["validation.votes"]
    expected = TemperatureScaling().fit(results.ensemble.combination(members), votes)
    assert torch.equal(calibrator.temperature, expected.temperature)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


def test_members_teach_a_student(made: Make, folder: Path) -> None:
    results = made({"name": "seeds", "size": 2})
    run = specification(folder)
    teachers = [member.model_dump(exclude_none=True) for member in results.runs]
    student = train_run({**run, "objective": {"name": "distillation"}, "teachers": teachers}, runs=folder / "runs")
    assert student.status == "trained", student.message


def test_an_ensemble_is_exported(made: Make, tmp_path: Path) -> None:
    ensemble = made({"name": "seeds", "size": 2}).ensemble
    program = save_program(ensemble, tmp_path / "ensemble.pt2")
    rows = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(program(rows), ensemble(rows), rtol=0, atol=1e-6)


def test_the_command_prints_members_and_ensemble(folder: Path, tmp_path: Path, capsys) -> None:
    lines = [
        "[data]", f'name = "{folder / "table.csv"}"', "[model]", 'name = "mlp"', "hidden = [8]", "[optimizer]",
        "learning_rate = 0.2", "[training]", "epochs = 4", "batch_size = 16", 'precision = "float32"',
        "[ensemble]", 'name = "seeds"', "size = 2",
    ]  # fmt: skip
    (tmp_path / "ensemble.toml").write_text("\n".join(lines))
    assert run_safely(["train", str(tmp_path / "ensemble.toml"), "--runs", str(folder / "runs")]) == DONE
    printed = capsys.readouterr().out
    assert printed.startswith("seeds: 2 members, ")
    assert printed.count("\nmember ") == 2
    for text in ("mean member", "ensemble, calibrated after combining", "diversity: disagreement", "next: softtargets"):
        assert text in printed
    (tmp_path / "ensemble.toml").write_text("\n".join([*lines[:-2], 'name = "baging"']))
    assert run_safely(["train", str(tmp_path / "ensemble.toml")]) == BAD_INPUT
    assert "bagging" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ensemble", "changes", "words"),
    [
        ({"name": "seeds", "size": 1}, {}, r"ensemble\.size"),
        ({"name": "seeds", "calibrator": "platt"}, {}, r"ensemble\.calibrator: one of"),
        (
            {"name": "snapshots", "size": 3},
            {},
            r"training\.epochs: a multiple of ensemble\.size, 3, for snapshots; got 4",
        ),
        (
            {"name": "snapshots", "size": 3},
            {"training": {"steps": 60}},
            r"training\.steps: left out for snapshots; got 60; remove it, and set training\.epochs to a multiple of 3",
        ),
        (
            {"name": "snapshots", "size": 3},
            {"training": {"epochs": 3, "patience": 2, "evaluate_every": 1}},
            r"training\.patience: left out for snapshots; got 2",
        ),
        ({"name": "snapshots", "size": 2}, {"schedule": {"name": "linear"}}, "schedule: left out for snapshots"),
        ({"name": "stacking", "models": []}, {}, r"ensemble\.models"),
        ({"name": "seeds"}, {"modle": {}}, "did you mean 'model'"),
        ({"name": "seeds"}, {"data": {"validation": 0.0}}, r"ensemble\.calibrator: validation rows to fit it on"),
        (
            {"name": "seeds"},
            {"data": {"name": "none.csv", "target": "text", "tokenizer": {"name": "bpe"}}},
            "ensemble: left out for a run that writes",
        ),
    ],
)
def test_bad_tables_are_refused_before_training(folder: Path, ensemble, changes, words: str) -> None:
    content = {**specification(folder), **changes, "ensemble": ensemble}
    if "data" in changes:
        content["data"] = {**specification(folder)["data"], **changes["data"]}
    with pytest.raises(InputError, match=words):
        train_ensemble(content, runs=folder / "never")
    assert not list((folder / "never").glob("*/spec.json"))


def test_a_specification_without_the_table_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="ensemble: a table; got none"):
        train_ensemble(specification(folder))
    with pytest.raises(InputTypeError, match="specification: a mapping or the path of a TOML file"):
        train_ensemble(3)  # pyright: ignore[reportArgumentType]


def test_unlabelled_rows_are_added_to_all_members(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "table.csv").read_text().splitlines()[:31]
    (tmp_path / "more.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    content = {**specification(folder), "objective": {"name": "pseudo_labels"}}
    toml = [
        "[data]", f'name = "{folder / "table.csv"}"', "[model]", 'name = "mlp"', "hidden = [8]", "[objective]",
        'name = "pseudo_labels"', "[training]", "epochs = 1", "[ensemble]", 'name = "bagging"', "size = 2",
    ]  # fmt: skip
    (tmp_path / "ensemble.toml").write_text("\n".join(toml))
    store, more = tmp_path / "runs", tmp_path / "more.csv"
    command = ["train", str(tmp_path / "ensemble.toml"), "--unlabelled", str(more), "--runs", str(store)]
    assert run_safely(command) == DONE
    counts = [json.loads(path.read_text())["data"]["unlabelled"] for path in store.glob("*/result.json")]
    assert counts == 2 * [{"hidden": 0, "missing": 30}]
    content["ensemble"] = {"name": "boosting", "size": 2}
    with pytest.raises(InputError, match=r"ensemble\.name: .*; got 'boosting' with 30 training rows without a label"):
        train_ensemble(content, unlabelled=more, runs=tmp_path / "never")
    assert not list((tmp_path / "never").glob("*/spec.json"))
