"""``python -m benchmarks.resident``: the growth of the process during calls, which includes memory outside torch.

torch's allocator does not see what a library allocates by itself. This process measures nothing but memory: freed
blocks are returned to the system at once (MALLOC_MMAP_THRESHOLD_), which would make timings slower. It prints one JSON
object per contender that has a goal for memory. Linux only.
"""

import argparse
import ctypes
import gc
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import CASES, Problem, Setting
from benchmarks.contenders import Contender, Loss

CALLS = 5
LARGE = 1 << 26  # bytes of a buffer beside which the error of one call is negligible
Key = tuple[str, str, str, str]


def measured(cases: Sequence[str], *, quick: bool) -> dict[Key, float]:
    """Measure in another process; return the growth in buffers by case, shape, dtype and contender (off Linux: {})."""
    if not Path("/proc/self/clear_refs").exists():
        return {}
    command = [sys.executable, "-m", "benchmarks.resident", "--cases", *cases, *(["--quick"] if quick else [])]
    root = Path(__file__).parent.parent
    path = os.pathsep.join(str(place) for place in (root, os.environ.get("PYTHONPATH")) if place)
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": path}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"benchmarks.resident failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {(row["case"], row["shape"], row["dtype"], row["contender"]): row["buffers"] for row in rows}


def growth(call: Callable[[], object]) -> int:
    """Return the peak of resident memory during the call beyond that before it, in bytes.

    The kernel counts pages per core in batches, so the error is up to about 0.25 MiB with two cores.
    """
    _release()
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM to VmRSS
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before)


def _release() -> None:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # absent without glibc
    if trim is not None:
        trim(0)


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"^{name}:\s*(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def _rows(cases: Sequence[str], setting: Setting) -> Iterator[dict[str, Any]]:
    for case in cases:
        for problem in CASES[case].problems(setting):
            for i, contender in enumerate(problem.contenders):
                if any("memory" in goal for goal in contender.goals):
                    yield _row(problem, i)


def _row(problem: Problem, i: int) -> dict[str, Any]:
    """Measure one contender after a call that is not measured: on fewer rows, if calls are slow."""
    warm = problem.small or problem
    _call(warm, warm.contenders[i])()
    contender = problem.contenders[i]
    sizes = [growth(_call(problem, contender)) for _ in range(1 if problem.buffer > LARGE else CALLS)]
    return {
        "case": problem.case,
        "shape": problem.shape,
        "dtype": str(problem.dtype).removeprefix("torch."),
        "contender": contender.name,
        "buffers": statistics.median(sizes) / problem.buffer,
    }


def _call(problem: Problem, contender: Contender) -> Callable[[], None]:
    loss: Loss = contender.make()
    for leaf in problem.inputs:
        leaf.grad = None
    given = tuple(leaf.clone() for leaf in problem.inputs) if contender.overwrites else problem.inputs
    return lambda: loss(*given).backward()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the selected cases and print a JSON object per row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resident", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), help="cases to run")
    parser.add_argument("--quick", action="store_true", help="smoke test: tiny shapes")
    options = parser.parse_args(arguments)
    for row in _rows(options.cases, Setting(torch.device("cpu"), options.quick)):
        print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
