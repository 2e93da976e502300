"""Freed memory is returned to the operating system."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from softtargets._memory import release_freed, return_large_blocks


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps freed memory in this way")
def test_freed_memory_below_a_used_block_is_returned() -> None:
    # blocks of 60 kB come from the heap, which shrinks by itself only at its end
    blocks = [torch.ones(15_000) for _ in range(1000)]
    last = torch.ones(15_000)
    del blocks
    before = resident()
    release_freed()
    assert resident() < before - 40 * 2**20
    assert last.sum() == 15_000


def test_it_does_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    release_freed()
    return_large_blocks()


HELD = """
import sys
from pathlib import Path
import torch
from softtargets._memory import return_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if sys.argv[1] == "returned":
    return_large_blocks()
torch.ones(2**22)  # 16 MiB: by default, blocks of up to this size are now kept
before, kept = resident(), []
for _ in range(8):
    blocks = [torch.ones(2**21) for _ in range(8)]
    kept.append(torch.ones(100))
    del blocks
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps freed memory in this way")
def test_large_blocks_are_returned_when_they_are_freed() -> None:
    held = {}
    # glibc's own settings, which Dask puts into the environment of the process that starts its workers
    around = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    for case in ("kept", "returned"):  # in a process of its own, because it changes all that follows
        done = subprocess.run(
            [sys.executable, "-c", HELD, case], env=around, capture_output=True, text=True, check=True
        )
        held[case] = float(done.stdout)
    assert held["returned"] < 4 < held["kept"]
