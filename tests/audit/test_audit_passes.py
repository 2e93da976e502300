"""The passes over the rows: the bits do not depend on the division into files, and memory not on the rows."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from softtargets.audit import AuditResults, audit_labels
from softtargets.data.predictions import arrays as prediction_arrays
from softtargets.data.predictions import blocks as prediction_blocks

ROWS, CLASSES = 3000, 4


def content(kind: str) -> dict[str, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (ROWS,), generator=generator)
    logits = torch.randn(ROWS, CLASSES, generator=generator)
    logits[torch.arange(ROWS), labels] += 3
    labels[::9] = (labels[::9] + 1) % CLASSES
    return {kind: (logits if kind == "logits" else logits.softmax(1)).numpy(), "labels": labels.numpy()}


def said(results: AuditResults) -> dict[str, Any]:
    """Return all numbers of an audit."""
    suspects = results.ranking.suspects
    columns = {"rows": suspects.rows, "suggested": suspects.suggested, "wrong": suspects.wrong, **suspects.scores}
    numbers = results.to_dict()
    for name in ("name", "labels", "predictions", "command", "settings"):
        del numbers[name]
    return numbers | {name: values.tolist() for name, values in columns.items()}


@pytest.mark.parametrize("kind", ["probs", "logits"])
def test_bits_do_not_depend_on_the_division_into_files(tmp_path, monkeypatch, kind):
    for module in (prediction_arrays, prediction_blocks):
        # several blocks, whose ends differ from those of the files
        monkeypatch.setattr(module, "chunk_rows", lambda num_classes: 701)
    whole, expected = content(kind), None
    for seed in range(4):
        cuts = sorted(random.Random(seed).sample(range(1, ROWS), 6 * seed))
        parts = {name: np.split(values, cuts) for name, values in whole.items()}
        paths = [tmp_path / f"{seed}-{place:02d}.npz" for place in range(len(cuts) + 1)]
        for place, path in enumerate(paths):
            _save(path, {name: values[place] for name, values in parts.items()})
        found = said(audit_labels(predictions=paths))
        expected = expected or found
        assert found == expected
    arrays: dict[str, Any] = whole
    assert said(audit_labels(**arrays)) == {**(expected or {}), "row_order": "of the arrays"}


def _save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


PEAK = """
import sys
from pathlib import Path
from softtargets.audit import audit_labels

def peak():
    # not ru_maxrss, which counts the memory of the process that started this one
    return float(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

audit_labels(predictions=sys.argv[1])
before = peak()
audit_labels(predictions=sys.argv[2])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    # the second file has 160 MB; an audit that held all rows took 330 MB more than with the first
    paths = [tmp_path / "few.npz", tmp_path / "many.npz"]
    for path, size in zip(paths, (200_000, 2_000_000), strict=True):
        _write(path, size)
    done = subprocess.run([sys.executable, "-c", PEAK, *paths], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 100


def _write(path: Path, size: int) -> None:
    """Write rows of 20 classes, of which some labels are wrong."""
    generator = np.random.default_rng(0)
    clean = generator.integers(20, size=size)
    probs = np.full((size, 20), 0.01, np.float32)
    probs[np.arange(size), clean] = 0.81
    labels = np.where(generator.random(size) < 0.02, (clean + 1) % 20, clean)
    np.savez(path, probs=probs, labels=labels)
