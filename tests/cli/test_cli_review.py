"""`softtargets audit export` and `softtargets audit import` as a user meets them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from audit.reviewed_audits import CLASSES, WRONG, audit_texts, truth

from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def decide(exported: Path, target: Path, name: str) -> int:
    """Write the right classes into the table, and return the number of rows."""
    with exported.open(newline="") as file:
        lines = list(csv.DictReader(file))
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        for line in lines:
            label = CLASSES[truth()[int(line["row"])]]
            writer.writerow({**line, "label": label, "reviewer": name})
    return len(lines)


def test_the_loop_from_the_audit_to_the_corrected_labels(tmp_path, capsys):
    audit_texts(tmp_path)
    assert run_safely(["audit", "export", "audited", "--to", "csv", "--random", "40"]) == DONE
    assert capsys.readouterr().out == "wrote audited/review.csv\n"
    size = decide(Path("audited/review.csv"), Path("ann.csv"), "ann")
    decide(Path("audited/review.csv"), Path("bob.csv"), "bob")
    assert run_safely(["audit", "import", "audited", "ann.csv", "bob.csv"]) == DONE
    printed = capsys.readouterr().out
    said = json.loads(Path("audited-reviewed/review.json").read_text())
    changed = int(WRONG.sum())
    assert (
        f"reviewed: {size} labels by ann, bob; {changed} were changed, 0 nobody could tell, 0 are disputed" in printed
    )
    found = said["suspects"]
    expected = found["expected"]
    assert f"suspects: {found['wrong']} of {size - 40} were wrong; expected {expected['estimate']:.0f} (" in printed
    assert "random labels: 0 of 40 were wrong; of all" in printed
    assert "reviewers: 100.0 % of the pairs of labels agree" in printed
    assert f"estimated wrong before: {100 * said['before']['estimate']:.1f} % (" in printed
    assert f"still wrong after the corrections, by the second audit: {100 * said['left']['estimate']:.1f} %" in printed
    assert "still wrong after the corrections, by the random labels: 0.0 % (0.0 % to" in printed
    assert "page: audited-reviewed/index.html" in printed
    assert printed.endswith("saved in audited-reviewed: corrected.csv, reviewed.csv, review.json\n")
    audited = json.loads(Path("audited-reviewed/audit.json").read_text())
    assert audited["reviewed"] == size
    # the command of the second audit repeats it
    assert "--reviewed audited-reviewed/reviewed.csv" in audited["command"]


def test_without_a_second_audit(tmp_path, capsys):
    audit_texts(tmp_path)
    row = int(np.flatnonzero(WRONG)[0])
    Path("mine.csv").write_text(f"row,label\n{row},{CLASSES[truth()[row]]}\n")
    assert run_safely(["audit", "import", "audited", "mine.csv", "--no-audit", "--output", "out"]) == DONE
    assert "by the second audit" not in capsys.readouterr().out
    assert sorted(path.name for path in Path("out").iterdir()) == ["corrected.csv", "review.json", "reviewed.csv"]


def test_options_of_an_audit_before_another_command_are_refused(capsys):
    assert run_safely(["audit", "--data", "digits", "export", "audited"]) == BAD_INPUT
    assert "--data: not used before `audit export`; got it; leave it out" in capsys.readouterr().err
    assert run_safely(["audit", "export", "nowhere"]) == BAD_INPUT
    assert "folder: the folder of an audit" in capsys.readouterr().err


def test_help_of_both_commands(capsys):
    for command in ("export", "import"):
        assert run_safely(["audit", command, "--help"]) == DONE
        assert "FOLDER" in capsys.readouterr().out
