"""The command `predict`: what it prints and writes, and that `evaluate` reads it."""

from pathlib import Path

import pytest

from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE
from softtargets.data import open_predictions
from softtargets.train import train_run

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
