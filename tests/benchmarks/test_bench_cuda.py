"""The benchmarks for GPUs, on tiny shapes of the CPU: everything except CUDA's events, memory and graphs."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import cuda
from benchmarks.__main__ import main
from benchmarks.cases import CASES, Problem
from benchmarks.measure import Row

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuda")
    cuda.run(CPU, folder, rounds=2, quick=True)
    return folder


def test_every_case_is_measured(folder: Path) -> None:
    with (folder / "cuda.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["case"] for row in rows} == set(CASES)
    for row in rows:
        assert row["note"].startswith("skipped") or float(row["ratio"]) > 0, row


def test_the_page_has_the_goals_all_contenders_and_the_trainings(folder: Path) -> None:
    text = (folder / "parts" / "cuda.md").read_text(encoding="utf-8")
    assert text.count("- Liger: skipped: Liger's kernels need a GPU") == 1
    assert "| Liger |" not in text
    assert "≤ 0.35× torch: " in text
    assert "stacked, torch.func.vmap" in text
    assert text in (folder / "RESULTS.md").read_text(encoding="utf-8")


def test_nothing_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    cuda.run(CPU, tmp_path, cases=["mixup"], rounds=2, minutes=0.0, quick=True)
    text = (tmp_path / "parts" / "cuda.md").read_text(encoding="utf-8")
    assert "mixup 16×10 float32 was not begun, because the time was up" in text


def test_a_problem_that_fails_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **settings: object) -> list[Row]:
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(cuda, "measure", broken)
    cuda.run(CPU, tmp_path, cases=["mixup"], rounds=2, quick=True)
    text = (tmp_path / "parts" / "cuda.md").read_text(encoding="utf-8")
    assert "mixup 16×10 float32 failed: RuntimeError: out of memory" in text
    assert "and more" not in text


def test_a_gpu_that_is_no_longer_usable_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def measured(problem: Problem, *, rounds: int) -> list[Row]:
        done.append(problem.shape)
        if len(done) == 2:
            raise RuntimeError("CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA")
        return [Row(problem.case, problem.shape, "float32", "ours", ms=1.0, rounds=rounds)]

    monkeypatch.setattr(cuda, "measure", measured)
    monkeypatch.setattr(cuda.meter, "crashed", lambda device: len(done) == 2)
    cuda.run(CPU, tmp_path, rounds=2, quick=True)
    text = (tmp_path / "parts" / "cuda.md").read_text(encoding="utf-8")
    assert len(done) == 2
    assert f"| {done[0]} | float32 | ours |" in text
    assert f"- smoothing {done[1]} float32 left the GPU unusable, so that nothing after it was measured" in text
    assert "TORCH_USE_CUDA_DSA" not in text + capsys.readouterr().out


def test_host_bound_rows_are_marked(tmp_path: Path) -> None:
    rows = [
        Row("smoothing", "8×10", "float32", "torch", ms=1.0, host_ms=0.5, behind=1, rounds=9),
        Row("smoothing", "8×10", "float32", "ours", ms=2.0, host_ms=3.0, behind=3, rounds=9, goals="large"),
    ]
    page = cuda.Report({}, 9, rows).page()
    assert "| torch | – | 1 | 0.5 |" in page
    assert "| ours | – | 2 (host-bound) | 3 |" in page
    assert "0 met, 0 missed, 1 not measured." in page


def test_what_is_printed_is_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cuda.run(CPU, tmp_path, cases=["smoothing"], rounds=2, quick=True)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.count("ours as nn.CrossEntropyLoss") for line in lines) == sum("ms, host" in line for line in lines)
    assert all(len(line) < 600 for line in lines)


def test_the_clock_begins_only_what_will_fit() -> None:
    clock = cuda.Clock(1.0)
    assert clock.fits()
    clock.longest = 61.0
    assert not clock.fits()
    assert math.isclose(clock.left + clock.spent, 60.0, abs_tol=1.0)


def test_the_command_hands_cuda_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(cuda, "run", lambda *given, **settings: calls.append((given, settings)))
    assert main(["--device", "cuda", "--minutes", "2", "--out", str(tmp_path), "--cases", "mixup"]) == 0
    assert calls == [
        ((torch.device("cuda"), tmp_path), {"cases": ["mixup"], "rounds": 9, "minutes": 2.0, "quick": False})
    ]


def test_a_checkout_that_is_not_installed_is_found() -> None:
    root = Path(__file__).resolve().parents[2]
    code = f"import sys, importlib.util; sys.path.insert(0, {str(root)!r}); import benchmarks; "
    code += "print(importlib.util.find_spec('softtargets').origin)"
    # -S leaves out what is installed
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(root / "src" / "softtargets" / "__init__.py"), done.stderr
