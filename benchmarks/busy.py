"""A process that keeps one core busy."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# ends by itself if this process dies
SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def busy_core() -> Iterator[int]:
    """Keep the last core that this process may use busy until the block ends; gives the id of the process."""
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        yield process.pid
    finally:
        process.terminate()
        process.wait()
