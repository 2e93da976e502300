"""Growth of the process against memory of known size."""

import ctypes
import mmap
from pathlib import Path

import pytest
import torch

from benchmarks import resident

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="specific to Linux")
SIZE = 64 << 20


def test_memory_outside_torch_is_counted_although_it_is_freed() -> None:
    def call() -> None:
        with mmap.mmap(-1, SIZE) as memory:
            ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 1, SIZE)

    assert resident.growth(call) == pytest.approx(SIZE, rel=0.05)


def test_memory_that_was_there_before_is_not() -> None:
    held = torch.ones(SIZE // 4)
    assert resident.growth(lambda: held.add_(1)) < SIZE // 20


def test_rows_have_a_goal_for_memory() -> None:
    found = resident.measured(["smoothing"], quick=True)
    assert {key[1] for key in found} == {"8×100"}
    assert {key[3] for key in found} == {"ours", "ours as nn.CrossEntropyLoss", "ours in place"}
