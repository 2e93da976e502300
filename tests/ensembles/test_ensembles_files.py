"""The folder of a trained ensemble: what is loaded from it is what was trained, and damage is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ensembles.small import KINDS, made_on, rows_of, write_table

from softtargets._errors import InputError, InputTypeError
from softtargets.cli import run_safely
from softtargets.cli.errors import DONE
from softtargets.data import read_predictions
from softtargets.ensembles import (
    Ensemble,
    EnsembleResults,
    MeanProbs,
    WeightedVotes,
    find_ensemble,
    list_ensembles,
    load_ensemble,
    predict_ensemble,
)
from softtargets.evaluate import evaluate_predictions
from softtargets.train import PredictOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def pair(folder: Path) -> EnsembleResults:
    return made_on(folder, {"name": "seeds", "size": 2})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["name"])
def test_what_is_loaded_predicts_what_was_trained(folder: Path, kind: dict[str, Any]) -> None:
    results = made_on(folder, kind)
    loaded = load_ensemble(results.folder)
    assert results.ensemble is not None
    rows = rows_of(loaded.members[0].run)
    # a product may differ in its last bit with the alignment of its matrices
    torch.testing.assert_close(loaded.classifier.logits(rows), results.ensemble.logits(rows), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loaded.classifier.predict_proba(rows), results.ensemble.predict_proba(rows))
    assert len(loaded.members) == len(results.members)
    torch.testing.assert_close(loaded.test_logits.float(), loaded.classifier.logits(rows), rtol=1e-4, atol=1e-5)


def test_it_is_found_by_folder_or_first_digits(folder: Path, pair: EnsembleResults) -> None:
    name, runs = pair.folder.name, folder / "runs"
    assert find_ensemble(pair.folder) == pair.folder
    assert find_ensemble(name[:12], runs) == pair.folder
    assert find_ensemble(pair.members[0].identity, runs) is None
    assert find_ensemble("no-digits", runs) is None


def test_it_is_listed(folder: Path, pair: EnsembleResults, tmp_path: Path) -> None:
    name = pair.folder.name
    (entry,) = list_ensembles(folder / "runs", prefix=name)
    accuracy = pair.variants()[0].metric("accuracy")
    assert accuracy is not None
    assert (entry.name, entry.path, entry.kind, entry.size) == (name, pair.folder, "seeds", 2)
    assert (entry.data, entry.test_accuracy) == (str(folder / "table.csv"), accuracy.value)
    assert list_ensembles(tmp_path) == ()
    (tmp_path / "ensembles" / "ab").mkdir(parents=True)
    (tmp_path / "ensembles" / "ab" / "ensemble.json").write_text("{}")
    assert [(one.name, one.kind) for one in list_ensembles(tmp_path)] == [("ab", "")]


@pytest.mark.parametrize("name", ["seeds", "snapshots", "boosting", "stacking"])
def test_a_data_set_is_predicted(folder: Path, tmp_path: Path, name: str) -> None:
    results = made_on(folder, next(kind for kind in KINDS if kind["name"] == name))
    path, runs = tmp_path / "test.npz", folder / "runs"
    done = predict_ensemble(results.folder.name[:12], folder / "table.csv", path, runs=runs)
    written = read_predictions([path])
    expected = read_predictions([results.folder / "test.safetensors"])
    torch.testing.assert_close(written.values.double().softmax(-1), expected.values.double(), rtol=1e-4, atol=1e-5)
    assert written.labels is not None
    assert expected.labels is not None
    assert torch.equal(written.labels, expected.labels)
    assert (done.run, done.splits, done.kind) == (results.folder, ("test",), "logits")
    assert done.calibrator is not None
    whole = predict_ensemble(results.folder, folder / "table.csv", path, options=PredictOptions(split="all"))
    assert whole.num_rows == 240


def test_predicting_without_an_ensemble_or_with_other_options(folder: Path, pair: EnsembleResults) -> None:
    with pytest.raises(InputError, match=r"ensemble: the folder of an ensemble, .*; got 'ab'"):
        predict_ensemble("ab", "digits", folder / "p.npz", runs=folder / "runs")
    for options, name in ((PredictOptions(selected=True), "selected"), (PredictOptions(calibrator="x"), "calibrator")):
        with pytest.raises(InputError, match=rf"options\.{name}: left out for an ensemble"):
            predict_ensemble(pair.folder, "digits", folder / "p.npz", options=options)


def test_the_commands_know_ensembles(folder: Path, pair: EnsembleResults, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    digits, runs = pair.folder.name[:12], ["--runs", str(folder / "runs")]
    assert run_safely(["predict", digits, str(folder / "table.csv"), "--output", "p.npz", *runs]) == DONE
    printed = capsys.readouterr().out
    assert printed.startswith("48 rows of ")
    assert "calibrated by TemperatureScaling(" in printed
    assert run_safely(["evaluate", str(pair.folder)]) == DONE
    printed = capsys.readouterr().out
    assert printed.startswith(f"{digits[:8]}: 48 rows, 3 classes, probabilities")
    assert f"evaluate-{digits[:8]}" in printed
    assert run_safely(["runs", digits, *runs]) == DONE
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2].split()[:3] == [digits[:8], "seeds", "2"]
    assert printed[-1] == f"1 ensemble in {folder / 'runs' / 'ensembles'}"
    assert run_safely(["runs", "--status", "failed", *runs]) == DONE
    assert "ensemble" not in capsys.readouterr().out


def test_classifiers_that_cannot_be_combined_are_refused(pair: EnsembleResults) -> None:
    ensemble = pair.ensemble
    assert ensemble is not None
    loaded = load_ensemble(pair.folder)
    for wrong in (ensemble, loaded.members[0], torch.nn.Linear(2, 3)):
        with pytest.raises(InputTypeError, match=r"members\[0\]: the classifier of a run; got"):
            Ensemble([wrong], MeanProbs())  # pyright: ignore[reportArgumentType]
    classifiers = [member.classifier for member in loaded.members]
    with pytest.raises(InputError, match="combination: one of as many members as there are; got one of 3"):
        Ensemble(classifiers, WeightedVotes([1.0, 1.0, 1.0]))
    calibrated = loaded.members[0].run.calibrate().classifier
    with pytest.raises(InputError, match=r"members\[1\]: a classifier without calibrator"):
        Ensemble([classifiers[0], calibrated], MeanProbs())
    with pytest.raises(InputTypeError, match=r"probs: .*; got Ensemble; pass what its predict_proba\(inputs\) returns"):
        evaluate_predictions(ensemble, torch.zeros(4))


def test_digits_of_several_are_refused(pair: EnsembleResults, tmp_path: Path) -> None:
    for name in ("ab12", "ab34"):
        shutil.copytree(pair.folder, tmp_path / "ensembles" / name)
    with pytest.raises(InputError, match="run: digits that only one run or ensemble starts with; got 'ab', the start"):
        find_ensemble("ab", tmp_path)


def test_damage_is_named(folder: Path, pair: EnsembleResults, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder: a folder with the ensemble\.json of an ensemble; got"):
        load_ensemble(tmp_path)
    voted = made_on(folder, {"name": "boosting", "size": 2})
    copy = folder / "runs" / "ensembles" / "copy"
    shutil.copytree(voted.folder, copy)
    (copy / "calibrator.safetensors").unlink()
    voted_alone = {**json.loads((copy / "ensemble.json").read_text()), "calibrator": None}
    (copy / "ensemble.json").write_text(json.dumps(voted_alone))
    (copy / "combination.safetensors").write_bytes(b"none")
    with pytest.raises(InputError, match=r"an intact 'combination\.safetensors'"):
        load_ensemble(copy)
    content = json.loads((pair.folder / "ensemble.json").read_text())
    (copy / "ensemble.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"folder: a calibrator\.safetensors, since .*; got none"):
        load_ensemble(copy)
    content["members"][0]["identity"] = "0" * 64
    (copy / "ensemble.json").write_text(json.dumps({**content, "calibrator": None}))
    with pytest.raises(InputError, match="the folder of a finished run; got none in"):
        load_ensemble(copy)
