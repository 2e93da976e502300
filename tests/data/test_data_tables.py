"""Tables of numbers."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, load


def loaded(path: Path, **values: object) -> Dataset:
    return load(DataSpec.model_validate({"name": str(path), "test": 0, "validation": 0, **values}))


def refused(text: str, path: Path, **values: object) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        loaded(path, **values)


def test_csv(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    data = loaded(write_csv(tmp_path / "my.csv", ["b", "a", "b"]))
    assert data.name == "my"
    assert not data.is_image
    assert data.inputs.dtype == torch.float64
    assert data.inputs.tolist() == [[0, 0], [1, 0.5], [2, 1]]
    assert data.labels.tolist() == [1, 0, 1]


def test_csv_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_bytes(b'\xef\xbb\xbf"x, in m",id,label\r\n 1e3 ,"a,b",0\r\n\r\n-2,,1\r\n')
    assert loaded(path, features=("x, in m",)).inputs.tolist() == [[1000], [-2]]
    refused("got 'a,b' in my.csv, row 0, column 'id'; fix or drop that row, or select numeric columns", path)


def test_a_long_text_in_a_column_of_numbers_is_shortened(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text(f"a,label\n{'x' * 5000},0\n1,1\n")
    refused(f"got '{'x' * 79}... (5002 characters) in my.csv, row 0, column 'a'; fix or drop that row", path)


def test_parquet_types_and_the_order_of_features(tmp_path: Path) -> None:
    columns = {
        "flag": [True, False],
        "small": pa.array([1, -2], pa.int8()),
        "half": pa.array([0.5, 1.5], pa.float16()),
        "text": ["1.25", "2"],
        "label": [0, 1],
    }
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    assert loaded(tmp_path / "set.parquet").inputs.tolist() == [[1, 1, 0.5, 1.25], [0, -2, 1.5, 2]]
    assert loaded(tmp_path / "set.parquet", features=("text", "flag")).inputs.tolist() == [[1.25, 1], [2, 0]]


@pytest.mark.parametrize("cell", ["", "abc", "nan", "inf", "1e400", "1,5"])
def test_a_cell_that_is_no_finite_number(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "set.csv"
    path.write_text(f'x,y,label\n1,2,0\n1,2,1\n3,"{cell}",1\n')
    shown = f"{cell!r}" if cell else "nothing"
    refused(f"features: a finite number in every row; got {shown} in set.csv, row 2, column 'y'; fix or drop", path)


@pytest.mark.parametrize("column", [[1.0, None, 2], [1.0, float("nan"), 2], [1.0, float("inf"), 2]])
def test_a_number_of_parquet_that_is_not_finite(tmp_path: Path, column: list) -> None:
    pq.write_table(pa.table({"x": pa.array(column), "label": [0, 1, 0]}), tmp_path / "set.parquet")
    refused("in set.parquet, row 1, column 'x'", tmp_path / "set.parquet")


def test_numbers_that_float32_does_not_tell_apart(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("x,y,label\n1700000001,1e-46,0\n1700000002,1e300,1\n")
    columns = {"x": [1_700_000_001, 1_700_000_002], "y": [1e-46, 1e300], "label": [0, 1]}
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    for file in (path, tmp_path / "set.parquet"):
        assert loaded(file).inputs.tolist() == [[1_700_000_001, 1e-46], [1_700_000_002, 1e300]]


@pytest.mark.parametrize(("separator", "shown"), [(";", "'x;y;label'"), ("\t", r"'x\ty\tlabel'")])
def test_csv_with_another_separator(tmp_path: Path, separator: str, shown: str) -> None:
    path = tmp_path / "set.csv"
    path.write_text("x,y,label\n1.5,2,0\n".replace(",", separator).replace(".", ","))
    refused(f"name: columns separated by commas; got set.csv with one column, {shown}; write the file with", path)
    path.write_text("a;b,label\n1,0\n2,1\n")
    assert loaded(path).input_shape == (1,)


def test_columns_that_are_not_there(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    path = write_csv(tmp_path / "set.csv", [0, 1])
    text = "features: one of the columns of set.csv: x, y, label; got 'X1'; did you mean 'x'?"
    refused(text, path, features=("y", "X1"))
    refused("got 'qqq'; set features to one of these names", path, features=("qqq",))
    refused(
        "image: a column of images, each {bytes, path}; got 'x' of set.csv; leave it out to read a table",
        path,
        image="x",
    )
    folder = tmp_path / "folder"
    write_csv(folder / "train.csv", [0, 1])
    write_csv(folder / "test.csv", [0, 1], header="x,yy,label")
    refused("features: one of the columns of test.csv: x, yy, label; got 'y'; did you mean 'yy'?", folder)
    (tmp_path / "bare.csv").write_text("label\n0\n1\n")
    refused("features: at least one column beside the label; got none in bare.csv", tmp_path / "bare.csv")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("x,x,label\n1,2,0\n")
    refused("name: columns with different names; got set.csv: x, x, label; rename one", path)
    path.write_text("x,label\n1,0,9\n2,1,9\n")
    refused("name: 2 values in every row, one for each column; got 3 in set.csv, row 0", path)
    path.write_text("x,label\n1,0\n2,1,9\n")
    refused("name: data that can be read; got set.csv: ", path)
    path.write_text("x,label\n1,0\n2\n")
    refused("a missing label in set.csv, row 1", path)
    path.write_bytes(b"x,label\n\xff\xfe,0\n")
    refused("name: data that can be read; got set.csv: ", path)
    path.write_text("")
    refused("name: at least one row in every file; got none in set.csv", path)
    (tmp_path / "set.parquet").write_bytes(b"PAR1 no more of it")
    refused("name: data that can be read; got set.parquet: ", tmp_path / "set.parquet")
    refused("; check that it is complete and of the type that its name says", tmp_path / "set.parquet")


def test_text_in_a_late_chunk_of_another_column_does_no_harm(tmp_path: Path) -> None:
    # The reader takes 10,000 rows at a time and guesses types for each.
    rows = [f"{row},{row % 2},{'word' if row > 15_000 else row}" for row in range(20_000)]
    (tmp_path / "set.csv").write_text("\n".join(["x,label,other", *rows]))
    assert loaded(tmp_path / "set.csv", features=("x",)).inputs[-1].tolist() == [19_999]
    refused("got 'word' in set.csv, row 15001, column 'other'", tmp_path / "set.csv")
