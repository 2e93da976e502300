"""The command `export`: what it prints and writes."""

from pathlib import Path

import pytest

from softtargets._spec import write_toml
from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE
from softtargets.ensembles import Ensemble, load_ensemble
from softtargets.export import load_packed
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


def test_a_run_is_exported(run: str, capsys) -> None:
    assert run_safely(["export", run[:8], "out", "--to", "torch", "--to", "packed"]) == DONE
    calibrated, program, saved = capsys.readouterr().out.splitlines()
    assert calibrated.startswith("calibrated by TemperatureScaling(temperature=")
    assert program.startswith("torch: probabilities within ")
    assert saved == "saved in out: model.pt2, classifier.toml, card.md"
    assert (Path("out") / "model.pt2").exists()
    assert run_safely(["export", f"runs/{run}", "plain", "--calibrator", "none", "--no-card"]) == DONE
    assert capsys.readouterr().out.splitlines() == ["not calibrated", "saved in plain: classifier.toml"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "tensorflow"], "tensorflow"),
        (["--calibrator", "platt"], "calibrator: one of"),
        (["--selected"], "selected: false for a run that was not evaluated"),
        (["--audit", "none"], "audit: a folder with an audit.json"),
    ],
)
def test_bad_input_is_one_paragraph(run: str, capsys, options: list[str], words: str) -> None:
    assert run_safely(["export", run, "out", *options]) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("softtargets: ")
    assert words in error
    assert not Path("out").exists()


def test_an_ensemble_is_exported_as_it_was_trained(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pair.toml").write_text(write_toml({**SPECIFICATION, "ensemble": {"name": "seeds", "size": 2}}))
    assert run_safely(["train", "pair.toml"]) == DONE
    (folder,) = (line.removeprefix("saved in ") for line in capsys.readouterr().out.splitlines() if "saved in" in line)
    assert run_safely(["export", folder, "out"]) == DONE
    calibrated, saved = capsys.readouterr().out.splitlines()
    assert calibrated == f"calibrated by {load_ensemble(folder).classifier.calibrator!r}"
    assert saved == "saved in out: classifier.toml, card.md"
    assert isinstance(load_packed("out"), Ensemble)
    assert run_safely(["export", folder, "plain", "--calibrator", "none"]) == BAD_INPUT
    assert "calibrator: left out for an ensemble" in capsys.readouterr().err
    assert not Path("plain").exists()
