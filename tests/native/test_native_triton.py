"""The Triton kernels without a GPU: their numbers under Triton's interpreter, and their compilation to PTX.

Both need an environment variable that Triton reads when it is imported, so each file runs in a process of its own.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from softtargets._native import on_cuda

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "interpret"), [("interpreted_triton.py", "1"), ("compiled_triton.py", "0")])
def test_in_a_process(file: str, interpret: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed: pip install triton (Linux only)")
    command = [sys.executable, "-m", "pytest", str(HERE / file), "-q", "-n", "0", "-p", "no:cacheprovider"]
    environment = {**os.environ, "TRITON_INTERPRET": interpret, "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


def test_importing_the_library_does_not_import_triton() -> None:
    code = "import sys, softtargets.losses, softtargets.nn; sys.exit('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_tensors_on_the_cpu_are_not_taken() -> None:
    assert not on_cuda.takes(torch.zeros(2, 3))


@pytest.mark.parametrize("dtype", on_cuda.DTYPES, ids=str)
@pytest.mark.parametrize("stride", [1, 20])
def test_tiles_hold_all_classes_or_are_taken_in_steps(dtype: torch.dtype, stride: int) -> None:
    for size in (2, 3, 10, 1000, 1024, 1025, 4096, 8192, 8193, 128000):
        tile = on_cuda.tile(size, dtype, stride)
        assert tile.one == (tile.block >= size)
        assert tile.one or tile.rows == 1
        assert tile.block.bit_count() == tile.rows.bit_count() == tile.warps.bit_count() == 1
        assert 4 <= tile.rows * tile.block // (32 * tile.warps) <= 16
