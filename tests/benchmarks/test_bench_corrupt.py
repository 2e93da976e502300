"""The benchmark of corruption: its loops draw what they say, and its rows are whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import corrupt, goals


@pytest.mark.parametrize("loop", [corrupt.by_class, corrupt.by_class_and_label, corrupt.by_label])
@pytest.mark.parametrize("name", ["symmetric", "pair flip", "dense"])
def test_the_loops_draw_from_the_transition(loop: Callable[..., np.ndarray], name: str) -> None:
    matrix = corrupt.transitions(4)[name].to_dense().numpy()
    labels = np.arange(4).repeat(1000)
    noisy = loop(labels, matrix, np.random.default_rng(0))
    made = np.bincount(labels * 4 + noisy, minlength=16).reshape(4, 4) / 1000
    assert np.abs(made - matrix).max() < 5 * (0.25 / 1000) ** 0.5
    assert (labels == np.arange(4).repeat(1000)).all()


def test_every_contender_has_a_row_under_every_noise() -> None:
    rows = corrupt.measure(examples=300, num_classes=5, rounds=2, warmup=0)
    assert len(rows) == 3 * 5
    assert all(0 < row.place.seconds_q1 <= row.place.seconds <= row.place.seconds_q3 for row in rows)
    assert [row.place.times_first for row in rows if row.contender == "softtargets"] == [1.0] * 3
    lines = corrupt.table(rows).splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 16


def test_the_section_holds_our_time_under_every_noise_against_the_goal(tmp_path: Path) -> None:
    sizes = ["--examples", "300", "--classes", "5", "--rounds", "2"]
    assert corrupt.main([*sizes, "--out", str(tmp_path)]) == 0
    assert "# Corrupting 300 labels of 5 classes" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    found, machines = goals.read(tmp_path / "parts")
    assert [(one.goal, one.case, one.n) for one in found] == [
        ("corrupt", name, 2) for name in ("symmetric", "pair flip", "dense")
    ]
    assert all(one.value is not None and one.value > 0 for one in found)
    assert "torch" in machines["corrupt"]
