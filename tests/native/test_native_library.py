"""Calling the kernels: torch's OpenMP runtime and number of threads, forks, Python threads, and the GIL."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch
from kernels import use_kernels

from softtargets._native import library
from softtargets._native.cross_entropy import label_losses

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

# A call that is large enough for several threads. Nothing else uses several: torch itself would hang in a forked child.
CALL = """
import os, sys, torch
torch.set_num_threads(1)
from softtargets._native import library
from softtargets._native.cross_entropy import label_losses
z, labels = torch.arange(150000, dtype=torch.float32).remainder_(7).view(3000, 50), torch.arange(3000) % 50

def call():
    torch.set_num_threads(2)
    losses = label_losses(z, labels, 0.1, None, None)
    assert losses is not None, library.status()
    return losses.tolist()
"""
FORK = """
def in_child(work):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def _run(script: str) -> str:
    """Run a script on its own, as it forks, counts threads, or must not hang."""
    environment = {name: value for name, value in os.environ.items() if name != library.VARIABLE}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _with_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")


@linux
def test_the_kernels_share_the_openmp_runtime_of_torch() -> None:
    script = CALL + (
        "import re\n"
        "call()\n"
        "paths = {line.split()[-1] for line in open('/proc/self/maps') if re.search('lib(g|i|)omp', line)}\n"
        "print(len(paths), *paths)\n"
    )
    number, path = _run(script).split(maxsplit=1)
    assert number == "1"
    assert "/torch/" in path or "/torch.libs/" in path


@linux
def test_the_kernels_use_the_number_of_threads_of_torch() -> None:
    if "one thread" in library.status():
        pytest.skip(library.status())
    script = CALL + (
        "torch.set_num_threads(1)\n"
        "used, z, labels = [], torch.zeros(30000, 5), torch.zeros(30000, dtype=torch.int64)\n"
        "for threads in (1, 3):\n"
        "    torch.set_num_threads(threads)\n"
        "    before = len(os.listdir('/proc/self/task'))\n"
        "    label_losses(z, labels, 0.1, None, None)\n"
        "    used.append(1 + len(os.listdir('/proc/self/task')) - before)\n"
        "print(used)\n"
    )
    assert _run(script) == "[1, 3]"


@linux
def test_a_forked_child_can_call_the_kernels() -> None:
    script = (
        CALL
        + FORK
        + (
            "torch.set_num_threads(2)\n"
            "expected = call()\n"
            "assert in_child(lambda: call() == expected) == 0\n"
            "assert in_child(lambda: in_child(lambda: call() == expected) == 0) == 0\n"
            "assert call() == expected\n"
            "print('done')\n"
        )
    )
    assert _run(script) == "done"


@linux
def test_a_child_that_imports_the_kernels_after_the_fork_can_call_them() -> None:
    script = FORK + (
        "import os, torch\n"
        "torch.set_num_threads(2)\n"
        "torch.ones(10**6).exp_()\n"
        "def work():\n"
        "    names = {}\n"
        f"    exec({CALL!r}, names)\n"
        "    return names['library']._forked and len(names['call']()) == 3000\n"
        "assert in_child(work) == 0\n"
        "print('done')\n"
    )
    assert _run(script) == "done"


@linux
def test_workers_of_a_data_loader_can_call_the_kernels() -> None:
    script = CALL + (
        "from torch.utils.data import DataLoader\n"
        "expected = call()\n"
        "found = list(DataLoader(range(4), batch_size=2, num_workers=2, collate_fn=lambda batch: call()))\n"
        "assert found == [expected, expected]\n"
        "print('done')\n"
    )
    assert _run(script) == "done"


@linux
def test_workers_of_multiprocessing_and_joblib_can_call_the_kernels() -> None:
    script = CALL + (
        "import joblib, multiprocessing\n"
        "expected = call()\n"
        "def work(i):\n"
        "    return call() == expected\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    assert pool.map(work, range(4)) == [True] * 4\n"
        "def fresh():\n"
        "    names = {}\n"
        f"    exec({CALL!r}, names)\n"
        "    return names['call'](), names['library']._forked\n"
        "assert joblib.Parallel(n_jobs=2)([joblib.delayed(fresh)()] * 2) == [(expected, False)] * 2\n"
        "print('done')\n"
    )
    assert _run(script) == "done"


def test_this_process_was_not_forked_where_it_started_a_program() -> None:
    assert _run("from softtargets._native import library\nprint(library._forked)") == "False"


def test_several_python_threads_can_call_at_once() -> None:
    z = torch.randn(3000, 50, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(3000) % 50
    expected = label_losses(z, labels, 0.1, None, None)
    assert expected is not None
    same: list[bool] = []

    def work() -> None:
        for _ in range(10):
            found = label_losses(z, labels, 0.1, None, None)
            same.append(found is not None and torch.equal(found, expected))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 40


def test_other_python_threads_run_during_a_call() -> None:
    ticks, stop = [0], threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.0001)

    z, labels = torch.zeros(2000, 5000), torch.zeros(2000, dtype=torch.int64)
    thread = threading.Thread(target=tick)
    thread.start()
    try:
        for _ in range(100):  # the system may give the other thread no time during one call
            before = ticks[0]
            label_losses(z, labels, 0.1, None, None)
            if ticks[0] - before >= 3:
                return
    finally:
        stop.set()
        thread.join()
    pytest.fail("no other thread ran during a call")


def test_memory_that_cannot_be_had_is_an_error() -> None:
    with pytest.raises(MemoryError, match="not enough memory for one row"):
        library.call(lambda packed: library.NO_MEMORY, b"")
