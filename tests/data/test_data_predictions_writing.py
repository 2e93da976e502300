"""Predictions that are written are read as they were, in every type of file, and completely or not at all."""

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from softtargets._errors import InputError
from softtargets.data import open_predictions, read_predictions
from softtargets.data.predictions.writing import open_writer, output_path

SUFFIXES = [".npz", ".safetensors", ".parquet", ".csv"]
NAMES = ("cat", "dog", 'a "b", c')
LOGITS = torch.randn(700, 3, generator=torch.Generator().manual_seed(0)) * 10
LABELS = torch.arange(700) % 3


def _written(path, *, kind: Any = "logits", values=LOGITS, names=NAMES, labels: Any = LABELS, files=False):
    with open_writer(path, kind, names, labelled=labels is not None) as writer:
        for rows in torch.arange(len(values)).split(256):
            given = [f"{row}.png" for row in rows.tolist()] if files else None
            writer.add(values[rows], None if labels is None else labels[rows], files=given)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path, suffix) -> None:
    found = read_predictions([_written(tmp_path / f"p{suffix}", files=True)])
    assert found.kind == "logits"
    assert torch.equal(found.values.float(), LOGITS)
    assert found.labels is not None
    assert torch.equal(found.labels, LABELS)
    assert found.class_names == NAMES
    assert [path.name for path in tmp_path.iterdir()] == [f"p{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_probabilities_without_labels(tmp_path, suffix) -> None:
    probs = LOGITS.softmax(1)
    found = open_predictions([_written(tmp_path / f"p{suffix}", kind="probs", values=probs, labels=None)])
    assert (found.kind, found.has_labels, found.counted_rows()) == ("probs", False, 700)
    assert torch.equal(torch.cat([chunk.values for chunk in found.chunks()]).float(), probs)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("names", [("0", "1", "2"), ("2", "cat", "7"), ("", "list", "_0")], ids=str)
def test_any_class_names_can_be_read_again(tmp_path, suffix, names) -> None:
    found = read_predictions([_written(tmp_path / f"p{suffix}", names=names)])
    assert torch.equal(found.values.float(), LOGITS)
    if suffix in (".npz", ".safetensors"):
        assert found.class_names == names
    else:  # a column with a number cannot be told from the number of a class
        assert found.class_names == (names if not any(map(str.isdecimal, names)) else None)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_more_classes_than_columns(tmp_path, suffix) -> None:
    values, names = torch.randn(5, 1200), [f"class {number}" for number in range(1200)]
    found = read_predictions([_written(tmp_path / f"p{suffix}", values=values, names=names, labels=LABELS[:5])])
    assert torch.equal(found.values.float(), values)
    assert (found.class_names is None) == (suffix in (".parquet", ".csv"))


def test_other_programs_read_the_arrays(tmp_path) -> None:
    with np.load(_written(tmp_path / "p.npz")) as file:
        assert file["logits"].dtype == np.float32
        assert np.array_equal(file["ids"], np.arange(700))
        assert file["class_names"].tolist() == list(NAMES)
    tensors = load_file(_written(tmp_path / "p.safetensors"))
    assert tensors.keys() == {"logits", "labels", "ids"}
    assert torch.equal(tensors["logits"], LOGITS)
    assert torch.equal(tensors["ids"], torch.arange(700))


def test_a_table_has_files_predicted_classes_and_their_probabilities(tmp_path) -> None:
    table = pq.read_table(_written(tmp_path / "p.parquet", files=True))
    head = ["ids", "file", "predicted", "confidence", "labels"]
    assert table.column_names == [*head, *(f"logits_{name}" for name in NAMES)]
    assert table["file"].to_pylist()[:2] == ["0.png", "1.png"]
    assert table["predicted"].to_pylist() == [NAMES[index] for index in LOGITS.argmax(1).tolist()]
    assert torch.allclose(torch.tensor(table["confidence"].to_pylist()), LOGITS.double().softmax(1).amax(1).float())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_error_leaves_what_was_there(tmp_path, suffix) -> None:
    path = _written(tmp_path / f"p{suffix}")
    before = path.read_bytes()
    with pytest.raises(TypeError), open_writer(path, "logits", NAMES, labelled=False) as writer:  # noqa: PT012
        writer.add(LOGITS)
        raise TypeError
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_names_that_do_not_fit_are_refused(tmp_path) -> None:
    np.savez(tmp_path / "p.npz", logits=np.zeros((4, 3)), class_names=np.array(["cat", "dog"]))
    with pytest.raises(InputError, match="predictions: 3 class names, one for each value of a row; got 2 in"):
        open_predictions([tmp_path / "p.npz"])
    np.savez(tmp_path / "p.npz", logits=np.zeros((4, 3)), class_names=np.arange(2))  # not names
    assert open_predictions([tmp_path / "p.npz"]).class_names is None


@pytest.mark.parametrize("name", ["p", "p.pt", "folder.csv"])
def test_a_path_that_cannot_be_written_is_said(tmp_path, name) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"^output: (a file of type \.safetensors, \.npz|the path of a file)"):
        output_path("output", tmp_path / name)


SCRIPT = """
import sys, torch
from pathlib import Path
from softtargets.data.predictions.writing import open_writer

block = torch.zeros(2048, 64)


def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))


def write(blocks):
    with open_writer(Path(sys.argv[1]), "logits", [str(k) for k in range(64)], labelled=True) as writer:
        for _ in range(blocks):
            writer.add(block, torch.zeros(2048, dtype=torch.int64))


write(70)
before = peak()
write(210)  # 105 MiB
print(peak() - before)
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_does_not_grow_with_the_rows(tmp_path, suffix) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / f"p{suffix}")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 20_000  # KiB
