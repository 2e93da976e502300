"""Votes: shares of counts, probabilities or annotators' labels, in files of every form."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from softtargets._errors import InputError
from softtargets.objectives import OBJECTIVES, Batch, Objective, ObjectiveContext, TrainingData

CLASSES = ("cat", "dog", "car")
COUNTS = [[3, 1, 0], [0, 2, 2], [0, 0, 5], [1, 1, 2]]
SHARES = torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [0.25, 0.25, 0.5]], dtype=torch.float64)
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def _started(path: Path, **spec) -> Objective:
    # rows 2 to 5 of six are the data set's own training part; 3 and 5 are in the training split
    labels = torch.zeros(6, dtype=torch.int64)
    data = TrainingData(CLASSES, (4,), labels, torch.tensor([3, 5]), torch.arange(2, 6))
    objective = OBJECTIVES["votes"].parse({"name": "votes", "file": str(path), **spec})
    return objective.started(ObjectiveContext(6, 3, data=data))


def _targets(path: Path, **spec) -> torch.Tensor:
    ids = torch.arange(2, 6)
    made = _started(path, **spec).prepare(Batch(torch.zeros(4, 4), ids * 0, ids), torch.Generator()).targets
    assert made is not None
    return made.to_dense(3).double()


def _csv(path: Path, header: list[str], rows: list[list]) -> Path:
    path.write_text("".join(",".join(map(str, line)) + "\n" for line in [header, *rows]))
    return path


def test_a_column_for_each_class(tmp_path) -> None:
    named = _csv(tmp_path / "a.csv", ["car", "cat", "note", "dog"], [[row[2], row[0], "x", row[1]] for row in COUNTS])
    assert torch.equal(_targets(named), SHARES)
    numbered = _csv(tmp_path / "b.csv", ["v0", "v1", "v2"], COUNTS)
    assert torch.equal(_targets(numbered, columns=["v0", "v1", "v2"]), SHARES)
    table = pa.table({name: [row[k] / 8 for row in COUNTS] for k, name in enumerate(CLASSES)})
    pq.write_table(table, tmp_path / "c.parquet")
    assert torch.equal(_targets(tmp_path / "c.parquet"), SHARES)


def test_a_column_of_lists_and_lists_of_json(tmp_path) -> None:
    pq.write_table(pa.table({"votes": COUNTS}), tmp_path / "train.parquet")
    assert torch.equal(_targets(tmp_path / "train.parquet", columns=["votes"]), SHARES)
    assert torch.equal(_targets(tmp_path, columns=["votes"]), SHARES), "a folder stands for its training file"
    listed, named = tmp_path / "a.json", tmp_path / "b.json"
    listed.write_text(json.dumps(COUNTS))
    named.write_text(json.dumps([{name: n for name, n in zip(CLASSES, row, strict=True) if n} for row in COUNTS]))
    assert torch.equal(_targets(listed), SHARES)
    assert torch.equal(_targets(named), SHARES)


def test_a_label_of_each_annotator(tmp_path) -> None:
    annotators = ["one", "two", "three"]
    rows = [["cat", "cat", "dog"], ["1", "2", "dog"], ["car", -1, "car"], [2, 2, 2]]
    expected = torch.tensor([[2 / 3, 1 / 3, 0], [0, 2 / 3, 1 / 3], [0, 0, 1], [0, 0, 1]], dtype=torch.float64)
    found = _targets(_csv(tmp_path / "a.csv", annotators, rows), annotators=annotators)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    table = pa.table({"one": [0, 1, 2, 2], "two": [0, 2, None, 2], "three": [1, 1, 2, 2]})
    pq.write_table(table, tmp_path / "b.parquet")
    found = _targets(tmp_path / "b.parquet", annotators=annotators)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_a_pseudo_count_smooths_the_shares(tmp_path) -> None:
    found = _targets(_csv(tmp_path / "a.csv", list(CLASSES), COUNTS), pseudo_count=2.0)
    counts = torch.tensor(COUNTS, dtype=torch.float64) + 2
    torch.testing.assert_close(found, counts / counts.sum(1, keepdim=True), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("header", "rows", "spec", "text"),
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
            r"a vote in every row; got none in .*a\.csv, row 3; add a vote, or set pseudo_count",
        ),
        (
            CLASSES,
            [*COUNTS[:3], [1, -1, 0]],
            {},
            r"finite numbers of at least 0; got -1 in .*a\.csv, row 3, class 'dog'; fix",
        ),
        (
            CLASSES,
            [*COUNTS[:3], [1, "x", 0]],
            {},
            r"a number in every row; got 'x' in .*a\.csv, row 3, column 'dog'; fix",
        ),
        (("cat", "dog", "bus"), COUNTS, {}, r"a column 'car'; got cat, dog, bus in .*a\.csv; did you mean 'cat'\?"),
        (CLASSES, COUNTS, {"columns": ["cat", "dgo", "car"]}, r"a column 'dgo'; got .*; did you mean 'dog'\?"),
        (CLASSES, COUNTS, {"columns": ["cat", "dog"]}, r"3 numbers for each example, one for each class; got 4 x 2 in"),
        (
            CLASSES,
            COUNTS,
            {"annotators": ["cat", "dog"]},
            r"below 3, or class names; got 3 in .*a\.csv, row 0, column 'cat'; fix",
        ),
        (CLASSES, COUNTS, {"annotators": ["cap"]}, r"a column 'cap'; got .*; did you mean 'ca[rt]'\?"),
    ],
)
def test_bad_votes_are_refused_by_file_row_and_class(tmp_path, header, rows, spec, text) -> None:
    path = _csv(tmp_path / "a.csv", list(header), rows)
    with pytest.raises(InputError, match=rf"^objective\.file: .*{text}"):
        _started(path, **spec)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            [*COUNTS[:3], [1, 2]],
            r"3 numbers for each example, one for each class; got 2 in .*a\.json, row 3; fix that row",
        ),
        (
            [*COUNTS[:3], {"cat": 1, "dgo": 2}],
            r"classes of the data set; got 'dgo' in .*a\.json, row 3; did you mean 'dog'\?",
        ),
        ([*COUNTS[:3], [1, None, 2]], r"in row 3; write a list of lists of numbers"),
        ([*COUNTS[:3], [1, 10**400, 2]], r"got a whole number of more than 308 digits; write smaller numbers"),
        ({"cat": 1}, r"got \{'cat': 1\}; write a list of lists of numbers"),
    ],
)
def test_bad_json_is_refused_by_row(tmp_path, content, text) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"^objective\.file: .*{text}"):
        _started(tmp_path / "a.json")


def test_the_three_annotators_of_cifar_10n() -> None:
    path = SHARED / "cifar10n"
    if not path.exists():
        pytest.skip("needs cifar10n in ../shared/data beside the repository")
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    rows = torch.arange(50_000)
    data = TrainingData(tuple(names), (3, 32, 32), rows % 10, rows, rows)
    annotators = ["random_label1", "random_label2", "random_label3"]
    objective = OBJECTIVES["votes"].parse({"name": "votes", "file": str(path), "annotators": annotators})
    trained = objective.started(ObjectiveContext(50_000, 10, data=data))
    made = trained.prepare(Batch(torch.zeros(50_000, 1), rows % 10, rows), torch.Generator()).targets
    assert made is not None
    shares = made.to_dense(10).double()
    columns = pq.read_table(path / "train.parquet")
    labels = torch.tensor([columns[name].to_pylist() for name in annotators]).T
    expected = torch.nn.functional.one_hot(labels, 10).double().mean(1)
    torch.testing.assert_close(shares, expected, rtol=1e-6, atol=1e-7)
