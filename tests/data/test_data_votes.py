"""Votes as labels: counts, probabilities and annotators, in the columns of a data set or in a file of their own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, fingerprint, load

CLASSES = ("cat", "dog", "car")
COUNTS = [[3, 1, 0], [0, 2, 2], [0, 0, 5], [1, 1, 2], [4, 0, 0], [2, 2, 1]]
# the first of several most frequent classes
MAJORITY = [0, 1, 2, 2, 0, 0]
ANNOTATORS = ["ann", "bob", "cleo"]
GIVEN = [["cat", "cat", "dog"], ["dog", "car", ""], ["car", "car", "car"], ["dog", "", ""], ["", "car", "cat"]]
GIVEN_COUNTS = [[0, 2, 1], [1, 0, 1], [3, 0, 0], [0, 0, 1], [1, 1, 0]]
WHOLE = {"validation": 0, "test": 0}
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def _csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    path.write_text("".join(",".join(map(str, line)) + "\n" for line in [header, *rows]))
    return str(path)


def _table(folder: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Write a CSV file with a feature, these columns and a column of labels that is not to be read."""
    lines = [[place, *row, f"label {place}"] for place, row in enumerate(rows)]
    return _csv(folder / "table.csv", ["x", *header, "label"], lines)


def _load(name: str, **settings: Any) -> Dataset:
    return load(DataSpec.parse({"name": name, **WHOLE, **settings}))


def _votes(dataset: Dataset) -> list[list[float]]:
    assert dataset.votes is not None
    return dataset.votes.tolist()


def test_a_column_for_each_class(tmp_path) -> None:
    found = _load(_table(tmp_path, [f"votes_{name}" for name in CLASSES], COUNTS), votes="votes")
    assert found.class_names == CLASSES
    assert _votes(found) == COUNTS
    assert found.labels.tolist() == MAJORITY
    assert found.columns == ("x",), "neither the votes nor the label are features"
    listed = _load(_table(tmp_path, CLASSES, COUNTS), votes="car,cat,dog")
    assert listed.class_names == ("car", "cat", "dog")
    assert _votes(listed) == [[car, cat, dog] for cat, dog, car in COUNTS]
    numbered = _load(_table(tmp_path, ["v_1", "v_0"], [[1, 3], [4, 0]]), votes="v")
    assert numbered.class_names == ("0", "1")
    assert _votes(numbered) == [[3, 1], [0, 4]]


def test_probabilities_and_columns_of_lists(tmp_path) -> None:
    shares = [[count / sum(row) for count in row] for row in COUNTS]
    for content in (shares, COUNTS):
        pq.write_table(pa.table({"x": range(len(content)), "soft": content}), tmp_path / "a.parquet")
        found = _load(str(tmp_path / "a.parquet"), votes="soft")
        assert found.votes is not None
        torch.testing.assert_close(found.votes, torch.tensor(content, dtype=torch.float32))
        assert found.class_names == ("0", "1", "2")
        assert found.labels.tolist() == MAJORITY
    text = _csv(tmp_path / "b.csv", ["x", "soft"], [[place, f'"{row}"'] for place, row in enumerate(COUNTS)])
    assert _votes(_load(text, votes="soft")) == COUNTS


def test_a_column_of_labels_for_each_annotator(tmp_path) -> None:
    found = _load(_table(tmp_path, ANNOTATORS, GIVEN), annotators=ANNOTATORS)
    assert found.class_names == ("car", "cat", "dog"), "names are sorted, as those of labels"
    assert _votes(found) == GIVEN_COUNTS
    assert found.labels.tolist() == [1, 0, 0, 2, 0]
    assert found.columns == ("x",)
    numbers = [[0, 1, -1], [1, 1, 0], [-1, -1, 0]]
    assert _votes(_load(_table(tmp_path, ANNOTATORS, numbers), annotators=ANNOTATORS)) == [[1, 1], [1, 2], [1, 0]]
    cells = {"ann": [0, None, 1], "bob": [1, 1, None], "x": [0.5, 1.5, 2.5]}
    pq.write_table(pa.table(cells), tmp_path / "a.parquet")
    found = _load(str(tmp_path / "a.parquet"), annotators=["ann", "bob"])
    assert _votes(found) == [[1, 1], [0, 1], [0, 1]]


def test_images_that_a_table_names_with_their_votes(tmp_path) -> None:
    rows = []
    for place, counts in enumerate(COUNTS):
        Image.new("L", (4, 4), 40 * place).save(tmp_path / f"{place}.png")
        rows.append([f"{place}.png", *counts])
    table = _csv(tmp_path / "images.csv", ["file", *(f"votes_{name}" for name in CLASSES)], rows)
    found = _load(table, image="file", votes="votes")
    assert found.is_image
    assert _votes(found) == COUNTS
    assert found.inputs[:, 0, 0, 0].tolist() == [40 * place for place in range(len(COUNTS))]
    before = fingerprint(DataSpec(name=table, image="file", votes="votes"))
    rows[0][1] = 9
    _csv(tmp_path / "images.csv", ["file", *(f"votes_{name}" for name in CLASSES)], rows)
    assert fingerprint(DataSpec(name=table, image="file", votes="votes")) != before


def test_splits_of_files_and_a_cached_copy(tmp_path) -> None:
    folder, cache = tmp_path / "data", tmp_path / "cache"
    folder.mkdir()
    header = ["x", *(f"votes_{name}" for name in CLASSES)]
    for split, rows in (("train", COUNTS[:4]), ("test", COUNTS[4:])):
        _csv(folder / f"{split}.csv", header, [[1, *row] for row in rows])
    spec = DataSpec.parse({"name": str(folder), "votes": "votes", "validation": 0})
    for _ in range(2):  # decoded, and from the cache
        found = load(spec, cache=cache)
        assert found.votes is not None
        assert found.votes[found.splits["train"]].tolist() == COUNTS[:4]
        assert found.votes[found.splits["test"]].tolist() == COUNTS[4:]
    other = load(spec.changed(votes="votes_cat,votes_dog,votes_car"), cache=cache)
    assert other.class_names == ("votes_cat", "votes_dog", "votes_car"), "another way of reading is another copy"


def test_a_class_without_a_majority_is_kept(tmp_path) -> None:
    found = _load(_table(tmp_path, ["v_a", "v_b", "v_c"], [[3, 1, 1], [1, 3, 0]]), votes="v")
    assert found.class_names == ("a", "b", "c")
    with pytest.raises(InputError, match=r"^label: at least one training example of every class; got none of class 2"):
        _load(_table(tmp_path, ["v_a", "v_b", "v_c"], [[3, 1, 0], [1, 3, 0]]), votes="v")


def test_votes_for_classes_that_are_left_out_are_left_out(tmp_path) -> None:
    found = _load(
        _table(tmp_path, [f"votes_{name}" for name in CLASSES], COUNTS), votes="votes", classes=["cat", "car"]
    )
    assert found.class_names == ("cat", "car")
    assert _votes(found) == [[3, 0], [0, 5], [1, 2], [4, 0], [2, 1]], "the row whose first majority is 'dog' is gone"
    assert found.labels.tolist() == [0, 1, 1, 0, 0]


BAD = {
    (1, -1, 0): r"votes or probabilities of at least 0; got -1 at .*table\.csv, row 1, class 1; fix or drop that row",
    (0, 0, 0): r"at least one vote in every row; got none at .*table\.csv, row 1; fix or drop that row",
    (0.5, 0.1, 0.1): r"probabilities that sum to 1; got a sum of 0\.7 at .*table\.csv, row 1; divide the row",
    (1, "", 1): r"a number for each class in every row; got nothing at .*table\.csv, row 1, class 1; fix or drop",
    (1, "x", 1): r"a number in every row; got 'x' in table\.csv, row 1, column 'votes_dog'; fix that row",
}


@pytest.mark.parametrize(("row", "text"), BAD.items(), ids=str)
def test_bad_votes_are_named_by_their_row(tmp_path, row, text) -> None:
    path = _table(tmp_path, [f"votes_{name}" for name in CLASSES], [COUNTS[0], row, *COUNTS[2:]])
    with pytest.raises(InputError, match=rf"^votes: .*{text}"):
        _load(path, votes="votes")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"votes": "vots"}, r"^votes: one of the columns of table\.csv: .*; got 'vots'"),
        ({"votes": "votes_cat,votes_dgo"}, r"^votes: .*; got 'votes_dgo'; did you mean 'votes_dog'\?"),
        ({"votes": "votes_cat"}, r"^votes: at least 2 classes; got 1 in table\.csv"),
        ({"votes": "votes", "num_classes": 4}, r"^num_classes: 3, .*; got 4"),
        ({"votes": "votes", "features": ["x", "votes_cat"]}, r"^votes: other columns than those .*'votes_cat' in both"),
        ({"annotators": ["votes_cat", "bob"]}, r"^annotators: one of the columns of table\.csv: .*; got 'bob'"),
        ({"votes": "votes", "annotators": ["x", "y"]}, r"^data: votes: either this or annotators; got both"),
        ({"annotators": ["x", "x"]}, r"^data: annotators: each column once"),
        ({"votes": "votes", "unlabelled": 0.5}, r"^data: unlabelled: left out with votes, which every row needs"),
        ({"votes": "votes", "unlabelled_file": "b.csv"}, r"^data: unlabelled_file: left out with votes"),
    ],
)
def test_columns_and_settings_that_do_not_fit(tmp_path, settings, text) -> None:
    path = _table(tmp_path, [f"votes_{name}" for name in CLASSES], COUNTS)
    with pytest.raises(InputError, match=text):
        load(DataSpec.parse({"name": path, **WHOLE, **settings}, source="data"))


def test_bad_labels_of_annotators(tmp_path) -> None:
    for cell, text in (("-2", "at least 0; got -2 in"), ("1.5", "got 1.5 in"), ("dog", "got 'dog' in")):
        path = _table(tmp_path, ANNOTATORS, [[0, 1, 0], [1, cell, ""]])
        with pytest.raises(InputError, match=rf"^annotators: .*{text}.*row 1, column 'bob'"):
            _load(path, annotators=ANNOTATORS)
    with pytest.raises(InputError, match=r"^annotators: at least one vote in every row; got none at .*row 1"):
        _load(_table(tmp_path, ANNOTATORS, [[0, 1, 0], ["", -1, ""]]), annotators=ANNOTATORS)


# ---- a file of its own ----


@pytest.fixture
def labelled(tmp_path) -> str:
    """Return a folder of a data set with labels: four training rows and two test rows."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    for split, labels in (("train", ("cat", "cat", "dog", "car")), ("test", ("car", "dog"))):
        _csv(folder / f"{split}.csv", ["x", "label"], [[place, label] for place, label in enumerate(labels)])
    return str(folder)


def _beside(labelled: str, path: Path | str, **settings: Any) -> Dataset:
    """Load the labelled data with votes beside them, whose classes are car, cat and dog."""
    spec = {"name": labelled, "votes_file": str(path), "validation": 0, **settings}
    return load(DataSpec.parse(spec, source="data"))


def _of_train(dataset: Dataset) -> list[list[float]]:
    """Return the votes of the training rows in the order of `CLASSES`."""
    assert dataset.votes is not None
    return dataset.votes[dataset.splits["train"]][:, [dataset.class_names.index(name) for name in CLASSES]].tolist()


def test_a_file_with_a_column_for_each_class(tmp_path, labelled) -> None:
    rows = [[row[2], row[0], "note", row[1]] for row in COUNTS[:4]]
    path = _csv(tmp_path / "a.csv", ["car", "cat", "x", "dog"], rows)
    found = _beside(labelled, path)
    assert _of_train(found) == COUNTS[:4]
    assert found.votes is not None
    assert found.votes[found.splits["test"]].tolist() == [[1, 0, 0], [0, 0, 1]], "one vote for the label"
    assert [found.class_names[label] for label in found.labels.tolist()] == ["cat", "car", "car", "car", "car", "dog"]
    suffixed = _csv(tmp_path / "b.csv", [f"v_{name}" for name in CLASSES], COUNTS[:4])
    assert _of_train(_beside(labelled, suffixed, votes="v")) == COUNTS[:4]
    in_order = _csv(tmp_path / "c.csv", ["a", "b", "c"], COUNTS[:4])
    assert _beside(labelled, in_order, votes="a,b,c").votes[:4].tolist() == COUNTS[:4]  # pyright: ignore[reportOptionalSubscript]


def test_lists_arrays_and_json(tmp_path, labelled) -> None:
    first = [[row[2], row[0], row[1]] for row in COUNTS[:4]]
    pq.write_table(pa.table({"votes": first}), tmp_path / "train.parquet")
    listed, named = tmp_path / "a.json", tmp_path / "b.json"
    listed.write_text(json.dumps(first))
    named.write_text(json.dumps([{n: c for n, c in zip(CLASSES, row, strict=True) if c} for row in COUNTS[:4]]))
    for found in (
        _beside(labelled, tmp_path / "train.parquet", votes="votes"),
        _beside(labelled, tmp_path, votes="votes"),
        _beside(labelled, listed),
        _beside(labelled, named),
    ):
        assert _of_train(found) == COUNTS[:4]


def test_the_label_of_each_annotator_in_a_file(tmp_path, labelled) -> None:
    rows = [["cat", "cat", "dog"], ["1", "2", "dog"], ["car", -1, "car"], [2, 2, 2]]
    found = _beside(labelled, _csv(tmp_path / "a.csv", ANNOTATORS, rows), annotators=ANNOTATORS)
    assert _of_train(found) == [[2, 1, 0], [1, 2, 0], [0, 0, 2], [0, 3, 0]]


def test_the_file_is_part_of_the_fingerprint_and_its_path_is_not(tmp_path, labelled) -> None:
    spec = DataSpec(name=labelled)
    first, copy, other = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    for path, rows in ((first, COUNTS[:4]), (copy, COUNTS[:4]), (other, COUNTS[1:5])):
        _csv(path, CLASSES, rows)
    prints = [fingerprint(spec.changed(votes_file=str(path))) for path in (first, copy, other)]
    assert prints[0] == prints[1] == _beside(labelled, first).fingerprint
    assert len({fingerprint(spec), prints[0], prints[2]}) == 3


@pytest.mark.parametrize(
    ("header", "rows", "settings", "text"),
    [
        (
            CLASSES,
            COUNTS[:3],
            {},
            r"4 rows, one for each training row of the data set; got 3 in .*a\.csv; give the votes",
        ),
        (
            CLASSES,
            [*COUNTS[:3], [0, 0, 0]],
            {},
            r"at least one vote in every row; got none at .*a\.csv, row 3; fix that",
        ),
        (CLASSES, [*COUNTS[:3], [1, -1, 0]], {}, r"of at least 0; got -1 at .*a\.csv, row 3, class 2; fix that row"),
        (
            CLASSES,
            [*COUNTS[:3], [1, "x", 0]],
            {},
            r"a number in every row; got 'x' in .*a\.csv, row 3, column 'dog'; fix",
        ),
        (("cat", "dog", "bus"), COUNTS[:4], {}, r"a column 'car'; got cat, dog, bus in .*a\.csv; did you mean 'cat'\?"),
        (CLASSES, COUNTS[:4], {"votes": "cat,dgo,car"}, r"a column 'dgo'; got .*; did you mean 'dog'\?"),
        (CLASSES, COUNTS[:4], {"votes": "cat,dog"}, r"3 numbers for each example, one for each class; got 4 x 2 in"),
        (
            ["v_cat", "v_dog", "v_bus"],
            COUNTS[:4],
            {"votes": "v"},
            r"a column for each class, such as 'v_car'; got v_cat",
        ),
        (
            CLASSES,
            COUNTS[:4],
            {"annotators": ["cat", "dog"]},
            r"below 3, or class names; got 3 in .*row 0, column 'cat'",
        ),
        (CLASSES, COUNTS[:4], {"annotators": ["cap", "dog"]}, r"a column 'cap'; got .*; did you mean 'ca[rt]'\?"),
    ],
)
def test_bad_files_are_named_with_row_and_column(tmp_path, labelled, header, rows, settings, text) -> None:
    path = _csv(tmp_path / "a.csv", list(header), rows)
    with pytest.raises(InputError, match=rf"^votes_file: .*{text}"):
        _beside(labelled, path, **settings)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            [*COUNTS[:3], [1, 2]],
            r"3 numbers for each example, one for each class; got 2 in .*a\.json, row 3; fix that row",
        ),
        ([*COUNTS[:3], {"cat": 1, "dgo": 2}], r"classes of the data set; got 'dgo' in .*row 3; did you mean 'dog'\?"),
        ([*COUNTS[:3], [1, None, 2]], r"in row 3; write a list of lists of numbers"),
        ([*COUNTS[:3], [1, 10**400, 2]], r"got a whole number of more than 308 digits; write smaller numbers"),
        ({"cat": 1}, r"got \{'cat': 1\}; write a list of lists of numbers"),
    ],
)
def test_bad_json_is_named_by_row(tmp_path, labelled, content, text) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"^votes_file: .*{text}"):
        _beside(labelled, tmp_path / "a.json")


def test_the_three_annotators_of_cifar_10n(tmp_path) -> None:
    path = SHARED / "cifar10n" / "train.parquet"
    if not path.exists():
        pytest.skip("needs cifar10n in ../shared/data beside the repository")
    names = ["random_label1", "random_label2", "random_label3"]
    table = pq.read_table(path, columns=names).slice(0, 2_000)
    pq.write_table(table.append_column("x", pa.array(range(len(table)))), tmp_path / "a.parquet")
    found = _load(str(tmp_path / "a.parquet"), annotators=names)
    labels = torch.tensor([table[name].to_pylist() for name in names]).T
    assert torch.equal(found.votes, torch.nn.functional.one_hot(labels, 10).sum(1).float())  # pyright: ignore[reportArgumentType]
    disagree = (labels != labels[:, :1]).any(1).float().mean()
    assert 0.2 < float(disagree) < 0.5, "the annotators disagree on a third of the images"
