"""Rows for a network that is already trained: blocks, missing labels, classes by name, and inputs that do not fit."""

import csv
import io
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, load
from softtargets.data.batches import Inputs
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.rows import InputBlock, RowStream, open_rows

CPU = torch.device("cpu")
NAMES = ("cat", "dog", "owl")


def _image(value: int, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> Image.Image:
    pixels = np.full((size[1], size[0], 3), value, dtype=np.uint8)
    pixels[0, 0] = (value, 255 - value, 7)
    return Image.fromarray(pixels).convert(mode)


def _folder(root: Path, classes=NAMES, each: int = 7) -> Path:
    for place, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(each):
            _image(30 * place + number).save(root / name / f"{number}.png")
    return root


def _png(value: int, **how) -> bytes:
    stream = io.BytesIO()
    _image(value, **how).save(stream, "png")
    return stream.getvalue()


def _table(path: Path, columns: dict[str, list]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    return path


NUMBERS = {
    "a": [0.5 * n for n in range(30)],
    "b": [float(n % 4) for n in range(30)],
    "label": [NAMES[n % 3] for n in range(30)],
}


def _dense(block: InputBlock) -> torch.Tensor:
    assert isinstance(block.inputs, torch.Tensor)
    return block.inputs


def _read(rows: RowStream, size: int = 4, splits=None) -> tuple[Any, Any]:
    blocks = list(rows.blocks(splits or rows.splits, size))
    labels = [block.labels for block in blocks if block.labels is not None]
    return torch.cat([_dense(block) for block in blocks]), torch.cat(labels) if labels else None


def _held(whole: Dataset) -> torch.Tensor:
    assert isinstance(whole.inputs, torch.Tensor)
    return whole.inputs


@pytest.fixture
def images(tmp_path) -> tuple[Path, Preprocessing]:
    folder = _folder(tmp_path / "train")
    return folder, Preprocessing.of(load(DataSpec(name=str(folder), test=0.0)))


@pytest.fixture
def table(tmp_path) -> Preprocessing:
    return Preprocessing.of(load(DataSpec(name=str(_table(tmp_path / "train.csv", NUMBERS)))))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_table_is_read_in_blocks_as_load_reads_it(tmp_path, table, suffix, size) -> None:
    path = _table(tmp_path / f"t{suffix}", NUMBERS)
    whole = load(DataSpec(name=str(path)))
    rows = open_rows(DataSpec(name=str(path)), table, whole.class_names)
    inputs, labels = _read(rows, size)
    assert (rows.name, rows.splits, rows.labelled) == ("t", ("train",), True)
    assert torch.equal(inputs, _held(whole))
    assert torch.equal(labels, whole.labels)
    assert max(len(block.inputs) for block in rows.blocks(rows.splits, size)) <= size


def test_columns_are_matched_by_name(tmp_path, table) -> None:
    given = {"note": ["x"] * 30, "b": NUMBERS["b"], "a": NUMBERS["a"]}
    inputs, labels = _read(open_rows(DataSpec(name=str(_table(tmp_path / "t.csv", given))), table, NAMES))
    assert labels is None
    assert torch.equal(inputs, torch.tensor([NUMBERS["a"], NUMBERS["b"]], dtype=torch.float64).T)
    with pytest.raises(InputError, match=r"features: one of the columns of u.csv: b, label; got 'a'"):
        open_rows(DataSpec(name=str(_table(tmp_path / "u.csv", {"b": [1], "label": [0]}))), table, NAMES)
    with pytest.raises(InputError, match="features: 2 columns, as the run was trained on; got 1"):
        open_rows(DataSpec(name=str(tmp_path / "t.csv"), features=("a",)), table, NAMES)


def test_texts_are_counted_block_by_block(tmp_path) -> None:
    given = {"utterance": [f"word{n % 5} and {n}" for n in range(20)], "label": [n % 2 for n in range(20)]}
    path = _table(tmp_path / "t.csv", given)
    whole = load(DataSpec(name=str(path), text="utterance"))
    like = Preprocessing.of(whole)
    assert like.columns == ("utterance",)
    inputs, labels = _read(open_rows(DataSpec(name=str(path)), like, ("0", "1")), 3)
    assert torch.equal(inputs, _held(whole))
    assert torch.equal(labels, whole.labels)
    other = _table(tmp_path / "other.csv", {"message": given["utterance"]})
    assert torch.equal(_read(open_rows(DataSpec(name=str(other)), like, ("0", "1")))[0], _held(whole))
    two = _table(tmp_path / "two.csv", {"message": ["a"], "reply": ["b"]})
    with pytest.raises(InputError, match=r"text: one of the columns of two\.csv"):
        open_rows(DataSpec(name=str(two)), like, ("0", "1"))


def test_a_folder_of_images_is_read_as_load_reads_it(images) -> None:
    folder, like = images
    whole = load(DataSpec(name=str(folder), test=0.0))
    rows = open_rows(DataSpec(name=str(folder)), like, NAMES)
    inputs, labels = _read(rows)
    assert torch.equal(inputs, _held(whole))
    assert torch.equal(labels, whole.labels)
    assert next(rows.blocks(rows.splits, 4)).files == tuple(f"cat/{number}.png" for number in range(4))


def test_images_without_folders_of_classes_have_no_labels(images, tmp_path) -> None:
    _, like = images
    flat = tmp_path / "flat"
    flat.mkdir()
    for value in (9, 5):
        _image(value).save(flat / f"{value}.png")
    rows = open_rows(DataSpec(name=str(flat)), like, NAMES)
    block = next(rows.blocks(rows.splits, 10))
    assert (rows.labelled, block.labels, block.files) == (False, None, ("5.png", "9.png"))
    one = open_rows(DataSpec(name=str(flat / "9.png")), like, NAMES)
    assert torch.equal(_dense(next(one.blocks(one.splits, 1)))[0], _dense(block)[1])
    with pytest.raises(InputError, match=r"label: a label column in '.*flat'; got none named 'label'"):
        open_rows(DataSpec(name=str(flat)), like, NAMES, labels=True)


def test_images_in_a_column_with_the_splits_of_files(images, tmp_path) -> None:
    _, like = images
    folder = tmp_path / "set"
    folder.mkdir()
    features = {"pic": {"_type": "Image"}, "kind": {"names": ["owl", "cat"], "_type": "ClassLabel"}}
    for split, count in (("train", 3), ("test", 5)):
        cells = [{"bytes": _png(10 + n), "path": None} for n in range(count)]
        written = pa.table({"pic": cells, "kind": [n % 2 for n in range(count)]})
        info = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(written.replace_schema_metadata(info), folder / f"{split}.parquet")
    rows = open_rows(DataSpec(name=str(folder)), like, NAMES)
    assert (rows.splits, rows.labelled) == (("train", "test"), True)
    inputs, labels = _read(rows, 2, ["test"])
    assert labels.tolist() == [2, 0, 2, 0, 2]  # by their names
    assert torch.equal(inputs[3], torch.from_numpy(np.array(_image(13))).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (["owl", "cat"], NAMES, [2, 0]),
        ([2, 0], NAMES, [2, 0]),  # numbers without names are indices
        ([7, 3], ("3", "7"), [1, 0]),  # or the names of classes that are numbers
        (["1.0", "0"], NAMES, [1, 0]),
    ],
)
def test_classes_are_matched_by_name(tmp_path, table, labels, names, expected) -> None:
    path = _table(tmp_path / "t.csv", {"a": [1.0, 2.0], "b": [1.0, 2.0], "label": labels})
    assert _read(open_rows(DataSpec(name=str(path)), table, names))[1].tolist() == expected


@pytest.mark.parametrize(
    ("label", "names", "message"),
    [
        ("cta", NAMES, r"label: a class of the run: cat, dog, owl; got 'cta' in t.csv, row 1; did you mean 'cat'\?"),
        (3, NAMES, r"label: at least 0 and below 3, the number of the run's classes; got 3 in t.csv, row 1"),
        (5, ("3", "0"), r"label: a class of the run: 3, 0; got '5' in t.csv, row 1"),
        ("", NAMES, r"label: .*; got a missing label in t.csv, row 1"),
    ],
)
def test_a_label_that_is_no_class_is_an_error_with_its_row(tmp_path, table, label, names, message) -> None:
    path = _table(
        tmp_path / "t.csv", {"a": [1.0] * 2, "b": [1.0] * 2, "label": [0, label] if label != "cta" else ["cat", label]}
    )
    rows = open_rows(DataSpec(name=str(path)), table, names)
    with pytest.raises(InputError, match=message):
        _read(rows, 1)  # the row is counted over all blocks
    assert _read(open_rows(DataSpec(name=str(path)), table, names, labels=False))[1] is None


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (_image(1, (5, 4)), "image: images of 6x4, as the run was trained on; got 5x4 in a.png; resize or crop them"),
        (b"no image", r"image: an image that can be decoded; got a\.png: "),
    ],
    ids=["size", "corrupt"],
)
def test_an_image_that_does_not_fit_is_an_error_with_its_file(images, tmp_path, made, message) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(made) if isinstance(made, bytes) else made.save(path)
    with pytest.raises(InputError, match=message):
        _read(open_rows(DataSpec(name=str(path)), images[1], NAMES))


def test_huge_images_are_refused_in_every_thread_and_warnings_are_as_before(images, monkeypatch) -> None:
    folder, like = images
    before = list(warnings.filters)
    for _ in range(5):
        _read(open_rows(DataSpec(name=str(folder)), like, NAMES))
    assert list(warnings.filters) == before
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # above it a warning, above twice as much an error
    with pytest.raises(
        InputError, match=r"image: an image that can be decoded; got cat/0\.png: Image size \(24 pixels\)"
    ):
        _read(open_rows(DataSpec(name=str(folder)), like, NAMES))


def test_grey_and_colour(tmp_path, images) -> None:
    grey = tmp_path / "grey"
    for name in NAMES[:2]:
        (grey / name).mkdir(parents=True)
        for number in range(6):
            _image(number, mode="L").save(grey / name / f"{number}.png")
    like = Preprocessing.of(load(DataSpec(name=str(grey), test=0.0)))
    assert like.view is not None
    assert like.view.channels == 1
    with pytest.raises(InputError, match="image: grey images, as the run was trained on; got colour in"):
        _read(open_rows(DataSpec(name=str(images[0])), like, NAMES))
    # grey images are colour images of three equal channels
    inputs, _ = _read(open_rows(DataSpec(name=str(grey)), images[1], NAMES))
    assert inputs.shape[1] == 3
    assert torch.equal(inputs[:, 0], inputs[:, 2])


def test_images_of_several_sizes_are_seen_as_in_evaluation(tmp_path) -> None:
    folder = tmp_path / "mixed"
    for place, name in enumerate(NAMES):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            _image(30 * place + number, (20 + number, 16)).save(folder / name / f"{number}.png")
    spec = DataSpec(name=str(folder), size=8, test_size=10, test=0.0)
    whole = load(spec)
    inputs, labels = _read(open_rows(DataSpec(name=str(folder)), Preprocessing.of(whole), NAMES))
    assert inputs.shape[1:] == (3, 10, 10)
    assert all(torch.equal(inputs[row], whole.inputs[row]) for row in range(18))
    assert torch.equal(labels, whole.labels)


def test_a_data_set_of_another_kind_is_refused(tmp_path, images, table) -> None:
    path = _table(tmp_path / "t.csv", NUMBERS)
    with pytest.raises(
        InputError, match="name: a data set of images, as the run was trained on; got the columns a, b in"
    ):
        open_rows(DataSpec(name=str(path)), images[1], NAMES)
    with pytest.raises(
        InputError, match="name: a data set of a table of numbers, as the run was trained on; got images"
    ):
        open_rows(DataSpec(name=str(images[0])), table, NAMES)
    with pytest.raises(InputError, match="name: 'digits', an existing file or folder"):
        open_rows(DataSpec(name=str(tmp_path / "none")), table, NAMES)


def test_the_preprocessing_survives_json_and_normalises_as_inputs_do(tmp_path, images, table) -> None:
    texts = _table(tmp_path / "texts.csv", {"text": [f"w{n % 5} {n}" for n in range(20)], "label": [0, 1] * 10})
    for spec in (
        DataSpec(name=str(images[0]), test=0.0),
        DataSpec(name=str(tmp_path / "train.csv")),
        DataSpec(name=str(texts)),
        DataSpec(name="digits"),
    ):
        whole = load(spec)
        made = Preprocessing.of(whole)
        again = Preprocessing.from_dict(json.loads(json.dumps(made.to_dict())))
        assert again.to_dict() == made.to_dict()
        assert isinstance(whole.inputs, torch.Tensor)
        expected = Inputs(whole, CPU).batch(torch.arange(10))
        assert torch.equal(again.on(CPU)(whole.inputs[:10]), expected)


SCRIPT = """
import sys
from softtargets.data import DataSpec, Dataset, load
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.rows import RowStream, open_rows


def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))


like = Preprocessing.of(load(DataSpec(name=sys.argv[1])))
for name in sys.argv[1:]:
    rows = open_rows(DataSpec(name=name), like, ("0", "1"))
    assert sum(len(block.inputs) for block in rows.blocks(rows.splits, 1024)) > 0
    print(peak())
"""


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_memory_does_not_grow_with_the_rows(tmp_path, suffix) -> None:
    paths = []
    for rows in (8_000, 60_000):
        columns = {f"x{n}": np.random.default_rng(n).random(rows).round(6) for n in range(60)}
        made = pa.table({**columns, "label": np.arange(rows) % 2})
        path = tmp_path / f"{rows}{suffix}"
        if suffix == ".csv":
            pa_csv.write_csv(made, path)
        else:  # a page of each column is in memory
            pq.write_table(made, path, data_page_size=2**14, use_dictionary=False)
        paths.append(str(path))
    done = subprocess.run([sys.executable, "-c", SCRIPT, *paths], capture_output=True, text=True, check=True)
    small, large = map(int, done.stdout.split())
    assert large - small < 20_000  # KiB; the numbers alone take 28,000
