"""Subsets of a data set: some classes, examples per class, long tails, labels that are missing or hidden."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, load, read_observed
from softtargets.data._subsets import tail_sizes
from softtargets.data.settings import LongTail


def loaded(path: Path | str, **values: Any) -> Dataset:
    return load(DataSpec.parse({"name": path, "test": 0, "validation": 0, **values}))


def refused(text: str, path: Path | str, **values: Any) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        loaded(path, **values)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 10 classes with 40 rows each, named a to j; the only feature is the row."""
    rows = list(range(400))
    pq.write_table(pa.table({"x": rows, "label": ["abcdefghij"[row % 10] for row in rows]}), tmp_path / "set.parquet")
    return tmp_path / "set.parquet"


def kept(data: Dataset, split: str = "train") -> set[int]:
    return {int(value) for value in data.inputs[data.splits[split]].flatten()}


def test_a_number_of_classes_is_drawn_and_nested(table: Path) -> None:
    three, five = loaded(table, classes=3, test=0.25), loaded(table, classes=5, test=0.25)
    assert set(three.class_names) < set(five.class_names)
    assert three.class_names == tuple(sorted(three.class_names))
    assert three.class_names != ("a", "b", "c")
    assert loaded(table, classes=5, split_seed=1).class_names != five.class_names
    assert {name: len(rows) for name, rows in five.splits.items()} == {"train": 150, "validation": 0, "test": 50}
    assert set(five.labels.tolist()) == set(range(5))
    for row, label in zip(five.inputs.flatten().tolist(), five.labels.tolist(), strict=True):
        assert "abcdefghij"[int(row) % 10] == five.class_names[label]
    assert loaded(table, classes=10).class_names == tuple("abcdefghij")
    assert five.fingerprint == loaded(table).fingerprint
    refused("classes: at most 10, the number of classes of", table, classes=11)


def test_classes_by_name_or_index(table: Path) -> None:
    data = loaded(table, classes=["j", 2])
    assert data.class_names == ("c", "j")
    assert data.class_counts["train"] == [40, 40]
    assert kept(data) == {row for row in range(400) if row % 10 in (2, 9)}
    refused("classes: one of a, b, c, d, e, f, g, h, i, j; got 'z'", table, classes=["a", "z"])
    refused("classes: at least 0 and below 10, the number of classes; got 10", table, classes=[0, 10])
    refused("classes: each class once", table, classes=["a", 0])


def test_recorded_labels_do_not_fit_a_subset_of_the_classes(table: Path) -> None:
    data = loaded(table, classes=3)
    with pytest.raises(InputError, match=r"file: labels of all classes.*; remove data\.classes"):
        read_observed(str(table), "label", data)


def test_classes_of_texts_and_streamed_images(tmp_path: Path, write_images, png: Callable[..., bytes]) -> None:
    (tmp_path / "texts.csv").write_text("text,label\n" + "".join(f"word {row},{'abc'[row % 3]}\n" for row in range(9)))
    data = loaded(tmp_path / "texts.csv", classes=["a", "c"])
    assert data.texts == ("word 0", "word 2", "word 3", "word 5", "word 6", "word 8")
    path = write_images(tmp_path / "set.parquet", [png(row, (4 + row, 6)) for row in range(9)], [0, 1, 2] * 3)
    images = loaded(path, classes=[1, 2], size=4)
    assert [int(images.inputs[row].max()) for row in range(6)] == [1, 2, 4, 5, 7, 8]


def test_examples_per_class_are_nested_and_leave_the_other_splits_alone(table: Path) -> None:
    few, more = loaded(table, per_class=3, test=0.25), loaded(table, per_class=7, test=0.25)
    assert few.class_counts == {"train": [3] * 10, "validation": [0] * 10, "test": [10] * 10}
    assert kept(few) < kept(more)
    assert kept(few, "test") == kept(loaded(table, test=0.25), "test")
    assert kept(few) != kept(loaded(table, per_class=3, test=0.25, split_seed=1))
    assert loaded(table, per_class=1000).class_counts["train"] == [40] * 10


def test_an_exponential_tail_by_hand(table: Path) -> None:
    data = loaded(table, long_tail={"name": "exponential", "ratio": 20.0})
    # 40 * 20^(-k / 9)
    assert data.class_counts["train"] == [40, 29, 21, 15, 11, 8, 5, 4, 3, 2]
    shorter = loaded(table, long_tail={"name": "exponential", "ratio": 20.0, "largest": 20})
    assert kept(shorter) < kept(data)
    mixed = loaded(table, long_tail={"name": "exponential", "ratio": 20.0, "order": "random"})
    assert sorted(mixed.class_counts["train"], reverse=True) == data.class_counts["train"]
    assert mixed.class_counts["train"] != data.class_counts["train"]
    flat = loaded(table, long_tail={"name": "exponential", "ratio": 1.0})
    assert flat.class_counts["train"] == [40] * 10


def test_a_pareto_tail_by_hand(table: Path) -> None:
    # with power 1 the quantiles are 11 / (k + 1) - 1 = 10, 9 / 2, 8 / 3 ..., and the largest is 40
    expected = [40 * (11 / (k + 1) - 1) / 10 for k in range(10)]
    assert [round(size) for size in expected] == [40, 18, 11, 7, 5, 3, 2, 2, 1, 0]
    empty = {"name": "pareto", "power": 1.0}
    refused(
        "long_tail: at least one training example of every class; got none of class 9 ('j'); set",
        table,
        long_tail=empty,
    )
    small = {**empty, "largest": 8}
    refused("got none of class 6 ('g'), nor of 3 other classes; set smallest", table, long_tail=small)
    data = loaded(table, long_tail={**empty, "smallest": 2})
    assert data.class_counts["train"] == [40, 18, 11, 7, 5, 3, 2, 2, 2, 2]
    assert loaded(table, long_tail={"name": "pareto"}).class_counts["train"][:3] == [40, 27, 20]


def test_the_pareto_tail_has_the_size_of_imagenet_lt() -> None:
    # Liu et al. 2019: 115,846 images of 1,000 classes, between 1,280 and 5 for each, power 6
    sizes = tail_sizes(LongTail(name="pareto", smallest=5), 1000, 1280)
    assert (int(sizes.max()), int(sizes.min())) == (1280, 5)
    assert abs(int(sizes.sum()) - 115_846) < 0.02 * 115_846


def test_a_class_that_has_fewer_examples_than_the_tail_asks_for_keeps_all(tmp_path: Path) -> None:
    labels = [0] * 30 + [1] * 4 + [2] * 30
    pq.write_table(pa.table({"x": range(64), "label": labels}), tmp_path / "set.parquet")
    data = loaded(tmp_path / "set.parquet", long_tail={"name": "exponential", "ratio": 10.0})
    assert data.class_counts["train"] == [30, 4, 3]


def test_settings_of_tails() -> None:
    for values, text in (
        ({"name": "pareto", "ratio": 10.0}, "ratio: left out with 'pareto'"),
        ({"name": "exponential", "power": 6.0}, "power: left out with 'exponential'"),
        ({"name": "pareto", "largest": 3, "smallest": 4}, "smallest: at most largest, 3"),
        ({"name": "paretto"}, "long_tail.name"),
    ):
        with pytest.raises(InputError, match=re.escape(text)):
            DataSpec.parse({"name": "x", "long_tail": values})


def test_missing_labels_of_training_rows(tmp_path: Path) -> None:
    table = pa.table({"x": range(12), "label": [0, 1, None, 0, 1, None, 0, 1, 0, 1, 0, 1]})
    pq.write_table(table, tmp_path / "train.parquet")
    refused("got a missing label in train.parquet, row 2; fix or drop that row", tmp_path)
    data = loaded(tmp_path, unlabelled=0.0, test=0.4)
    assert data.labelled is not None
    assert (~data.labelled).nonzero().flatten().tolist() == [2, 5]
    assert {2, 5} <= set(data.splits["train"].tolist())
    assert len(data.splits["test"]) == 4
    assert set(data.labelled_train.tolist()) == set(data.splits["train"].tolist()) - {2, 5}
    assert data.class_counts["train"] == [3, 3]
    assert set(data.labels.tolist()) == {0, 1}
    pq.write_table(table, tmp_path / "test.parquet")
    refused("got a missing label in test.parquet, row 2", tmp_path, unlabelled=0.0)


def test_missing_labels_of_csv_files_and_class_names(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("x,label\n1,cat\n2,\n3,dog\n4, \n5,cat\n")
    data = loaded(tmp_path / "set.csv", unlabelled=0.0)
    assert data.class_names == ("cat", "dog")
    assert data.labelled is not None
    assert data.labelled.tolist() == [True, False, True, False, True]
    assert len(loaded(tmp_path / "set.csv", unlabelled=0.0, classes=["cat", "dog"]).splits["train"]) == 5
    (tmp_path / "set.csv").write_text("x,label\n1,\n2,\n")
    refused("label: a label in at least two rows; got none in set.csv", tmp_path / "set.csv", unlabelled=0.0)


def test_a_folder_of_images_without_labels(tmp_path: Path, png: Callable[..., bytes]) -> None:
    for value, name in enumerate(("cat/a", "dog/b", "unlabelled/c", "unlabelled/deep/d")):
        path = tmp_path / "set" / "train" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value, (4, 4)))
    refused("label: images in the folders of their classes, as data.unlabelled is not given", tmp_path / "set")
    data = loaded(tmp_path / "set", unlabelled=0.0)
    assert data.class_names == ("cat", "dog")
    assert data.labelled is not None
    assert data.labelled.tolist() == [True, True, False, False]
    assert int(data.inputs[3].max()) == 3


def test_a_list_with_lines_without_labels(tmp_path: Path, png: Callable[..., bytes]) -> None:
    for value in range(4):
        (tmp_path / f"{value}.png").write_bytes(png(value, (4, 4)))
    (tmp_path / "train.txt").write_text("0.png 0\n1.png 1\n2.png\n3.png\n")
    data = loaded(tmp_path / "train.txt", unlabelled=0.0)
    assert data.labelled is not None
    assert data.labelled.tolist() == [True, True, False, False]


def test_a_share_of_the_labels_is_hidden(table: Path) -> None:
    data = loaded(table, unlabelled=0.9, test=0.25)
    assert len(data.splits["train"]) == 300
    assert data.class_counts["train"] == [3] * 10
    assert data.class_counts["test"] == [10] * 10
    assert data.labelled is not None
    assert bool(data.labelled[data.splits["test"]].all())
    assert torch.equal(data.labels, loaded(table).labels), "the true labels are kept for measures"
    other = loaded(table, unlabelled=0.9, test=0.25, split_seed=1)
    assert not torch.equal(other.labelled_train, data.labelled_train)
    # never the last row of a class
    assert loaded(table, unlabelled=0.99, limit={"train": 20}).class_counts["train"] == [1] * 10


def test_subsets_apply_before_a_fold(table: Path) -> None:
    data = loaded(table, per_class=6, fold={"index": 0, "count": 3}, unlabelled=0.5)
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 40, "validation": 20, "test": 0}
    assert len(data.labelled_train) == 20


def test_the_cache_keeps_what_is_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": range(4), "label": [0, None, 1, 1]}), tmp_path / "set.parquet")
    spec = DataSpec(name=str(tmp_path / "set.parquet"), unlabelled=0.0, test=0, validation=0)
    first, again = (load(spec, cache=tmp_path / "cache") for _ in range(2))
    assert first.labelled is not None
    assert again.labelled is not None
    assert torch.equal(first.labelled, again.labelled)
    with pytest.raises(InputError, match="a missing label"):
        load(spec.changed(unlabelled=None), cache=tmp_path / "cache")
