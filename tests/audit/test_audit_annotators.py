"""The audit of annotators: reading their labels, the section of the page, its files, and what is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from softtargets import noise
from softtargets._errors import InputError
from softtargets.audit import AuditOptions, audit_labels
from softtargets.audit.annotators import audit_annotators, read_annotators
from softtargets.data import DataSpec, load

NAMES = ("cat", "dog", "eel")
N = 900
RATES = {"ann": 0.1, "bob": 0.2, "cleo": 0.35}


def _labels() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    true = torch.randint(3, (N,), generator=draw)
    given = {}
    for name, rate in RATES.items():
        wrong = torch.rand(N, generator=draw) < rate
        given[name] = torch.where(wrong, (true + torch.randint(1, 3, (N,), generator=draw)) % 3, true)
    return true, given


TRUE, GIVEN = _labels()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a table with the labels as numbers, as names with a missing cell, and as CSV beside it."""
    columns: dict[str, pa.Array] = {name: pa.array(labels.numpy()) for name, labels in GIVEN.items()}
    names = [NAMES[label] for label in GIVEN["bob"].tolist()]
    columns["named"] = pa.array([None, *names[1:]])
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    return tmp_path / "labels.parquet"


def test_labels_are_read_as_numbers_or_names_with_missing_cells(file: Path) -> None:
    names, labels = read_annotators(f"{file}:ann,bob,named", NAMES)
    assert names == ("ann", "bob", "named")
    assert torch.equal(labels[:, :2], torch.stack([GIVEN["ann"], GIVEN["bob"]], 1))
    assert labels[0, 2] == -1
    assert torch.equal(labels[1:, 2], GIVEN["bob"][1:])


def test_the_numbers_are_those_of_the_library_and_near_the_truth(file: Path) -> None:
    found = audit_annotators(f"{file}:ann,bob,cleo", NAMES, seed=3)
    labels = torch.stack(list(GIVEN.values()), 1)
    draw = torch.Generator().manual_seed(3)
    agreement = noise.annotator_agreement(labels, num_classes=3, generator=draw)
    model = noise.dawid_skene(labels, num_classes=3, generator=draw)
    assert found.alpha.estimate == float(agreement.alpha)
    assert found.kappa == float(agreement.kappa)
    assert torch.equal(found.consensus, model.posterior)
    assert torch.equal(torch.tensor(found.pairwise, dtype=torch.float64), agreement.pairwise)
    assert found.votes.sum(1).tolist() == [3] * N
    assert all(found.votes[0, int(label)] >= 1 for label in labels[0])
    for one, expected in zip(found.annotators, model.error_rate.tolist(), strict=True):
        assert one.error_rate.estimate == expected
        assert one.error_rate.low < RATES[one.name] + 0.03
        assert one.error_rate.high > RATES[one.name] - 0.03
        assert one.labels == N
        for pair in one.mistakes:
            counted = int(((pair.clean == TRUE) & (GIVEN[one.name] == pair.observed)).sum())
            assert pair.clean != pair.observed
            assert pair.labels == pytest.approx(counted, abs=25)


def test_the_section_of_the_page_and_its_files(file: Path, tmp_path: Path) -> None:
    probs = torch.eye(3)[TRUE] * 0.7 + 0.1
    text = f"{file}:ann,bob,cleo"
    options = AuditOptions(class_names=NAMES, annotators=text)
    results = audit_labels(GIVEN["ann"], probs, output=tmp_path / "page", options=options)
    audited = results.annotators
    assert audited is not None
    page = (tmp_path / "page" / "index.html").read_text()
    assert '<section id="annotators"' in page
    assert f"{100 * audited.annotators[2].error_rate.estimate:.1f} %" in page
    said = json.loads((tmp_path / "page" / "audit.json").read_text())["annotators"]
    assert said["alpha"]["estimate"] == audited.alpha.estimate
    assert [one["name"] for one in said["annotators"]] == ["ann", "bob", "cleo"]
    with (tmp_path / "page" / "annotators.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header[-3:] == list(NAMES)
    assert len(rows) == 9
    assert all(sum(map(float, row[-3:])) == pytest.approx(1) for row in rows)
    # the consensus is a file of soft labels that training reads
    table = tmp_path / "data.csv"
    table.write_text("x,label\n" + "".join(f"{row},{NAMES[label]}\n" for row, label in enumerate(TRUE.tolist())))
    for name, expected in (("consensus", audited.consensus), ("votes", audited.votes)):
        read = load(DataSpec(name=str(table), votes_file=str(tmp_path / "page" / f"{name}.parquet"))).votes
        assert read is not None
        assert torch.equal(read, expected.float())
    without = audit_labels(GIVEN["ann"], probs, output=tmp_path / "plain")
    assert without.annotators is None
    assert 'id="annotators"' not in (tmp_path / "plain" / "index.html").read_text()
    assert "annotators" not in json.loads((tmp_path / "plain" / "audit.json").read_text())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("ann", r"annotators: FILE:COLUMN,COLUMN,...; got '.*labels.parquet:ann'; name the columns of at least two"),
        ("ann,", r"annotators: FILE:COLUMN,COLUMN,...; got"),
        ("ann,ann", "annotators: every column once; got 'ann,ann'"),
        ("ann,bobby", "annotators: one of ann, bob, cleo, named; got 'bobby'; did you mean 'bob'"),
    ],
)
def test_bad_columns_are_refused_before_anything_is_computed(file: Path, columns: str, message: str) -> None:
    options = AuditOptions(annotators=f"{file}:{columns}")
    with pytest.raises(InputError, match=message):
        audit_labels(GIVEN["ann"], torch.eye(3)[TRUE], options=options)


def test_a_cell_that_is_no_class_is_named(file: Path) -> None:
    with pytest.raises(InputError, match=r"annotators: class names, or .* below 2, .*; got 2 in .*, row \d+, column"):
        read_annotators(f"{file}:ann,bob", NAMES[:2])


def test_soft_labels_are_refused_and_one_column_of_probabilities_is_a_binary_problem() -> None:
    with pytest.raises(InputError, match=r"labels: one class for each row; got soft labels; use labels.argmax"):
        audit_labels(np.array([[2, 1, 0]] * N), torch.eye(3)[TRUE])
    labels = torch.arange(400) % 2
    positive = labels * 0.8 + 0.1
    labels[:40] = 1 - labels[:40]
    found, expected = (audit_labels(labels, probs) for probs in (positive, torch.stack([1 - positive, positive], 1)))
    assert found.noise.rate == expected.noise.rate
    assert len(found.ranking.suspects) == len(expected.ranking.suspects)


def test_soft_labels_of_a_file_are_refused(tmp_path: Path) -> None:
    votes = np.array([[2, 1, 0]] * N)
    np.savez(tmp_path / "votes.npz", probs=torch.eye(3)[TRUE].numpy(), labels=votes)
    with pytest.raises(InputError, match=r"labels: one class for each row; got soft labels in votes.npz; store the"):
        audit_labels(predictions=tmp_path / "votes.npz")
