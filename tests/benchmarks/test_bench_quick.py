"""The harness from its arguments to its files, on tiny shapes."""

import csv
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.cases import CASES
from benchmarks.goals import GOALS


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks")
    assert main(["--quick", "--out", str(folder)]) == 0
    return folder


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_contender_is_measured_and_right(folder) -> None:
    rows = _rows(folder)
    assert {row["case"] for row in rows} == set(CASES)
    for row in rows:
        what = f"{row['case']} {row['shape']} {row['dtype']} {row['contender']}: {row['note']}"
        if row["note"].startswith("skipped"):
            continue
        assert not row["note"], what
        assert float(row["ratio"]) > 0, what
        if row["case"] == "busy":
            continue
        assert float(row["memory"]) >= 0, what
        if "floor" not in row["contender"]:
            assert float(row["gradient_error"]) < (1e-5 if row["dtype"] == "float32" else 0.05), what


def test_the_first_of_each_problem_is_the_reference(folder) -> None:
    first = {(row["case"], row["shape"], row["dtype"]): row for row in reversed(_rows(folder))}
    assert {float(row["ratio"]) for row in first.values()} == {1.0}


def test_the_page_has_a_table_per_case_and_its_origin(folder) -> None:
    text = (folder / "RESULTS.md").read_text(encoding="utf-8")
    for case in CASES.values():
        assert f"## {case.title}" in text
    assert torch.__version__ in text
    assert text.startswith("# Benchmarks\n")
    assert "| n | verdict | section |" in text
    for goal in ("small", "large", "busy", "linear"):
        line = next(line for line in text.splitlines() if line.startswith(f"| {GOALS[goal].what} | "))
        assert "| 2 (few) | " in line
