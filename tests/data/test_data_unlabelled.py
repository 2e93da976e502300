"""Rows without labels from a second file, and labels that are hidden by class."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, fingerprint, load
from softtargets.data.sources import image_paths
from softtargets.runs.spec import RunSpec
from softtargets.train.execute import resolve


def loaded(path: Path | str, **values: Any) -> Dataset:
    return load(DataSpec.parse({"name": path, "test": 0.25, "validation": 0.25, **values}))


def refused(text: str, path: Path | str, **values: Any) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        loaded(path, **values)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f"{row},{row % 3},{'ab'[row % 2]}" for row in range(40)]
    (tmp_path / "set.csv").write_text("\n".join(["x,y,label", *rows]) + "\n")
    return tmp_path / "set.csv"


@pytest.fixture
def more(tmp_path: Path) -> Path:
    (tmp_path / "more.csv").write_text("y,x,note\n0,100,a\n1,101,\n2,102,c\n")
    return tmp_path / "more.csv"


def test_rows_of_a_second_file_join_the_training_split_alone(table: Path, more: Path) -> None:
    plain, data = loaded(table), loaded(table, unlabelled_file=more)
    for name in ("validation", "test"):
        assert torch.equal(data.splits[name], plain.splits[name])
    assert torch.equal(data.labelled_train, plain.splits["train"])
    added = data.splits["train"][len(plain.splits["train"]) :]
    assert data.inputs[added].tolist() == [[100.0, 0.0], [101.0, 1.0], [102.0, 2.0]]
    assert data.labelled is not None
    assert int((~data.labelled).sum()) == 3
    assert data.unlabelled_counts == {"hidden": 0, "missing": 3}
    assert data.class_counts == plain.class_counts
    assert data.hidden is None


def test_a_label_column_of_the_second_file_is_not_read(table: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": ["?", "b"], "x": [5.0, 6.0], "y": [0, 1]}), tmp_path / "more.parquet")
    data = loaded(table, unlabelled_file=tmp_path / "more.parquet")
    assert data.class_names == ("a", "b")
    assert data.unlabelled_counts == {"hidden": 0, "missing": 2}
    # missing labels in the first file are still an error, unless the specification allows them
    table.write_text(table.read_text() + "41,1,\n")
    refused("a missing label in set.csv, row 40; fix or drop that row; a run with data.unlabelled = 0.0", table)
    refused("a missing label in set.csv, row 40", table, unlabelled_file=tmp_path / "more.parquet")
    both = loaded(table, unlabelled_file=tmp_path / "more.parquet", unlabelled=0.0)
    assert both.unlabelled_counts == {"hidden": 0, "missing": 3}


def test_the_content_of_the_second_file_and_not_its_path_is_part_of_the_identity(table: Path, more: Path) -> None:
    def identity(path: Path | None) -> str:
        data = {"name": str(table), **({} if path is None else {"unlabelled_file": str(path)})}
        run = RunSpec.parse({"data": data, "model": {"name": "mlp"}, "training": {"epochs": 1}})
        return resolve(run, fingerprint(run.data)).identity

    moved = more.with_name("moved.csv")
    moved.write_bytes(more.read_bytes())
    assert identity(more) == identity(moved) != identity(None)
    moved.write_text(moved.read_text() + "1,7,\n")
    assert identity(more) != identity(moved)


def test_texts_with_a_second_file(tmp_path: Path) -> None:
    lines = [f"{'good' if row % 2 else 'bad'} {row},{row % 2}" for row in range(20)]
    (tmp_path / "set.csv").write_text("\n".join(["text,label", *lines]))
    (tmp_path / "more.csv").write_text("text\ngood day\n")
    data = loaded(tmp_path / "set.csv", unlabelled_file=tmp_path / "more.csv")
    assert data.texts is not None
    assert data.texts[-1] == "good day"
    assert data.unlabelled_counts["missing"] == 1


def _images(folder: Path, png: Callable[..., bytes], names: list[str], size: tuple[int, int] = (4, 4)) -> Path:
    for value, name in enumerate(names):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(10 * value + len(name), size))
    return folder


@pytest.mark.parametrize("settings", [{}, {"stream": True, "size": 4, "workers": 0}])
def test_images_of_a_second_folder(tmp_path: Path, png: Callable[..., bytes], settings) -> None:
    own = _images(tmp_path / "own", png, [f"{'cat' if row % 2 else 'dog'}/{row}" for row in range(12)])
    more = _images(tmp_path / "more", png, ["one", "two", "three"])
    spec = DataSpec.parse({"name": own, "test": 0.25, "validation": 0, "unlabelled_file": more, **settings})
    cache = tmp_path / "cache"
    for _ in range(2):
        data = load(spec, cache=cache)
        assert data.class_names == ("cat", "dog")
        added = data.splits["train"][-3:]
        if isinstance(data.inputs, torch.Tensor):
            assert data.inputs[added].amax((1, 2, 3)).tolist() == [3, 25, 13]  # one, three, two
        else:
            (batch,) = data.inputs.batches([added], None, None, torch.device("cpu"))
            assert batch.shape == (3, 1, 4, 4)
    assert [Path(path).stem for path in (image_paths(spec) or ())[-3:]] == ["one", "three", "two"]
    # folders of classes are read without their classes
    again = load(spec.changed(unlabelled_file=str(own)))
    assert again.unlabelled_counts == {"hidden": 0, "missing": 12}
    if not settings:
        wide = _images(tmp_path / "wide", png, ["w"], (4, 6))
        refused("image: images of one size, 4x4 as the first; got 6x4", own, unlabelled_file=wide)
        (tmp_path / "t.csv").write_text("x\n1\n")
        refused(
            "data.unlabelled_file: images in files, as in 'own'; got the table t.csv",
            own,
            unlabelled_file=tmp_path / "t.csv",
        )


def test_images_of_a_second_parquet_file(tmp_path: Path, png: Callable[..., bytes], write_images) -> None:
    write_images(tmp_path / "set.parquet", [png(value) for value in range(8)], [0, 1] * 4)
    cells = pa.array([{"bytes": png(200), "path": None}], pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    pq.write_table(pa.table({"image": cells}), tmp_path / "more.parquet")
    data = loaded(tmp_path / "set.parquet", unlabelled_file=tmp_path / "more.parquet")
    assert int(data.inputs[-1].max()) == 200
    assert int(data.splits["train"][-1]) == 8
    folder = _images(tmp_path / "loose", png, ["a"], (2, 3))
    assert loaded(tmp_path / "set.parquet", unlabelled_file=folder).unlabelled_counts["missing"] == 1


def test_what_does_not_fit_is_refused_in_one_sentence(table: Path, tmp_path: Path, png: Callable[..., bytes]) -> None:
    (tmp_path / "z.csv").write_text("x,z\n1,2\n")
    text = (
        "data.unlabelled_file: the columns of set.csv, which are x, y; got none of 'y' in z.csv (x, z); add or rename"
    )
    refused(text, table, unlabelled_file=tmp_path / "z.csv")
    refused("data.unlabelled_file: an existing file or folder; got", table, unlabelled_file=tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("x,y\n")
    refused(
        "data.unlabelled_file: at least one row in every file; got none in empty.csv",
        table,
        unlabelled_file=tmp_path / "empty.csv",
    )
    (tmp_path / "nothing").mkdir()
    refused("data.unlabelled_file: a folder with train.parquet", table, unlabelled_file=tmp_path / "nothing")
    (tmp_path / "blank.csv").write_text("")
    refused("data.unlabelled_file: at least one row", table, unlabelled_file=tmp_path / "blank.csv")
    for name in ("train", "test"):
        (tmp_path / "split").mkdir(exist_ok=True)
        (tmp_path / "split" / f"{name}.csv").write_text("x,y\n1,2\n")
    refused("a test split in", table, unlabelled_file=tmp_path / "split")
    loaded(table, unlabelled_file=tmp_path / "split" / "train.csv")
    images = _images(tmp_path / "images", png, ["a"])
    refused("data.unlabelled_file: the columns of set.csv; got images", table, unlabelled_file=images)
    refused("unlabelled_file: left out for the digits", "digits", unlabelled_file=table)


def test_many_columns_are_listed_in_part(tmp_path: Path) -> None:
    lines = [",".join((*map(str, range(row, row + 9)), "ab"[row % 2])) for row in range(8)]
    (tmp_path / "set.csv").write_text("\n".join(("a,b,c,d,e,f,g,h,i,label", *lines)))
    (tmp_path / "z.csv").write_text("a,q\n1,2\n")
    text = (
        "data.unlabelled_file: the columns of set.csv, which are a, b, c, d, e and 4 others; "
        "got none of 'b', 'c', 'd', 'e', 'f' and 3 others in z.csv (a, q); add or rename columns"
    )
    refused(text, tmp_path / "set.csv", unlabelled_file=tmp_path / "z.csv")


def test_a_number_of_labels_of_each_class_is_kept_and_nested(table: Path, more: Path) -> None:
    few, many = loaded(table, labelled_per_class=2), loaded(table, labelled_per_class=5)
    plain = loaded(table)
    assert few.class_counts["train"] == [2, 2]
    assert many.class_counts["train"] == [5, 5]
    assert set(few.labelled_train.tolist()) < set(many.labelled_train.tolist())
    for data, count in ((few, 4), (many, 10)):
        assert torch.equal(data.labels, plain.labels)
        assert {name: rows.tolist() for name, rows in data.splits.items()} == {
            name: rows.tolist() for name, rows in plain.splits.items()
        }
        hidden = len(plain.splits["train"]) - count
        assert data.unlabelled_counts == {"hidden": hidden, "missing": 0}
        assert data.hidden is not None
        assert data.labelled is not None
        assert torch.equal(data.hidden, ~data.labelled)
        for name in ("validation", "test"):
            assert not bool(data.hidden[data.splits[name]].any())
    assert not torch.equal(loaded(table, labelled_per_class=2, split_seed=1).labelled_train, few.labelled_train)
    assert loaded(table, labelled_per_class=1000).class_counts == plain.class_counts
    both = loaded(table, labelled_per_class=2, unlabelled_file=more)
    assert both.unlabelled_counts == {"hidden": len(plain.splits["train"]) - 4, "missing": 3}
    with pytest.raises(InputError, match=r"unlabelled: 0, or left out, with labelled_per_class; got 0\.5"):
        DataSpec.parse({"name": "x", "labelled_per_class": 3, "unlabelled": 0.5})
