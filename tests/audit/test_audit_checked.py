"""Labels that people decided on replace the audited ones, count as right, and are left out of the estimates."""

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
from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.trusted import TrustedLabels
from softtargets.noise.streaming.blocks import LabelledBlock


def write(path: Path, rows: list[int], labels: np.ndarray) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("row", "label"), *((row, int(labels[row])) for row in rows)])
    return path


def in_blocks(labels: torch.Tensor, size: int, reviewed: list[int]) -> LabelEvidence:
    probs = torch.eye(2)[labels]

    def blocks(check: bool):
        for first in range(0, len(labels), size):
            yield LabelledBlock(probs[first : first + size], labels[first : first + size], first)

    return LabelEvidence(blocks, ("a", "b"), reference=labels, reviewed=torch.tensor(reviewed))


@pytest.mark.parametrize("size", [1, 3, 20])
def test_rows_that_were_not_reviewed_are_numbered_in_their_order(size):
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1, 0])
    for reviewed in ([0], [9], [2, 3, 4], [0, 1, 5, 8, 9]):
        evidence = in_blocks(labels, size, reviewed)
        rest = [row for row in range(10) if row not in reviewed]
        kept = list(evidence.unreviewed().blocks(True))
        assert torch.cat([block.rows for block in kept]).tolist() == list(range(len(rest)))
        assert torch.cat([block.labels for block in kept]).tolist() == labels[rest].tolist()
        assert evidence.unreviewed().reference.tolist() == labels[rest].tolist()
        assert evidence.rows_of(torch.arange(len(rest))).tolist() == rest


def test_an_audit_of_no_row_is_refused():
    with pytest.raises(InputError, match="reviewed: fewer rows than labels; got all 3 rows"):
        list(in_blocks(torch.tensor([0, 1, 0]), 2, [0, 1, 2]).unreviewed().blocks(True))


def test_checked_labels_replace_those_of_their_rows():
    checked = CheckedLabels(torch.tensor([1, 4, 7]), torch.tensor([5, 6, 7]))
    labels = torch.zeros(3, dtype=torch.int64)
    assert checked.correct(labels, 3).tolist() == [0, 6, 0]
    assert checked.correct(labels, 0).tolist() == [0, 5, 0]
    assert checked.correct(labels, 8).tolist() == [0, 0, 0]
    assert labels.tolist() == [0, 0, 0]


def test_trusted_rows_are_numbered_without_the_reviewed_ones():
    trusted = TrustedLabels(torch.tensor([1, 4, 7]), torch.tensor([0, 1, 0]))
    left = trusted.without(torch.tensor([0, 4, 5]))
    assert left is not None
    assert (left.rows.tolist(), left.labels.tolist()) == ([0, 4], [0, 0])
    assert trusted.without(torch.tensor([1, 4, 7])) is None


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
    rest = np.setdiff1d(np.arange(3000), first)
    wrong = (content["labels"] != content["clean"])[rest].mean()
    assert after.noise.rate.low <= wrong <= after.noise.rate.high
    assert after.noise.rate.estimate < before.noise.rate.estimate
    assert "200 labels were reviewed by people." in " ".join(after.provenance.notes)
    table = pq.read_table("out/all.parquet")
    assert np.flatnonzero(table["reviewed"].to_numpy()).tolist() == sorted(first)
    assert table["given"].to_numpy()[first].tolist() == content["clean"][first].tolist()
    assert table["given"].to_numpy()[rest].tolist() == content["labels"][rest].tolist()
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
    rest = np.setdiff1d(np.arange(600), rows)
    assert results.noise.reference is not None
    assert results.noise.reference.noise_rate == pytest.approx((content["labels"] != content["clean"])[rest].mean())
    assert results.check is None
    assert "a part of the labels was reviewed" in " ".join(results.recommendation.reason)
