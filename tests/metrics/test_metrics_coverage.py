"""Coverage of the intervals on fixed seeds; `python -m benchmarks.coverage` is the recorded run."""

import json
import math
from dataclasses import asdict

import pytest
import torch

from benchmarks import coverage
from benchmarks.coverage import Found, Size

WORK = Size(simulations=400, draws=300, groups=300)
# of the models of benchmarks.coverage, from 4 million examples and the probabilities of their labels: to 3 digits exact
ACCURACY = 0.53175
NLL = {1.0: 1.33368, 1.5: 1.42598}
BRIER = 0.63331
ECE = 0.20624


def held(name: str, sharpness: float, size: int, truth: float, *, compare: bool = False) -> Found:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the sums are so small that more take longer
    try:
        exact = torch.tensor(truth, dtype=torch.float64)
        (found,) = coverage.measured(name, sharpness, size, exact, WORK, compare=compare, seed=7)
    finally:
        torch.set_num_threads(threads)
    return found


def likely(share: float, *, low: bool) -> float:
    """What a Binomial with that share stays above (below) in all but 1 of 1,000."""
    spread = 3.1 * math.sqrt(WORK.simulations * share * (1 - share))
    return WORK.simulations * share + (-spread if low else spread)


@pytest.mark.slow
@pytest.mark.parametrize("size", [200, 1000])
@pytest.mark.parametrize(
    ("name", "sharpness", "truth"),
    [("accuracy", 1.0, ACCURACY), ("NLL", 1.0, NLL[1.0]), ("NLL", 1.5, NLL[1.5]), ("Brier", 1.5, BRIER)],
)
def test_of_sums(name: str, sharpness: float, truth: float, size: int) -> None:
    found = held(name, sharpness, size, truth)
    assert likely(0.93, low=True) <= found.hits["ours"] <= likely(0.97, low=False)


@pytest.mark.slow
def test_of_a_calibration_error_well_above_its_noise() -> None:
    found = held("ECE-15", 2.0, 1000, ECE)
    assert found.above
    assert likely(0.93, low=True) <= found.hits["ours"] <= likely(0.97, low=False)


@pytest.mark.slow
def test_of_a_calibration_error_of_nothing() -> None:
    found = held("ECE-15", 1.0, 200, 0.0, compare=True)
    assert not found.above
    assert found.hits["percentile"] == 0
    assert found.hits["ours"] >= likely(0.45, low=True)  # as published: more cannot be said without knowing the noise


def test_the_protocols_words_are_made_of_what_was_found() -> None:
    few = Size(simulations=2, draws=10, groups=10)
    truth = coverage.truths(1.0, 2000, torch.Generator().manual_seed(0))
    assert float(truth["ECE-15"]) == 0 < float(truth["NLL"])
    found = [
        one for name in truth for one in coverage.measured(name, 1.0, 50, truth[name], few, compare=name == "ECE-15")
    ]
    page = coverage.table(found)
    for name in ("accuracy", "NLL", "Brier", "ECE-15", "smooth ECE", "AURC", "error AUROC"):
        assert f"| {name} | 1 | 50 |" in page
    kinds = "ours | percentile | basic | bias-corrected | normal"
    assert f"| sharpness | examples | true value | true value / noise | {kinds} |" in page


def test_a_run_that_was_stopped_goes_on_from_what_it_printed(tmp_path, monkeypatch, capsys) -> None:
    left = ("accuracy", 1.0, 200)
    rows = [
        Found(sharpness, size, label, 0.5, 0.0, 10, {"ours": 9}, 0.1)
        for name, sharpness, size in coverage.places()
        for label in coverage.NAMES.get(name, (name,))
        if (name, sharpness, size) != left
    ]
    file = tmp_path / "rows"
    file.write_text("\n".join(json.dumps(asdict(row)) for row in rows))
    assert coverage.read(file) == rows
    assert coverage.main(["--rows", str(file), "--only-rows", "--out", str(tmp_path)]) == 0
    assert (
        "1 of 72 rows are not measured yet, starting with accuracy at sharpness 1"
        in (tmp_path / "RESULTS.md").read_text()
    )
    asked = []
    monkeypatch.setattr(coverage, "truths", lambda *_: {"accuracy": torch.tensor(0.5)})
    monkeypatch.setattr(coverage, "measured", lambda *place, **_: asked.append(place[:3]) or [])
    assert coverage.main(["--rows", str(file), "--out", str(tmp_path)]) == 0
    assert asked == [left]
