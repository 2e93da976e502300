"""Evaluating the next tokens of a run: the numbers that the run recorded, and those of the same values as arrays."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pairs import translation, write_pairs

from softtargets._errors import InputError
from softtargets.evaluate import EvaluateRequest, EvaluationOptions, evaluate_predictions
from softtargets.evaluate.tokens.runs import RunTokens
from softtargets.train import load_run, train_run

pytest.importorskip("transformers", reason="transformers is not installed")

LANGUAGE_MODEL = {"name": "causal_lm", "config": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}}
FEW = EvaluationOptions(n_draws=20)


@pytest.fixture(scope="module", params=["pairs", "texts"])
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on sentence pairs, and of a language model on their targets."""
    place = tmp_path_factory.mktemp("runs")
    (place / "data").mkdir()
    specification = translation(write_pairs(place / "data"))
    if request.param == "texts":
        data = {name: value for name, value in specification["data"].items() if name != "source"}
        specification = {**specification, "data": data, "model": LANGUAGE_MODEL}
    return train_run(specification, runs=place / "runs").folder


def test_the_numbers_are_those_of_the_run(folder: Path) -> None:
    run = load_run(folder)
    found = evaluate_predictions(predictions=folder, options=FEW)
    assert found.main.name == folder.name[:8]
    tokens = int(run.predictions["test.tokens"].sum())
    assert found.main.num_rows == tokens
    for name, expected in (("nll", "test.token_nll"), ("accuracy", "test.token_accuracy")):
        metric = found.main.metric(name)
        assert metric is not None
        assert metric.value == pytest.approx(run.metrics[expected], abs=1e-5)
    assert found.main.tokens is not None
    assert any("Next tokens of the test split" in note for note in found.main.notes)


def test_the_numbers_are_those_of_arrays(folder: Path) -> None:
    source = RunTokens.of(folder, "validation")
    (chunk,) = source.chunks()
    shape = (len(source.rows), source.positions)
    values, labels = chunk.values.reshape(*shape, -1), chunk.labels
    assert labels is not None
    assert torch.equal(labels, torch.cat(list(source.label_chunks())))
    expected = evaluate_predictions(logits=values, labels=labels.reshape(shape), options=FEW)
    request = EvaluateRequest.parse([str(folder)], split="validation")
    found = evaluate_predictions(predictions=request, options=FEW)
    assert [m.value for m in found.main.metrics] == pytest.approx([m.value for m in expected.main.metrics], nan_ok=True)
    # in chunks of one sequence the rows are the same
    alone = list(source.chunks(1))
    assert len(alone) == len(source.rows)
    torch.testing.assert_close(torch.cat([one.values for one in alone]), chunk.values, rtol=1e-4, atol=1e-5)
    assert [one.first_row for one in alone] == list(range(0, len(labels), source.positions))


def test_a_run_does_not_differ_from_itself(folder: Path) -> None:
    request = EvaluateRequest.parse([f"a={folder}"], [f"b={folder}"])
    found = evaluate_predictions(predictions=request, options=FEW)
    assert all(difference.value == 0 for difference in found.differences)
    assert "--split" not in found.command


def test_bad_requests(folder: Path, tmp_path: Path) -> None:
    wrong = EvaluateRequest.parse([str(folder)], labels="targets")
    with pytest.raises(InputError, match=r"--labels: left out for a run"):
        evaluate_predictions(predictions=wrong)
    (tmp_path / "p.csv").write_text("labels,probs_0,probs_1\n0,0.5,0.5\n")
    with pytest.raises(InputError, match=r"--split: left out for files of predictions; got 'train'"):
        evaluate_predictions(predictions=EvaluateRequest.parse([str(tmp_path / "p.csv")], split="train"))


def test_runs_that_predict_labels_are_predicted_first(tmp_path: Path) -> None:
    specification = {
        "data": {"name": "digits", "limit": {"train": 50}},
        "model": {"name": "mlp", "hidden": [4]},
        "training": {"steps": 1, "precision": "float32"},
    }
    folder = train_run(specification, runs=tmp_path / "runs").folder
    with pytest.raises(InputError, match=r"predictions: a run that writes tokens.*softtargets predict"):
        evaluate_predictions(predictions=folder)
