"""The process that keeps a core busy."""

import os

import pytest

from benchmarks import busy


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="affinity of processes is specific to Linux")
def test_it_runs_on_one_core_and_ends_with_the_block() -> None:
    with busy.busy_core() as pid:
        assert os.sched_getaffinity(pid) == {max(os.sched_getaffinity(0))}
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
