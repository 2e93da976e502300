"""Observed labels from a file beside the data set, and where the rows of a data set come from."""

import re
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, load, observed_fingerprint, read_observed

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a set whose test rows lie between no training rows of its own, with named classes."""
    root = tmp_path / "set"
    root.mkdir()
    (root / "train.csv").write_text("x,label\n1,ant\n2,bee\n3,cat\n4,ant\n")
    (root / "test.csv").write_text("x,label\n5,bee\n6,cat\n")
    return root


def loaded(path: Path, **values: object) -> Dataset:
    return load(DataSpec.model_validate({"name": str(path), "test": 0, "validation": 0, **values}))


def column(path: Path, values: object, names: list[str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"seen": pa.array(values)})
    if names is not None:
        features = datasets.Features({"seen": datasets.ClassLabel(names=names)})
        table = table.replace_schema_metadata(features.arrow_schema.metadata)
    pq.write_table(table, path)
    return path


def refused(text: str, file: Path | str, dataset: Dataset, name: str = "seen") -> None:
    with pytest.raises(InputError, match="^" + re.escape(text)):
        read_observed(str(file), name, dataset)


def test_origin(folder: Path, tmp_path: Path) -> None:
    assert loaded(folder).origin.tolist() == [0, 0, 0, 0, 2, 2]
    assert loaded(folder, validation=0.25).origin.tolist() == [0, 0, 0, 0, 2, 2]
    assert loaded(folder, validation=0.25).origin.dtype == torch.uint8
    assert loaded(folder / "train.csv", test=0.25).origin.tolist() == [0] * 4
    assert load(DataSpec(name="digits")).origin.tolist() == [0] * 1797
    cache = tmp_path / "cache"
    assert [load(DataSpec(name=str(folder)), cache=cache).origin.tolist() for _ in range(2)] == [[0] * 4 + [2] * 2] * 2
    bare = Dataset("set", "", torch.zeros(3, 1), torch.tensor([0, 1, 0]), ("a", "b"), {})
    assert torch.equal(bare.origin, torch.zeros(3, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([2, 1, 0, 0], None),
        (["cat", "bee", "ant", "ant"], None),
        ([0, 2, 1, 1], ["cat", "ant", "bee"]),
        ([2.0, 1.0, 0.0, 0.0], None),
    ],
)
def test_the_training_rows_get_the_observed_labels(
    folder: Path, tmp_path: Path, values: list[object], names: list[str] | None
) -> None:
    file = column(tmp_path / "seen.parquet", values, names)
    data = loaded(folder, validation=0.25)
    labels = read_observed(str(file), "seen", data)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [2, 1, 0, 0, 1, 2]
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_folder_and_its_shards(folder: Path, tmp_path: Path) -> None:
    data = loaded(folder)
    column(tmp_path / "seen" / "train-00000-of-00002.parquet", [1, 1])
    column(tmp_path / "seen" / "train-00001-of-00002.parquet", [2])
    refused(
        "file: 4 rows, one for each training row of 'set'; got 3 in train-00000-of-00002.parquet, "
        "train-00001-of-00002.parquet; give the labels of this data set, in its order",
        tmp_path / "seen",
        data,
    )
    column(tmp_path / "seen" / "train-00001-of-00002.parquet", [2, 0])
    column(tmp_path / "seen" / "test.parquet", [0])
    assert read_observed(str(tmp_path / "seen"), "seen", data).tolist() == [1, 1, 2, 0, 1, 2]


def test_classes_that_are_numbers_are_indices_whatever_the_file_calls_them(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("x,label\n1,0\n2,1\n")
    file = column(tmp_path / "seen.parquet", [1, 0], ["dog", "cat"])
    assert read_observed(str(file), "seen", loaded(tmp_path / "set.csv")).tolist() == [1, 0]


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    data, file = loaded(folder), tmp_path / "seen.parquet"
    column(file, [0, 1, 2, 3])
    refused("column: at least 0 and below 3, the number of classes; got 3 in seen.parquet, row 3; fix", file, data)
    column(file, [0, -1, 2, 2])
    refused("column: at least 0 and below 3, the number of classes; got -1 in seen.parquet, row 1; fix", file, data)
    column(file, ["ant", "bee", "cats", "ant"])
    refused("column: a class of 'set'; got 'cats' in seen.parquet, row 2; did you mean 'cat'?", file, data)
    column(file, [0, 1, 1, 1], ["ant", "wolf"])
    refused("column: a class of 'set'; got 'wolf' in seen.parquet, row 1; fix that row", file, data)
    column(file, [0, 1, 1, 2], ["ant", "bee"])
    refused("column: at least 0 and below 2, the number of classes; got 2 in seen.parquet, row 3", file, data)
    column(file, [0, None, 1, 2])
    refused(
        "column: a whole number of at least 0, or a class name; got a missing label in seen.parquet, row 1; fix that",
        file,
        data,
    )
    column(file, [0, 1.5, 1, 2])
    refused("column: a whole number of at least 0, or a class name; got 1.5 in seen.parquet, row 1", file, data)
    refused("column: one of the columns of seen.parquet: seen; got 'sene'; did you mean 'seen'?", file, data, "sene")
    file.write_bytes(file.read_bytes()[:-9])
    refused("file: data that can be read; got seen.parquet: ", file, data)


def test_files_that_are_not_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = loaded(folder)
    column(tmp_path / "seen.parquet", [0, 1, 2, 0])
    monkeypatch.chdir(tmp_path)
    required = "file: an existing .parquet or .csv file, or a folder of them; got"
    refused(f"{required} 'sen.parquet'; did you mean 'seen.parquet'?", "sen.parquet", data)
    refused(f"{required} 'digits'; give the path of one", "digits", data)
    (tmp_path / "seen.json").write_text("[]")
    refused("file: a .parquet or .csv file, or a folder; got 'seen.json'; convert it", "seen.json", data)
    (tmp_path / "images" / "ant").mkdir(parents=True)
    (tmp_path / "images" / "ant" / "1.png").write_bytes(b"")
    refused(
        "file: a folder with train.parquet or train.csv; got images in 'images'; give the path of a file",
        "images",
        data,
    )


def test_the_fingerprint_is_of_the_column(tmp_path: Path) -> None:
    file = column(tmp_path / "seen.parquet", [0, 1, 1])
    before = observed_fingerprint(str(file), "seen")
    assert re.fullmatch("[0-9a-f]{64}", before)
    (tmp_path / "other.csv").write_text("id,seen\n7,0\n8,1\n9,1\n")
    assert observed_fingerprint(str(tmp_path / "other.csv"), "seen") == before
    assert observed_fingerprint(str(tmp_path / "other.csv"), "id") != before
    assert observed_fingerprint(str(column(file, [0, 1, 0])), "seen") != before
    named = observed_fingerprint(str(column(file, [0, 1, 1], ["ant", "bee"])), "seen")
    assert named != before
    assert named != observed_fingerprint(str(column(file, [0, 1, 1], ["bee", "ant"])), "seen")
    with pytest.raises(InputError, match=r"column: one of the columns of seen.parquet: seen; got 'x'"):
        observed_fingerprint(str(file), "x")


def test_the_labels_of_people() -> None:
    path = SHARED / "cifar10n"
    if not path.is_dir():
        pytest.skip("needs cifar10n in ../shared/data beside the repository")
    # Its own column of clean labels and 50,000 rows stand in for the pictures, which take long to decode.
    data = loaded(path, features=("worse_label",))
    rates = {
        name: float((read_observed(str(path), name, data) != data.labels).double().mean())
        for name in ("label", "aggre_label", "worse_label")
    }
    assert rates == pytest.approx({"label": 0, "aggre_label": 0.0901, "worse_label": 0.4021}, abs=1e-4)
