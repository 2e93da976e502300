"""The command `predict`: what it prints and writes, and that `evaluate` reads it."""

from pathlib import Path

import pytest
import torch
from pairs import translation, write_pairs

from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE
from softtargets.data import open_predictions, read_predictions
from softtargets.train import load_run, train_run

SPECIFICATION = {
    "data": {"name": "digits", "limit": {"train": 300}},
    "model": {"name": "mlp", "hidden": [16]},
    "training": {"epochs": 2, "precision": "float32"},
}


@pytest.fixture
def run(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    return train_run(SPECIFICATION).folder.name


def test_a_run_is_predicted_and_evaluated(run, capsys) -> None:
    assert run_safely(["predict", run[:8], "digits", "--output", "held_out.parquet"]) == DONE
    printed = capsys.readouterr()
    first, *others = printed.out.splitlines()
    assert first.startswith("359 rows of digits (test split), 10 classes, accuracy ")
    assert first.endswith(" %")
    assert others == ["saved in held_out.parquet", "next: softtargets evaluate held_out.parquet"]
    assert "predicting" in printed.err
    assert run_safely(["evaluate", "held_out.parquet"]) == DONE
    accuracy = first.split("accuracy ")[1]
    assert f"Accuracy                  {accuracy}" in capsys.readouterr().out


def test_options(run, capsys) -> None:
    options = ["--split", "train", "--probs", "--no-labels", "--runs", "runs"]
    assert run_safely(["predict", f"runs/{run}", "digits", "--output", "new/p.csv", *options]) == DONE
    assert capsys.readouterr().out.splitlines() == [
        "300 rows of digits (train split), 10 classes",
        "saved in new/p.csv",
        "without labels",
    ]
    written = open_predictions([Path("new/p.csv")])
    assert (written.kind, written.has_labels) == ("probs", False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "0000", "digits", "--output", "p.npz"], "see: softtargets runs --runs runs"),
        (["predict", "RUN", "digits"], "--output"),
        (["predict", "RUN", "digits", "--output", "p.txt"], "output: a file of type .safetensors"),
        (["predict", "RUN", "none.csv", "--output", "p.npz"], "none.csv"),
        (["predict", "RUN", "digits", "--output", "p.npz", "--split", "tset"], "tset"),
    ],
)
def test_bad_input_is_one_paragraph(run, capsys, arguments, words) -> None:
    assert run_safely([run if word == "RUN" else word for word in arguments]) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("softtargets: ")
    assert words in error


def test_a_run_on_sentence_pairs_translates(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs").mkdir()
    run = train_run(translation(write_pairs(tmp_path / "pairs"))).folder.name
    assert run_safely(["predict", run[:8], "pairs", "--output", "t.csv", "--beam", "2"]) == DONE
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "20 rows of pairs (test split), beam 2, length penalty 0.6"
    assert lines[-2].startswith("BLEU ")
    assert lines[-1] == "saved in t.csv"
    assert "translating" in printed.err
    assert run_safely(["predict", run[:8], "pairs", "--output", "t.csv", "--beam", "1", "--no-labels"]) == DONE
    assert capsys.readouterr().out.splitlines()[0] == "20 rows of pairs (test split), greedy search"
    assert "reference" not in (tmp_path / "t.csv").read_text().splitlines()[0]
    for option in (["--probs"], ["--label", "de"], ["--length-penalty", "-1"], ["--beam", "0"]):
        assert run_safely(["predict", run[:8], "pairs", "--output", "t.csv", *option]) == BAD_INPUT
        assert option[0] in capsys.readouterr().err


def test_options_of_translations_are_refused_for_labels(run, capsys) -> None:
    assert run_safely(["predict", run[:8], "digits", "--output", "p.csv", "--beam", "4"]) == BAD_INPUT
    assert "--beam: given for a run on sentence pairs only" in capsys.readouterr().err


def test_predictions_are_calibrated(run, capsys) -> None:
    options = ["--output", "p.npz", "--calibrator", "temperature-scaling"]
    assert run_safely(["predict", run[:8], "digits", *options]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("calibrated by TemperatureScaling(temperature=")
    written, trained = read_predictions([Path("p.npz")]), load_run(Path("runs") / run).calibrate()
    expected = trained.classifier.calibrated(trained.predictions["test.logits"])
    torch.testing.assert_close(written.values, expected, rtol=1e-5, atol=1e-5)
    assert run_safely(["predict", run[:8], "digits", "--output", "p.npz", "--calibrator", "temprature"]) == BAD_INPUT
    assert "calibrator: one of" in capsys.readouterr().err
