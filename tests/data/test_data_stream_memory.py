"""The memory of a process that streams images does not grow with their number."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softtargets._storage import shown_bytes

_SIDE, _FILES, _REPEATS = 512, 8, 50
# A few batches in flight, and what is freed before it is returned to the system.
_ALLOWED = 90 * 2**20

_CHILD = """
import json, sys
from pathlib import Path
import torch
from softtargets.data import DataSpec, load, normalization
from softtargets.data.batches import Inputs
from softtargets.data.spec import AugmentationSpec

def peak():
    # not ru_maxrss, which a process inherits from the one that starts it
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

torch.set_num_threads(1)
path, workers, cache = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
spec = DataSpec.parse({"name": path, "stream": True, "test": 0, "validation": 0, "workers": workers})
few = spec.changed(limit={"train": 96})
for warm_up in Inputs(load(few, cache=cache), torch.device("cpu")).batches(torch.arange(96), 4):
    pass
before = peak()
data = load(spec, cache=cache)
inputs = Inputs(data, torch.device("cpu"))
seen = sum(len(batch) for batch in inputs.batches(
    torch.arange(len(data.labels)), 4, AugmentationSpec(flip=True), torch.Generator().manual_seed(0)))
print(json.dumps({"grown": peak() - before, "seen": seen, "bytes": len(data.labels) * 3 * 512 * 512}))
"""


@pytest.fixture
def images() -> list[bytes]:
    import io

    encoded = []
    for row in range(_FILES):
        coarse = np.random.default_rng(row).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(coarse).resize((_SIDE, _SIDE)).save(stream, "JPEG")
        encoded.append(stream.getvalue())
    return encoded


def _measured(path: Path, workers: int, tmp_path: Path) -> dict[str, int]:
    command = [sys.executable, "-c", _CHILD, str(path), str(workers), str(tmp_path / "cache")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="requires /proc")
@pytest.mark.parametrize(("kind", "workers"), [("folder", 2), ("parquet", 0)])
def test_memory_stays_flat(tmp_path: Path, images: list[bytes], kind: str, workers: int, write_images) -> None:
    count = _FILES * _REPEATS
    if kind == "folder":
        path = tmp_path / "set"
        for row in range(count):
            (path / f"c{row % 2}").mkdir(parents=True, exist_ok=True)
            (path / f"c{row % 2}" / f"{row}.jpg").write_bytes(images[row % _FILES])
    else:
        path = write_images(tmp_path / "set.parquet", images * _REPEATS, [0, 1] * (count // 2))
    found = _measured(path, workers, tmp_path)
    assert found["seen"] == count
    assert found["bytes"] > 3 * _ALLOWED
    assert found["grown"] < _ALLOWED, f"{shown_bytes(found['grown'])} for {shown_bytes(found['bytes'])} of images"
