"""Freed memory is returned to the operating system."""

import sys
from pathlib import Path

import pytest
import torch

from softtargets._memory import release_freed


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
    assert resident() <= before
    assert last.sum() == 15_000


def test_it_does_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    release_freed()
