"""The loop: suspects go out, decisions come back, labels are corrected, and the audit is repeated."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from audit.reviewed_audits import CLASSES, SIZE, WRONG, audit_table, audit_texts, labels, truth
from audit.simulated_audits import simulate

from softtargets._errors import InputError
from softtargets.audit import AuditOptions, audit_labels, export_review, import_review
from softtargets.audit.review.decisions import Decision
from softtargets.audit.review.pooling import pool


def decide(path: Path, rows: list[int], classes: np.ndarray, name: str = "ann.csv", **columns: object) -> Path:
    """Write decisions on rows."""
    target = path.parent / name
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label", *columns])
        writer.writerows([row, CLASSES[classes[row]], *columns.values()] for row in rows)
    return target


def rows_of(path: Path) -> list[int]:
    with path.open(newline="") as file:
        return [int(line["row"]) for line in csv.DictReader(file)]


def test_the_loop_corrects_labels_and_compares_them_with_what_was_expected(tmp_path):
    folder = audit_texts(tmp_path)
    before = json.loads((folder / "audit.json").read_text())
    (exported,) = export_review(folder, "csv")
    rows = rows_of(exported)
    outcome = import_review(folder, decide(folder, rows, truth(), exported=len(rows)))
    assert outcome.folder == tmp_path / "audited-reviewed"
    found = outcome.suspects
    assert found is not None
    assert (found.rows, found.wrong) == (len(rows), int(WRONG[rows].sum()))
    assert found.wrong == outcome.changed == WRONG.sum()
    assert found.expected.low <= found.expected.estimate <= found.expected.high <= len(rows)
    # what was expected is the sum of the probabilities that the audit listed
    with (folder / "suspects.csv").open(newline="") as file:
        listed = {int(line["row"]): float(line["probability_wrong"]) for line in csv.DictReader(file)}
    assert found.expected.estimate == pytest.approx(sum(listed[row] for row in rows), abs=1e-3)
    assert found.suggested == int((WRONG & (truth() == (labels() + 2) % 3))[rows].sum()) - int(
        (WRONG & (np.arange(SIZE) % 50 == 7)).sum()
    )
    with (outcome.folder / "corrected.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["label"] for line in lines] == [CLASSES[label] for label in truth()]
    assert lines[3]["text"] == "=text <b>3</b>"
    again = outcome.audit
    assert again is not None
    assert again.audited.reviewed == len(rows)
    assert not set(again.ranking.suspects.rows.tolist()) & set(rows)
    assert outcome.before.estimate == before["noise_rate"]["estimate"]
    assert outcome.left is not None
    assert outcome.left.estimate < outcome.before.estimate / 2
    # the noise rate is still that of the labels as they were given
    assert again.noise.rate.estimate == pytest.approx(outcome.before.estimate, abs=0.01)
    assert again.provenance.settings["predictions"] == before["settings"]["predictions"]
    said = json.loads((outcome.folder / "review.json").read_text())
    assert said["suspects"]["wrong"] == found.wrong
    assert said["left"]["estimate"] == outcome.left.estimate


def test_decisions_before_are_kept_in_the_next_round(tmp_path):
    folder = audit_texts(tmp_path)
    rows = rows_of(export_review(folder, "csv")[0])
    first = import_review(folder, decide(folder, rows[:10], truth()), output=tmp_path / "one")
    left = rows_of(export_review(first.folder, "csv", random=30)[0])
    assert not set(left) & set(rows[:10])
    second = import_review(first.folder, decide(first.folder, left, truth(), "bob.csv"), output=tmp_path / "two")
    assert second.audit is not None
    assert second.audit.audited.reviewed == 10 + len(left)
    with (tmp_path / "two/reviewed.csv").open(newline="") as file:
        assert {int(line["row"]) for line in csv.DictReader(file)} == {*rows[:10], *left}
    with (tmp_path / "two/corrected.csv").open(newline="") as file:
        corrected = [line["label"] for line in csv.DictReader(file)]
    assert all(corrected[row] == CLASSES[truth()[row]] for row in rows[:10] + left)


def test_random_rows_tell_what_the_suspects_do_not(tmp_path):
    content = simulate(2000, sharpness=1.5)
    wrong = content["labels"] != content["clean"]
    audit_labels(content["labels"], content["probs"], output=tmp_path / "audited")
    path = export_review(tmp_path / "audited", "csv", first=100, random=300)[0]
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        line["label"] = str(content["clean"][int(line["row"])])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    outcome = import_review(tmp_path / "audited", path, audit_again=False)
    sample, suspects = outcome.random, outcome.suspects
    assert sample is not None
    assert suspects is not None
    rest = np.setdiff1d(np.arange(2000), [int(line["row"]) for line in lines[:100]])
    assert (sample.rows, sample.size, suspects.rows) == (300, 1900, 100)
    assert sample.wrong == wrong[[int(line["row"]) for line in lines[100:]]].sum()
    assert sample.rate.low <= wrong[rest].mean() <= sample.rate.high
    assert abs(sample.rate.estimate - wrong[rest].mean()) < 0.05
    assert outcome.audit is None
    assert outcome.left is None
    # what is still wrong: the rate of the others, without those that the sample corrected
    assert sample.left.estimate == pytest.approx((sample.rate.estimate * 1900 - sample.wrong) / 2000)
    still = wrong.sum() - wrong[[int(line["row"]) for line in lines]].sum()
    assert sample.left.low <= still / 2000 <= sample.left.high
    assert not (outcome.folder / "index.html").exists()


def test_arrays_are_audited_again_from_the_probabilities_of_the_audit(tmp_path):
    content = simulate(900)
    names = ("a", "b", "c")
    first = audit_labels(
        content["labels"], content["probs"], output=tmp_path / "audited", options=AuditOptions(class_names=names)
    )
    rows = first.ranking.suspects.rows.tolist()
    path = tmp_path / "ann.csv"
    path.write_text("row,label\n" + "".join(f"{row},{names[content['clean'][row]]}\n" for row in rows))
    outcome = import_review(tmp_path / "audited", path)
    assert outcome.audit is not None
    assert outcome.audit.audited.class_names == names
    assert outcome.audit.audited.reviewed == len(rows)
    assert outcome.audit.noise.rate.estimate == pytest.approx(first.noise.rate.estimate, abs=0.02)
    again = import_review(outcome.folder, path, output=tmp_path / "again")
    assert again.changed == 0
    assert again.audit is not None
    assert again.audit.noise.rate == outcome.audit.noise.rate


def test_a_table_is_corrected_with_its_columns(tmp_path):
    folder = audit_table(tmp_path)
    rows = rows_of(export_review(folder, "csv", first=5)[0])
    outcome = import_review(folder, decide(folder, rows, truth()), audit_again=False)
    with (outcome.folder / "corrected.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["=width"]) for line in lines] == [row / 2 for row in range(SIZE)]
    expected = np.where(np.isin(np.arange(SIZE), rows), truth(), labels())
    assert [line["label"] for line in lines] == [CLASSES[label] for label in expected]


def test_the_class_that_most_people_chose_counts():
    given = {
        0: {"a": 1, "b": 1, "c": 2},
        1: {"a": 0, "b": 2},  # disputed
        2: {"a": None, "b": 2},
        3: {"a": None},
        4: {"c": 0},
    }
    decisions = [Decision(row, label, who) for row, votes in given.items() for who, label in votes.items()]
    # the later decision of one person counts
    decisions += [Decision(4, 1, "c", "random", 7)]
    found = pool(decisions, 3, 0)
    assert found.labels == {0: 1, 2: 2, 4: 1}
    assert (found.unsure, found.disputed) == (1, 1)
    assert found.random == {4}
    assert found.exported == 7
    assert found.reviewers == ("a", "b", "c")
    assert found.agreement is not None
    assert found.agreement.rows == 2
    # 1 of 4 pairs agrees; pairs of a row of m labels weigh 1 / (m - 1)
    assert found.agreement.observed == pytest.approx((1 / 3 * 3 + 0) / 5)
    assert pool([Decision(0, 1, "a"), Decision(1, 1, "b")], 3, 0).agreement is None


def test_what_cannot_be_imported_is_refused(tmp_path):
    folder = audit_texts(tmp_path)
    unsure = tmp_path / "a.csv"
    unsure.write_text("row,label\n3,?\n")
    with pytest.raises(InputError, match="decisions: a decision on at least one row; got 1 rows that nobody"):
        import_review(folder, unsure)
    unsure.write_text("row,label\n3,tool\n")
    with pytest.raises(InputError, match="output: another folder than that of the audit"):
        import_review(folder, unsure, output=folder)
