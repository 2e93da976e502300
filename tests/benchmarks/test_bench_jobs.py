"""The jobs as commands, on few rows."""

import sys

import pytest

from benchmarks import goals, jobs


def test_a_failing_command_says_what_it_printed():
    with pytest.raises(RuntimeError, match="broken"):
        jobs.run([sys.executable, "-c", "raise SystemExit('broken')"])


def test_memory_and_time_are_those_of_the_process():
    held = b"x" * 2**28  # memory of this process, which starts the other, is not counted
    spent = jobs.run([sys.executable, "-S", "-c", f"x = b'x' * {2**27}; sum(x[:10**6])"])
    assert 128 < spent.megabytes < 200
    assert spent.seconds > 0
    del held


def test_the_section_holds_every_job(tmp_path):
    assert jobs.main(["--scale", "0.0001", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "RESULTS.md").read_text()
    for job in jobs.JOBS:
        assert f"| `{job.name}`, 2,000 rows | 2,000 × {job.classes} |" in page
    # a share of the rows is not held against the goals
    assert goals.read(tmp_path / "parts")[0] == []


def test_all_rows_are_held_against_the_goals_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([jobs.Spent(1.0, 100.0), jobs.Spent(2.0, 200.0), jobs.Spent(3.0, 300.0)] * 2)
    monkeypatch.setattr(jobs, "run", lambda command: next(spent))
    lines, found = jobs.measure(jobs.Job("audit", 3_000, 10), rounds=2)
    assert lines[-1] == "| `audit`, 3,000 rows | 3,000 × 10 | 3.0 | 300 |"
    assert found == [
        goals.Measured("audit", "3,000 × 10", 3.0, 2),
        goals.Measured("audit-memory", "3,000 × 10", 300.0, 2),
    ]


def test_every_job_has_its_goals() -> None:
    wanted = {key for job in jobs.JOBS for key in (job.name, f"{job.name}-memory")}
    assert {key for key, goal in goals.GOALS.items() if goal.part == "jobs"} == wanted
