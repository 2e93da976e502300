"""Predictions of a finished run: the recorded numbers again, other data, and the pair with evaluate and audit."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from softtargets._errors import InputError
from softtargets.audit import AuditOptions, audit_labels
from softtargets.data.sources import forget_changed
from softtargets.evaluate import evaluate_predictions
from softtargets.runs.record import read_predictions
from softtargets.runs.store import MODEL, RunStore
from softtargets.train import PredictOptions, predict_run, train_run

DIGITS = {
    "data": {"name": "digits", "limit": {"train": 400}},
    "model": {"name": "mlp", "hidden": [32]},
    "training": {"epochs": 3, "precision": "float32"},
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """The folder of a run on the digits."""
    return train_run(DIGITS, runs=tmp_path_factory.mktemp("predict") / "runs").folder


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> tuple[Path, Path]:
    """The folder of a run on a table, and its data."""
    folder = tmp_path_factory.mktemp("predict-table")
    data = _table(folder / "train.csv", 200)
    specification = {
        "data": {"name": str(data)},
        "model": {"name": "mlp", "hidden": [8]},
        "optimizer": {"learning_rate": 0.1},
        "training": {"epochs": 20, "batch_size": 16, "precision": "float32"},
    }
    return train_run(specification, runs=folder / "runs").folder, data


def _table(path: Path, count: int, names=("low", "mid", "high"), order=("a", "b", "label")) -> Path:
    draw = torch.randn(count, generator=torch.Generator().manual_seed(count)).tolist()
    rows = [{"a": 4 * (n % 3) + draw[n] / 3, "b": 100 - draw[n], "label": names[n % 3]} for n in range(count)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, order, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_data_of_the_run_give_what_it_recorded(digits, tmp_path) -> None:
    recorded = read_predictions(digits)
    for split in ("test", "validation", "train"):
        path = tmp_path / f"{split}.safetensors"
        found = predict_run(digits, "digits", path, options=PredictOptions(split=split))
        written = load_file(path)
        assert torch.equal(written["logits"], recorded[f"{split}.logits"])
        assert torch.equal(written["labels"], recorded[f"{split}.labels"])
        assert (found.splits, found.num_rows) == ((split,), len(recorded[f"{split}.ids"]))
        reached = (recorded[f"{split}.logits"].argmax(1) == recorded[f"{split}.labels"]).double().mean()
        assert found.accuracy == pytest.approx(float(reached))
    default = predict_run(digits, "digits", tmp_path / "p.npz")
    assert default.splits == ("test",)
    whole = predict_run(digits, "digits", tmp_path / "p.npz", options=PredictOptions(split="all"))
    assert whole.splits == ("train", "validation", "test")
    assert whole.num_rows == sum(len(recorded[f"{split}.ids"]) for split in whole.splits)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet", ".csv"])
def test_evaluate_and_audit_read_what_is_written(table, tmp_path, suffix) -> None:
    folder, _ = table
    test = _table(tmp_path / "test.csv", 90)
    path = tmp_path / f"p{suffix}"
    found = predict_run(folder, test, path)
    assert found.class_names == ("high", "low", "mid")
    assert (found.num_rows, found.splits, found.data) == (90, (), "test")
    evaluated = evaluate_predictions(predictions=path)
    metric = evaluated.main.metric("accuracy")
    assert metric is not None
    assert metric.value == pytest.approx(found.accuracy)
    assert evaluated.class_names == found.class_names
    audited = audit_labels(predictions=[path], options=AuditOptions(reports=tmp_path / "reports")).audited
    assert audited.class_names == found.class_names
    assert audited.agreement == pytest.approx(found.accuracy)


def test_a_run_is_named_by_its_first_digits(table, tmp_path) -> None:
    folder, data = table
    found = predict_run(folder.name[:10], data, tmp_path / "p.csv", runs=folder.parent)
    assert found.run == folder
    with pytest.raises(InputError, match="run: the first digits of a finished run's identity"):
        predict_run("0123", data, tmp_path / "p.csv", runs=folder.parent)


def test_columns_and_classes_are_matched_by_name_and_labels_may_be_missing(table, tmp_path) -> None:
    folder, _ = table
    data = _table(tmp_path / "test.csv", 30)
    expected = predict_run(folder, data, tmp_path / "p.safetensors")
    logits = load_file(tmp_path / "p.safetensors")["logits"]
    other = _table(tmp_path / "other.csv", 30, order=("b", "a"))
    found = predict_run(folder, other, tmp_path / "q.safetensors")
    assert found.accuracy is None
    written = load_file(tmp_path / "q.safetensors")
    assert written.keys() == {"logits", "ids"}
    assert torch.equal(written["logits"], logits)
    assert expected.accuracy is not None
    assert expected.accuracy > 0.9
    few = _table(tmp_path / "few.csv", 30, names=("mid", "mid", "high"))  # not all classes
    assert predict_run(folder, few, tmp_path / "q.npz").accuracy is not None
    unknown = _table(tmp_path / "unknown.csv", 30, names=("low", "middle", "high"))
    with pytest.raises(
        InputError, match=r"label: a class of the run: high, low, mid; got 'middle' in unknown.csv, row 1"
    ):
        predict_run(folder, unknown, tmp_path / "u.npz")
    assert not (tmp_path / "u.npz").exists()
    without = predict_run(folder, unknown, tmp_path / "u.npz", options=PredictOptions(labels=False))
    assert without.accuracy is None


def test_probabilities_are_the_softmax_of_the_logits(table, tmp_path) -> None:
    folder, data = table
    predict_run(folder, data, tmp_path / "logits.safetensors")
    found = predict_run(folder, data, tmp_path / "probs.safetensors", options=PredictOptions(probs=True))
    assert found.kind == "probs"
    logits, probs = (load_file(tmp_path / f"{name}.safetensors")[name] for name in ("logits", "probs"))
    assert torch.allclose(probs, logits.softmax(1), atol=1e-6)


def test_the_data_of_the_run_are_not_needed_for_other_data(table, tmp_path, monkeypatch) -> None:
    def gone(*_):
        raise AssertionError("the data set of the run is read")

    monkeypatch.setattr("softtargets.train.load.load_cached", gone)
    assert predict_run(table[0], _table(tmp_path / "test.csv", 30), tmp_path / "p.csv").num_rows == 30


def test_a_record_of_an_earlier_version_reads_the_data_of_the_run(table, tmp_path, monkeypatch) -> None:
    data = _table(tmp_path / "test.csv", 30)
    predict_run(table[0], data, tmp_path / "p.safetensors")
    read = RunStore.checked_result

    def earlier(store: RunStore, identity: str, **options: bool) -> dict[str, Any]:
        found = read(store, identity, **options)
        for name in ("class_names", "preprocessing"):
            del found["data"][name]
        return found

    monkeypatch.setattr(RunStore, "checked_result", earlier)
    found = predict_run(table[0], data, tmp_path / "q.safetensors")
    assert found.class_names == ("high", "low", "mid")
    assert torch.equal(*(load_file(tmp_path / f"{name}.safetensors")["logits"] for name in "pq"))


def test_the_selected_epoch_is_predicted_if_asked_for(tmp_path) -> None:
    training = {"epochs": 3, "precision": "float32", "evaluate_every": 1}
    # at this learning rate the last epoch is not the best one
    specification = {**DIGITS, "training": training, "optimizer": {"learning_rate": 0.5}}
    folder = train_run(specification, runs=tmp_path / "runs").folder
    recorded = read_predictions(folder)
    assert not torch.equal(recorded["selected.test.logits"], recorded["test.logits"])
    for selected, name in ((True, "selected.test.logits"), (False, "test.logits")):
        predict_run(folder, "digits", tmp_path / "p.safetensors", options=PredictOptions(selected=selected))
        assert torch.equal(load_file(tmp_path / "p.safetensors")["logits"], recorded[name])


@pytest.mark.parametrize(
    "view", [{}, {"resize": 12}, {"resize": 13, "stream": False}], ids=["streamed", "whole", "held"]
)
def test_images_in_folders_of_their_classes_and_without_labels(tmp_path, view: dict[str, Any]) -> None:
    for split, count in (("train", 40), ("test", 12)):
        for place, name in enumerate(("dark", "bright")):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for number in range(count):
                size = (18 + number % 3, 16)
                picture = Image.new("RGB", size, (40 + 120 * place + number, 50, 60))
                picture.save(tmp_path / "set" / split / name / f"{number}.png")
    specification = {
        "data": {"name": str(tmp_path / "set"), "size": 12, **view},
        "model": {"name": "convnet", "widths": [4]},
        "training": {"epochs": 1, "batch_size": 16, "precision": "float32"},
    }
    folder = train_run(specification, runs=tmp_path / "runs").folder
    recorded = read_predictions(folder)["test.logits"]
    predict_run(folder, tmp_path / "set", tmp_path / "own.safetensors")
    assert torch.equal(load_file(tmp_path / "own.safetensors")["logits"], recorded)
    found = predict_run(folder, tmp_path / "set" / "test", tmp_path / "test.safetensors")
    assert torch.allclose(load_file(tmp_path / "test.safetensors")["logits"], recorded, atol=1e-5)
    assert found.accuracy is not None
    flat = tmp_path / "set" / "test" / "dark"
    assert predict_run(folder, flat, tmp_path / "flat.csv").accuracy is None
    with (tmp_path / "flat.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted(f"{number}.png" for number in range(12))
    assert {row["predicted"] for row in rows} <= {"bright", "dark"}
    assert predict_run(folder, flat / "0.png", tmp_path / "one.csv").num_rows == 1


def test_bad_arguments_are_said_before_anything_is_predicted(table, tmp_path, monkeypatch) -> None:
    folder, data = table
    with pytest.raises(InputError, match=r"output: a file of type \.safetensors, \.npz"):
        predict_run(folder, data, tmp_path / "p.txt")
    with pytest.raises(InputError, match=r"split: one of train, validation, test, all; got 'tset'"):
        predict_run(folder, data, tmp_path / "p.npz", options=PredictOptions(split="tset"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="name: 'digits', an existing file or folder"):
        predict_run(folder, tmp_path / "none.csv", tmp_path / "p.npz")
    damaged = shutil.copytree(folder.parent, tmp_path / "runs") / folder.name
    (damaged / MODEL).write_bytes(b"")
    with pytest.raises(InputError, match=rf"folder: .*a damaged one in .*\({MODEL} does not have its recorded size\)"):
        predict_run(damaged, data, tmp_path / "p.npz")
    forget_changed()
