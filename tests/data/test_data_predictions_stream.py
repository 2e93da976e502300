"""Prediction files chunk by chunk: the same rows as all at once, labels of their own file, and bounded memory."""

import json
import re
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from softtargets._errors import InputError
from softtargets.data import open_predictions, read_predictions

LOGITS = np.arange(33, dtype=np.float32).reshape(11, 3) ** 2
LABELS = np.arange(11) % 3
Arrays = dict[str, np.ndarray]


@pytest.fixture
def tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder as it is named from within: files are named in errors as the user named them."""
    monkeypatch.chdir(tmp_path)
    return Path()


def columns(arrays: Arrays) -> pa.Table:
    wide = {name: array[:, None] if array.ndim == 1 else array for name, array in arrays.items()}
    names = [name if arrays[name].ndim == 1 else f"{name}_{k}" for name in arrays for k in range(wide[name].shape[1])]
    return pa.table([pa.array(column) for array in wide.values() for column in array.T], names)


def save(path: Path, arrays: Arrays) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, path)
    elif path.suffix == ".npz":
        writer = np.savez_compressed if path.stem.startswith("packed") else np.savez
        order = np.asfortranarray if path.stem.endswith("columns") else np.asarray
        writer(path, **{name: order(array) for name, array in arrays.items()})  # pyright: ignore[reportArgumentType]
    elif path.stem == "lists":
        table = pa.table({name: array.tolist() for name, array in arrays.items()})
        pq.write_table(table, path, row_group_size=5)
    elif path.suffix == ".parquet":
        pq.write_table(columns(arrays), path, row_group_size=5)
    elif path.stem == "lists_csv":
        rows = zip(*(array.tolist() for array in arrays.values()), strict=True)
        lines = [",".join(f'"{json.dumps(cell)}"' for cell in row) for row in rows]
        path.write_text("\n".join([",".join(arrays), *lines]) + "\n")
    else:
        pyarrow.csv.write_csv(columns(arrays), path)
    return path


FILES = [
    "plain.npz",
    "plain_columns.npz",
    "packed.npz",
    "packed_columns.npz",
    "p.safetensors",
    "lists.parquet",
    "p.parquet",
    "p.csv",
    "lists_csv.csv",
]
every_file = pytest.mark.parametrize("name", FILES)


def refused(text: str, *paths: Path, labels_from: tuple[Path, str] | None = None) -> None:
    with pytest.raises(InputError, match="^" + re.escape("predictions: " + text)):
        list(open_predictions(paths, labels_from=labels_from).chunks())


@every_file
@pytest.mark.parametrize("rows", [1, 4, 5, 11, 100])
def test_chunks_are_the_rows_in_order(tmp_path: Path, name: str, rows: int) -> None:
    path = save(tmp_path / name, {"logits": LOGITS, "labels": LABELS})
    files = open_predictions([path])
    assert (files.kind, files.num_classes, files.class_names, files.has_labels) == ("logits", 3, None, True)
    assert files.num_rows == (None if path.suffix == ".csv" else 11)
    for _ in range(2):
        start = 0
        for chunk in files.chunks(rows):
            assert len(chunk) == min(rows, 11 - start)
            assert (chunk.first_row, chunk.file, chunk.file_row) == (start, path, start)
            assert chunk.values.is_floating_point()
            assert chunk.values.tolist() == LOGITS[start : start + rows].tolist()
            assert chunk.labels is not None
            assert (chunk.labels.dtype, chunk.labels.tolist()) == (torch.int64, LABELS[start : start + rows].tolist())
            start += len(chunk)
        assert start == 11


def test_only_an_array_that_is_held_whole_has_a_note(tmp_path: Path) -> None:
    for name in FILES:
        notes = open_predictions([save(tmp_path / name, {"logits": LOGITS, "labels": LABELS})]).notes
        if name == "packed_columns.npz":
            assert notes == (f"'logits' in {name} is compressed in column-major order, so all of it is held in memory",)
        else:
            assert notes == ()


def test_shards_of_several_types(tmp_path: Path) -> None:
    cuts = (0, 2, 3, 7, 11)
    names = ("plain.npz", "p.csv", "p.parquet", "p.safetensors")
    paths = [
        save(tmp_path / name, {"logits": LOGITS[a:b], "labels": LABELS[a:b]})
        for name, (a, b) in zip(names, pairwise(cuts), strict=True)
    ]
    files = open_predictions(paths)
    assert (files.paths, files.num_rows) == (tuple(paths), None)
    assert open_predictions([paths[0], paths[2]]).num_rows == 6
    chunks = list(files.chunks(3))
    places = [(chunk.first_row, chunk.file.name, chunk.file_row, len(chunk)) for chunk in chunks]
    assert places == [
        (0, "plain.npz", 0, 2),
        (2, "p.csv", 0, 1),
        (3, "p.parquet", 0, 3),
        (6, "p.parquet", 3, 1),
        (7, "p.safetensors", 0, 3),
        (10, "p.safetensors", 3, 1),
    ]
    assert torch.cat([chunk.values.double() for chunk in chunks]).tolist() == LOGITS.tolist()
    assert read_predictions(paths).values.tolist() == LOGITS.tolist()


def test_no_rows_at_a_time(tmp_path: Path) -> None:
    files = open_predictions([save(tmp_path / "p.npz", {"logits": LOGITS})])
    with pytest.raises(InputError, match=r"^rows: at least 1; got 0"):
        next(files.chunks(0))


@pytest.mark.parametrize("beside", ["p.csv", "p.parquet", "p.npz", "p.safetensors"])
@pytest.mark.parametrize("name", ["p.csv", "p.npz"])
def test_labels_of_their_own_file(tmp_path: Path, name: str, beside: str) -> None:
    (tmp_path / "y").mkdir()
    paths = [save(tmp_path / name, {"logits": LOGITS[:7], "labels": np.full(7, 99)})]
    paths.append(save(tmp_path / f"more{name}", {"logits": LOGITS[7:]}))
    labels = save(tmp_path / "y" / beside, {"truth": LABELS, "id": LABELS + 50})
    files = open_predictions(paths, labels_from=(labels, "truth"))
    assert files.has_labels
    for rows in (3, 100):
        found = [chunk.labels for chunk in files.chunks(rows)]
        assert torch.cat([part for part in found if part is not None]).tolist() == LABELS.tolist()
    text = f"'turth' in every file; got truth, id in {labels}; did you mean 'truth'?"
    with pytest.raises(InputError, match=re.escape(text) if beside != "p.safetensors" else "'turth' in every file"):
        open_predictions(paths, labels_from=(labels, "turth"))
    required = "labels that are whole numbers of at least 0 and below 3, the number of classes"
    refused(f"{required}; got 50 as 'id' in {labels}, row 0", *paths, labels_from=(labels, "id"))


@pytest.mark.parametrize("count", [10, 12, 7])
@pytest.mark.parametrize("beside", ["y.csv", "y.npz"])
@pytest.mark.parametrize("name", ["p.csv", "p.npz"])
def test_more_or_fewer_labels_than_rows(tmp_path: Path, name: str, beside: str, count: int) -> None:
    path = save(tmp_path / name, {"logits": LOGITS})
    labels = save(tmp_path / beside, {"labels": np.zeros(count, dtype=np.int64)})
    text = rf"11 labels, one for each row of predictions; got (shape \()?{count}(,\))? as 'labels' in {beside}; write"
    with pytest.raises(InputError, match=text):
        list(open_predictions([path], labels_from=(labels, "labels")).chunks(7))
    if name == beside.replace("y", "p") == "p.npz":
        with pytest.raises(InputError, match=text):
            open_predictions([path], labels_from=(labels, "labels"))


def test_labels_of_two_axes_must_be_votes(tmp_path: Path) -> None:
    path = save(tmp_path / "lists.parquet", {"logits": LOGITS, "labels": -1.5 - LOGITS})
    with pytest.raises(InputError, match=r"predictions, 'labels': votes or probabilities of at least 0; got -"):
        list(open_predictions([path]).chunks())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_labels_written_as_names_of_classes(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "p.parquet"
    cells = {"probs_dog": [0.25, 1, 0], "probs_cat": [0.75, 0, 1], "y": pa.array(["cat", "dog", "cat"], kind)}
    pq.write_table(pa.table(cells), path)
    (chunk,) = open_predictions([path], labels="y").chunks()
    assert chunk.labels is not None
    assert chunk.labels.tolist() == [1, 0, 1]
    path = tmp_path / "p.csv"
    path.write_text("probs_dog,probs_cat,labels\n0.25,0.75,cat\n1,0,dog\n0,1,1\n")
    assert [chunk.labels.item() for chunk in open_predictions([path]).chunks(1) if chunk.labels is not None] == [
        1,
        0,
        1,
    ]
    apart = tmp_path / "y.csv"
    apart.write_text("class\ndog\ndog\ncat\n")
    labels = [chunk.labels for chunk in open_predictions([path], labels_from=(apart, "class")).chunks()]
    assert labels[0] is not None
    assert labels[0].tolist() == [0, 0, 1]
    path.write_text("probs_dog,probs_cat,labels\n0.25,0.75,cat\n1,0,dgo\n")
    required = "a number or one of dog, cat in every row"
    refused(f"{required}; got 'dgo' in p.csv, row 1, column 'labels'; did you mean 'dog'?", path)
    path.write_text("probs_0,probs_1,labels\n0.25,0.75,0\n1,0,cat\n")
    refused("a number in every row; got 'cat' in p.csv, row 1, column 'labels'; fix", path)


@pytest.mark.parametrize("line", ["5", "5,6,7,8"])
def test_fields_missing_or_too_many(tmp_path: Path, line: str) -> None:
    path = tmp_path / "p.csv"
    good = "1,2,0\n" * 4
    fields = line.count(",") + 1
    path.write_text(f"logits_0,logits_1,labels\n{good}{line}\n{good}")
    text = f"3 fields in every row, as in the first line; got {fields} in p.csv, row 4; fix that row, or write"
    with pytest.raises(InputError, match=re.escape(text)):
        read_predictions([path])


def test_arrow_is_given_no_function_to_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of Arrow released such a function, and aborted a process that was ending, in about half of the cases."""
    given: dict[str, Any] = {}
    original = pyarrow.csv.ParseOptions

    def options(**settings: Any) -> Any:
        given.update(settings)
        return original(**settings)

    monkeypatch.setattr(pyarrow.csv, "ParseOptions", options)
    (tmp_path / "p.csv").write_text("logits_0,logits_1\n1,2,3\n")
    with pytest.raises(InputError, match=r"2 fields in every row, as in the first line; got 3 in p\.csv, row 0; fix"):
        list(open_predictions([tmp_path / "p.csv"]).chunks())
    assert given
    assert not any(callable(value) for value in given.values())


def test_a_last_line_that_was_cut(tmp_path: Path) -> None:
    whole = save(tmp_path / "p.csv", {"logits": LOGITS})
    path = tmp_path / "cut.csv"
    path.write_text(whole.read_text().rsplit(",", 1)[0])
    with pytest.raises(InputError, match=r"3 fields in every row, as in the first line; got 2 in cut\.csv, row 10"):
        list(open_predictions([whole, path]).chunks())
    path.write_text('logits\n"[1, 2]"\n"[1, 2')
    with pytest.raises(InputError, match=r"a number in every row; got '\[1, 2' in cut\.csv, row 1, column 'logits'"):
        open_predictions([path])


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".csv")])
def test_a_shard_that_was_cut_is_refused_before_any_row_is_read(tmp_path: Path, name: str) -> None:
    whole = save(tmp_path / "whole.npz", {"logits": LOGITS})
    path = save(tmp_path / name, {"logits": LOGITS})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=rf"^predictions: a file that can be read; got {name}: "):
        open_predictions([whole, path])


@every_file
def test_a_row_late_in_the_last_shard(tmp_path: Path, name: str) -> None:
    values = LOGITS.astype(np.float64)
    values[9, 2] = np.inf
    bad = save(tmp_path / name, {"logits": values})
    first = save(tmp_path / "first.npz", {"logits": LOGITS})
    seen = []
    with pytest.raises(InputError, match=f"finite logits; got inf in {name}, row 9, class 2"):
        seen.extend(chunk.first_row for chunk in open_predictions([first, bad]).chunks(4))
    # what lies before that row was handed over: it was not read first
    assert seen == [0, 4, 8, 11, 15]


def bytes_read() -> int:
    status = Path("/proc/self/io")
    if not status.is_file():
        pytest.skip("needs /proc/self/io to see what is read")
    return int(status.read_text().split("rchar:")[1].split()[0])


@pytest.mark.parametrize("name", ["p.npz", "packed.npz", "p.parquet", "p.csv"])
def test_the_first_chunk_does_not_read_the_rest(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".csv":  # of which 32 blocks of 262,144 bytes are read ahead, for the check of the first row too
        path.write_text("logits_0,logits_1\n" + "1.000000000000000000000,2.000000000000000000000\n" * 800_000)
    else:
        values = np.random.default_rng(0).normal(size=(150_000, 10))
        arrays = {"logits": values}
        pq.write_table(columns(arrays), path, row_group_size=15_000) if name == "p.parquet" else save(path, arrays)
    files = open_predictions([path])
    before = bytes_read()
    chunks = files.chunks(100)
    assert len(next(chunks)) == 100
    assert bytes_read() - before < path.stat().st_size / 2


@pytest.mark.parametrize("name", ["p.npz", "packed.npz", "plain_columns.npz"])
def test_memory_does_not_grow_with_the_rows_of_npz(tmp_path: Path, name: str) -> None:
    values = np.zeros((400_000, 10))
    path = save(tmp_path / name, {"logits": values})
    files = open_predictions([path])
    tracemalloc.start()
    try:
        assert sum(map(len, files.chunks(2000))) == len(values)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # of 32 MB: two chunks of 160 kB, a piece of the file twice
    assert most < 12e6


def test_memory_does_not_grow_with_the_rows_of_safetensors(tmp_path: Path) -> None:
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        pytest.skip("needs /proc/self/maps to see what is mapped")
    path = save(tmp_path / "p.safetensors", {"logits": np.zeros((1000, 3))})
    held = [maps.read_text().count(str(path.absolute())) for _ in open_predictions([path]).chunks(10)]
    # a chunk may be a part of the mapped file: the one in use and the one before it, of a hundred
    assert len(held) == 100
    assert max(held) <= 2


@pytest.mark.parametrize("name", ["p.parquet", "p.csv"])
def test_of_tables_a_part_is_in_memory(tmp_path: Path, name: str) -> None:
    table = columns({"logits": np.random.default_rng(0).normal(size=(600_000, 3))})
    path = tmp_path / name
    pq.write_table(table, path, row_group_size=50_000) if name == "p.parquet" else pyarrow.csv.write_csv(table, path)
    del table
    start = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - start for _ in open_predictions([path]).chunks(2000)]
    assert len(held) == 300
    assert max(held) < path.stat().st_size / 2
