"""Label columns: what is read, and what is refused with its file and row."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, load


def parquet(path: Path, labels: object) -> Path:
    column = pa.array(labels)
    pq.write_table(pa.table({"x": pa.array([0.5 * row for row in range(len(column))]), "label": column}), path)
    return path


def loaded(path: Path, **values: object) -> Dataset:
    return load(DataSpec.model_validate({"name": str(path), "test": 0, "validation": 0, **values}))


def refused(text: str, path: Path, **values: object) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        loaded(path, **values)


@pytest.mark.parametrize(
    ("labels", "expected", "names"),
    [
        ([0, 1, 2], [0, 1, 2], ("0", "1", "2")),
        ([0.0, 1.0, 1.0], [0, 1, 1], ("0", "1")),
        (["1", " 0", "1.0"], [1, 0, 1], ("0", "1")),
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
        ([True, False, True], [1, 0, 1], ("False", "True")),
        (pa.array(["b", "a", "b"]).dictionary_encode(), [1, 0, 1], ("a", "b")),
        (pa.array([1, 0, 1], pa.uint8()), [1, 0, 1], ("0", "1")),
    ],
)
def test_what_is_read(tmp_path: Path, labels: object, expected: list[int], names: tuple[str, ...]) -> None:
    data = loaded(parquet(tmp_path / "set.parquet", labels))
    assert data.labels.tolist() == expected
    assert data.class_names == names


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (
            [0, 1, None],
            "label: a whole number of at least 0, or a class name; got a missing label in set.parquet, row 2",
        ),
        ([0, 1, float("nan")], "got a missing label in set.parquet, row 2; fix or drop that row"),
        (["a", "b", "  "], "got a missing label in set.parquet, row 2"),
        (["a", None, "b"], "got a missing label in set.parquet, row 1"),
        (["1", "0", "nan"], "got a missing label in set.parquet, row 2"),
        (["", " ", None], "label: rows with a label; got none in set.parquet, column 'label'; name the"),
        ([0, 1.5, 1], "got 1.5 in set.parquet, row 1; fix or drop that row"),
        (["0", "1.5", "1"], "got 1.5 in set.parquet, row 1"),
        ([0.0, float("inf")], "got inf in set.parquet, row 1"),
        (["1", "9" * 5000], f"got {'9' * 80}... (5000 characters) in set.parquet, row 1; fix or drop that row"),
        (
            ["0", "x" * 5000],
            f"got '{'x' * 79}... (5002 characters) in set.parquet, row 1 beside 0 in set.parquet, row 0",
        ),
        ([0, 2**40], "got 1099511627776 in set.parquet, row 1"),
        ([[0], [1]], "got a value of type list in set.parquet, row 0"),
        (["0", "1", "x"], "got 'x' in set.parquet, row 2 beside 0 in set.parquet, row 0; fix or drop that row"),
        ([0, 1, -1], "got -1 in set.parquet, row 2; fix or drop that row; if it is a training row without a label"),
        (["a", "-1", "b"], "beside -1 in set.parquet, row 1; fix or drop that row; if it is a training row without"),
        (
            [0, 1, 3],
            "at least one training example of every class; got none of class 2 in set.parquet; number the classes",
        ),
        ([0, 10**9], "got none of class 1 in set.parquet;"),
        (
            [0, 0, 0],
            "label: at least 2 classes; got only '0' in set.parquet, column 'label'; add examples of another class",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, labels: object, text: str) -> None:
    refused(text, parquet(tmp_path / "set.parquet", labels))


@pytest.mark.parametrize("missing", ["nan", "NaN", " nan ", "", None])
def test_missing_labels_are_allowed_if_the_specification_says_so(tmp_path: Path, missing: str | None) -> None:
    data = loaded(parquet(tmp_path / "set.parquet", ["a", missing, "b", "a"]), unlabelled=0.0)
    assert data.class_names == ("a", "b")
    assert data.labelled is not None
    assert data.labelled.tolist() == [True, False, True, True]


def test_declared_number_of_classes(tmp_path: Path) -> None:
    numbers, names = parquet(tmp_path / "a.parquet", [0, 1, 2, 1]), parquet(tmp_path / "b.parquet", ["x", "y", "x"])
    assert loaded(numbers, num_classes=3).num_classes == 3
    refused("label: at least 0 and below 2, the number of classes; got 2 in a.parquet, row 2;", numbers, num_classes=2)
    refused("got none of class 3 in a.parquet;", numbers, num_classes=4)
    refused(
        "num_classes: 2, the number of class names in b.parquet; got 3; omit it or set it to that number",
        names,
        num_classes=3,
    )


def test_rows_are_counted_within_their_file(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    write_csv(tmp_path / "train.csv", [0, 1, 0, 1])
    write_csv(tmp_path / "test.csv", [0, 1, 7.5])
    refused("got 7.5 in test.csv, row 2", tmp_path)
    write_csv(tmp_path / "test.csv", [0, 1, ""])
    refused("a missing label in test.csv, row 2", tmp_path)


def test_class_names_of_the_file(tmp_path: Path, png: Callable[..., bytes], write_images: Callable[..., Path]) -> None:
    def write(split: str, labels: Sequence[object], names: Sequence[str] = ("ant", "bee")) -> None:
        write_images(tmp_path / f"{split}.parquet", [png()] * len(labels), labels, list(names))

    write("train", [0, 1, 1])
    write("test", [1, 0])
    assert loaded(tmp_path).class_names == ("ant", "bee")
    assert loaded(tmp_path, num_classes=2).labels.tolist() == [0, 1, 1, 1, 0]
    refused("num_classes: 2, the number of class names in train.parquet, test.parquet; got 3", tmp_path, num_classes=3)
    write("test", [1, 2])
    refused("label: at least 0 and below 2, the number of classes; got 2 in test.parquet, row 1", tmp_path)
    write("test", [1, -1])
    refused("got -1 in test.parquet, row 1", tmp_path)
    write("test", [1, None])
    refused("got a missing label in test.parquet, row 1", tmp_path)
    write("test", [1, 0], ["bee", "ant"])
    refused("label: the same class names in every file; got ant, bee ... in train.parquet and bee, ant", tmp_path)
    write("test", [1, 0])
    write("train", [0, 0])
    refused(f"at least one training example of every class; got none of class 1 ('bee') in '{tmp_path}'; add", tmp_path)


def test_a_class_that_a_split_or_limit_leaves_without_example(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    path = write_csv(tmp_path / "set.csv", ["a", "b"] * 10 + ["c"])
    assert loaded(path, test=0.3, validation=0.3).num_classes == 3
    refused(f"got none of class 2 ('c') in '{path}'; raise limit.train", path, limit={"train": 2})


def test_a_class_that_a_fold_leaves_without_example(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    path = write_csv(tmp_path / "set.csv", ["a", "b"] * 10 + ["c"])
    folds = [loaded(path, fold={"index": index, "count": 3}) for index in range(3)]
    assert sorted(int((data.labels[data.splits["train"]] == 2).sum()) for data in folds) == [0, 1, 1]
    refused(
        f"got none of class 2 ('c') in '{path}'; raise limit.train",
        path,
        limit={"train": 2},
        fold={"index": 0, "count": 2},
    )


def test_labels_are_checked_before_images(tmp_path: Path, write_images: Callable[..., Path]) -> None:
    write_images(tmp_path / "set.parquet", [b"no image", b"no image"], [0, -3])
    refused("got -3 in set.parquet, row 1", tmp_path / "set.parquet")


def test_unknown_label_column(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    path = write_csv(tmp_path / "set.csv", [0, 1])
    refused(
        "label: one of the columns of set.csv: x, y, label; got 'lable'; did you mean 'label'?", path, label="lable"
    )
    refused("got 'q'; set label to one of these names", path, label="q")
    folder = tmp_path / "folder"
    write_csv(folder / "train.csv", [0, 1])
    write_csv(folder / "test.csv", [0, 1], header="x,y,labels")
    refused("label: one of the columns of test.csv: x, y, labels; got 'label'; did you mean 'labels'?", folder)


def test_no_rows(tmp_path: Path, write_csv: Callable[..., Path], write_images: Callable[..., Path]) -> None:
    refused(
        "name: at least one row in every file; got none in set.csv; add examples or remove",
        write_csv(tmp_path / "set.csv", []),
    )
    refused(
        "name: at least one row in every file; got none in set.parquet", write_images(tmp_path / "set.parquet", [], [])
    )
