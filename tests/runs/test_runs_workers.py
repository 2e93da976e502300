"""Working on items in several processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from softtargets._errors import InputError
from softtargets.runs.workers import count_workers, work_on


def _worker(folder: Path, here: int, patient: int = 0):
    """Return a function (item) -> item and process; from item `patient` on, this process waits for another one."""

    def work(item: int) -> tuple[int, int]:
        own = os.getpid() == here
        if not own:
            (folder / "there").touch()
        until = time.monotonic() + 60
        while own and item >= patient and not (folder / "there").exists() and time.monotonic() < until:
            time.sleep(0.01)
        return item, os.getpid()

    return work


@pytest.mark.parametrize("workers", [1, 2])
def test_each_item_has_one_result(tmp_path, workers) -> None:
    found: list[tuple[int, int]] = []
    patient = 0 if workers > 1 else 6
    work_on(range(6), _worker(tmp_path, os.getpid(), patient), found.append, workers)
    assert sorted(item for item, _ in found) == [*range(6)]
    assert len({process for _, process in found}) == workers


def test_fast_work_is_done_by_this_process_alone(tmp_path) -> None:
    found: list[tuple[int, int]] = []
    work_on(range(6), _worker(tmp_path, os.getpid(), patient=6), found.append, 4, alone=60.0)
    assert found == [(item, os.getpid()) for item in range(6)]


def test_other_processes_help_when_time_is_up(tmp_path) -> None:
    found: list[tuple[int, int]] = []

    def ended(result: tuple[int, int]) -> None:
        found.append(result)
        if len(found) == 2:
            time.sleep(0.5)

    work_on(range(6), _worker(tmp_path, os.getpid(), patient=2), ended, 2, alone=0.5)
    assert sorted(item for item, _ in found) == [*range(6)]
    assert len({process for _, process in found}) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_ends_the_work(workers) -> None:
    def work(item: int) -> int:
        raise OSError(f"item {item}")

    with pytest.raises(OSError, match="item"):
        work_on(range(6), work, lambda result: None, workers)


def test_without_items_nothing_is_done() -> None:
    work_on([], lambda item: 1 / 0, lambda result: None, 2, alone=1.0)


@pytest.mark.parametrize("workers", [0, -1, "2", 1.5, True])
def test_the_number_of_workers_is_checked(workers) -> None:
    with pytest.raises(InputError, match="workers: a whole number of at least 1; got"):
        count_workers(workers, 1)


def test_the_number_of_workers_follows_from_the_cores(monkeypatch) -> None:
    monkeypatch.setattr("softtargets.runs.workers.available_cores", lambda: 8)
    assert [count_workers(None, threads) for threads in (1, 3, 16)] == [8, 2, 1]
    assert count_workers(3, 16) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path) -> None:
    script = f"""
import os, pathlib, time
from softtargets.runs.workers import work_on

def work(item):
    (pathlib.Path({str(tmp_path)!r}) / str(os.getpid())).touch()
    time.sleep(600)

work_on(range(2), work, print, 2)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(names := [path.name for path in tmp_path.iterdir()]) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    (worker,) = (name for name in names if int(name) != parent.pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while _runs(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _runs(worker)


def _runs(process: str) -> bool:
    """Return whether a process exists that is no zombie."""
    try:
        state = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
