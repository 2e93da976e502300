"""The benchmarks of calibration: they run, and what they compare is the same quantity."""

import re

import pytest
import torch

from benchmarks import calibration


def test_every_part_runs_and_says_how_it_stands_to_its_goals(capsys: pytest.CaptureFixture[str]) -> None:
    assert calibration.main(["--quick"]) == 0
    pages = re.split(r"^# ", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    assert [page.splitlines()[0] for page in pages] == ["Calibration error", "Temperature", "Smooth calibration error"]
    assert all(len(re.findall(r"met|missed", page)) >= 2 for page in pages)


def test_the_slow_contender_is_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert calibration.main(["--quick", "--slow"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Temperature: L-BFGS without line search\n")
    assert calibration.PLAIN in text
    assert calibration.LINE_SEARCH not in text


def test_the_loop_over_bins_is_right_by_hand() -> None:
    probs = torch.tensor([[0.75, 0.25], [0.75, 0.25], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # .75 twice with one right: |1 - 1.5|; 1.0 twice with one right: |1 - 2|
    assert calibration._ece_by_hand(probs, torch.tensor([0, 1, 0, 0])) == pytest.approx(1.5 / 4)


def test_lbfgs_and_the_secant_method_find_one_temperature() -> None:
    logits, labels = calibration.simulate(3_000, 5)
    found = calibration.by_lbfgs(logits.double(), labels, search="strong_wolfe", rate=1.0)
    assert found == pytest.approx(calibration._optimum(logits, labels, found), abs=1e-5)
    assert found == pytest.approx(1 / calibration.CONFIDENT, rel=0.1)
