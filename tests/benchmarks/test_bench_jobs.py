"""The jobs as commands, on few rows."""

import sys

import pytest

from benchmarks import jobs


def test_a_failing_command_says_what_it_printed():
    with pytest.raises(RuntimeError, match="broken"):
        jobs.run([sys.executable, "-c", "raise SystemExit('broken')"])


def test_memory_and_time_are_those_of_the_process():
    # the peak is at least that of this process, which starts the other
    spent = jobs.run([sys.executable, "-c", f"x = b'x' * {2**30}; sum(x[:10**6])"])
    assert 1024 < spent.megabytes < 1200
    assert spent.seconds > 0


def test_the_section_holds_every_job(tmp_path):
    assert jobs.main(["--scale", "0.0001", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "RESULTS.md").read_text()
    for job in jobs.JOBS:
        assert f"| `{job.name}`, 2,000 rows | 2,000 × {job.classes} |" in page
