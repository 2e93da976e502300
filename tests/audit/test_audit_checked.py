"""Labels that people decided on: models are trained on them, they are no suspects, and they bound the noise rate."""

import csv
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from audit.simulated_audits import simulate, write_arrays, write_column, write_table
from sklearn.linear_model import LogisticRegression

from softtargets._errors import InputError
from softtargets.audit import AuditOptions, audit_labels
from softtargets.audit.checked import CheckedLabels, read_checked


def write(path: Path, rows: list[int], labels: np.ndarray) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("row", "label"), *((row, int(labels[row])) for row in rows)])
    return path


def test_checked_labels_replace_those_of_their_rows():
    checked = CheckedLabels(torch.tensor([1, 4, 7]), torch.tensor([5, 6, 7]))
    labels = torch.zeros(3, dtype=torch.int64)
    assert checked.correct(labels, 3).tolist() == [0, 6, 0]
    assert checked.correct(labels, 0).tolist() == [0, 5, 0]
    assert checked.correct(labels, 8).tolist() == [0, 0, 0]
    assert labels.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,label\n-1,0\n", "in line 2; got '-1'"),
        ("row,label\n²,0\n", "in line 2; got '²'"),
        ("row,label\n1,owl\n", "reviewed: a class in line 2; got 'owl'"),
        ("row,class\n1,0\n", "reviewed: the columns row and label; got row, class"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "reviewed.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_checked("reviewed", tmp_path / "reviewed.csv", ("cat", "dog"))


def test_an_audit_without_an_open_label_is_refused(tmp_path):
    content = simulate(300)
    reviewed = write(tmp_path / "reviewed.csv", list(range(300)), content["clean"])
    with pytest.raises(InputError, match="reviewed: fewer rows than labels; got all 300 rows"):
        audit_labels(content["labels"], content["probs"], options=AuditOptions(reviewed=reviewed))


def test_a_row_that_there_is_not_is_refused(tmp_path):
    content = simulate(300)
    (tmp_path / "reviewed.csv").write_text("row,label\n300,0\n")
    options = AuditOptions(reviewed=tmp_path / "reviewed.csv")
    with pytest.raises(InputError, match="reviewed: rows below 300, the number of labels; got 300"):
        audit_labels(content["labels"], content["probs"], options=options)


def test_reviewed_labels_are_right_and_no_suspects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = simulate()
    write_arrays(tmp_path / "held.npz", content)
    before = audit_labels(predictions="held.npz")
    first = before.ranking.suspects.rows[:200].tolist()
    reviewed = write(tmp_path / "reviewed.csv", first, content["clean"])
    after = audit_labels(predictions="held.npz", output="out", options=AuditOptions(reviewed=reviewed))
    assert (after.audited.num_rows, after.audited.reviewed) == (3000, 200)
    suspects = after.ranking.suspects
    assert not set(first) & set(suspects.rows.tolist())
    # the rows of the suspects are those of the file
    assert suspects.given.tolist() == content["labels"][suspects.rows.numpy()].tolist()
    # the rate is that of the labels as they were given, within what people found
    rest = np.setdiff1d(np.arange(3000), first)
    wrong = content["labels"] != content["clean"]
    assert after.noise.rate.estimate == before.noise.rate.estimate
    assert after.noise.rate.low == max(before.noise.rate.low, wrong[first].mean() * 200 / 3000)
    # numbers of wrong labels are of those that were not reviewed
    last = after.ranking.cutoffs[-1]
    assert last.first == 2800
    assert last.wrong.low <= wrong[rest].sum() <= last.wrong.high
    assert last.wrong.estimate < before.ranking.cutoffs[-1].wrong.estimate - 150
    assert "200 labels were reviewed by people, and models" in " ".join(after.provenance.notes)
    table = pq.read_table("out/all.parquet")
    assert np.flatnonzero(table["reviewed"].to_numpy()).tolist() == sorted(first)
    assert table["given"].to_numpy()[first].tolist() == content["clean"][first].tolist()
    assert table["given"].to_numpy()[rest].tolist() == content["labels"][rest].tolist()
    assert table["before"].to_numpy().tolist() == content["labels"].tolist()
    assert set(table["probability_wrong"].to_numpy()[first]) == {0.0}
    assert "--reviewed" in (after.provenance.command or "")


def test_models_are_trained_on_reviewed_labels_and_the_reference_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = simulate(600)
    inputs = np.log(content["probs"]).round(3)
    write_table(tmp_path / "true.csv", content["clean"], inputs)
    write_column(tmp_path / "observed.csv", content["labels"])
    rows = np.flatnonzero(content["labels"] != content["clean"])[:40].tolist()
    reviewed = write(tmp_path / "reviewed.csv", rows, content["clean"])
    fitted: list[np.ndarray] = []

    class Recorder(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            fitted.append(np.asarray(y))
            return super().fit(X, y, sample_weight)

    options = AuditOptions(reviewed=reviewed, model=Recorder(), folds=2, workers=1)
    results = audit_labels("observed.csv:label", data="true.csv", output="out", options=options)
    corrected = content["labels"].copy()
    corrected[rows] = content["clean"][rows]
    # the first fits measure the time
    assert np.bincount(np.concatenate(fitted[-2:])).tolist() == np.bincount(corrected).tolist()
    (file,) = Path("runs/cache/labels").iterdir()
    assert file.read_text().split() == ["label", *map(str, corrected)]
    recorded = {"name": "recorded", "file": str(file), "column": "label"}
    trains_on = tomllib.loads(Path("out/train.toml").read_text())
    assert trains_on.get("noise") == recorded or trains_on["data"]["name"] == "out/cleaned.csv"
    wrong = content["labels"] != content["clean"]
    assert results.noise.reference is not None
    assert results.noise.reference.noise_rate == pytest.approx(wrong.mean())
    # the reference judges the labels that were not reviewed
    last = results.ranking.cutoffs[-1]
    assert (last.first, last.true) == (560, wrong.sum() - 40)
    assert all(score.auroc is not None for score in results.ranking.scores)
    assert results.check is None
    assert "a part of the labels was reviewed" in " ".join(results.recommendation.reason)
