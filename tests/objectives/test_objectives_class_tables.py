"""Class tables by name: the targets against the tables written out, and what is refused, with file, row and class."""

import json
import math

import pytest
import torch
from pydantic import TypeAdapter

from softtargets._errors import InputError
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext, TrainingData

CLASSES = ("cat", "dog", "car")
TEXTS = ("purr meow pet", "bark pet walk", "wheel road", "meow pet", "bark walk", "road wheel engine")
TABLE = [[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]]


def _data(**changes) -> TrainingData:
    settings = {
        "class_names": CLASSES,
        "input_shape": (5,),
        "labels": torch.tensor([0, 1, 2, 0, 1, 2]),
        "train": torch.arange(5),
        "source": torch.arange(6),
        "texts": TEXTS,
    }
    return TrainingData(**{**settings, **changes})


def _started(spec: dict, data: TrainingData | None = None) -> Objective:
    context = ObjectiveContext(6, 3, data=data or _data())
    return TypeAdapter(AnyObjective).validate_python(spec).started(context)


def _targets(spec: dict, data: TrainingData | None = None) -> torch.Tensor:
    batch = Batch(torch.zeros(3, 5), torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]))
    made = _started(spec, data).prepare(batch, torch.Generator()).targets
    assert made is not None
    return made.to_dense(3).double()


def _written(path, rows: list[list], header: list[str]) -> str:
    lines = [header, *rows]
    path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return str(path)


def test_a_table_may_be_in_the_specification_or_in_a_file(tmp_path) -> None:
    expected = torch.tensor(TABLE, dtype=torch.float64)
    in_order = _written(tmp_path / "order.csv", TABLE, list(CLASSES))
    # columns and rows are found by name
    shuffled = [["car", 0.0, 1.0, 0.0], ["cat", 0.8, 0.0, 0.2], ["dog", 0.1, 0.0, 0.9]]
    by_name = _written(tmp_path / "name.csv", shuffled, ["class", "cat", "car", "dog"])
    listed = tmp_path / "table.json"
    listed.write_text(json.dumps(TABLE))
    for table in (TABLE, in_order, by_name, str(listed)):
        torch.testing.assert_close(_targets({"name": "class_table", "table": table}), expected, rtol=1e-6, atol=1e-7)


def test_an_array_file_holds_a_table(tmp_path) -> None:
    import numpy as np

    np.savez(tmp_path / "table.npz", table=np.array(TABLE))
    found = _targets({"name": "class_table", "table": str(tmp_path / "table.npz")})
    torch.testing.assert_close(found, torch.tensor(TABLE, dtype=torch.float64), rtol=1e-6, atol=1e-7)


def test_weights_that_are_no_probabilities_need_permission() -> None:
    table = [[1.2, -0.2, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]
    found = _targets({"name": "class_table", "table": table, "strict": False})
    torch.testing.assert_close(found, torch.tensor(table, dtype=torch.float64), rtol=1e-6, atol=1e-7)
    with pytest.raises(
        InputError, match=r"^objective\.table: numbers of at least 0.*got -0\.2 in the row of 'cat', column of 'dog'"
    ):
        _targets({"name": "class_table", "table": table})
    with pytest.raises(
        InputError, match=r"^objective\.table: rows that sum to 1.*got 0\.9 in the row of 'dog'; fix that row"
    ):
        _targets({"name": "class_table", "table": [TABLE[0], [0.0, 0.9, 0.0], TABLE[2]]})


@pytest.mark.parametrize(
    ("header", "rows", "text"),
    [
        (["cat", "dog", "kar"], TABLE, r"a column 'car'; got cat, dog, kar in .*t\.csv; did you mean 'kar'\?"),
        (["cat", "dog", "car"], TABLE[:2], r"3 rows of 3 numbers.*got 2 x 3 in .*t\.csv; give one row"),
        (["cat", "dog", "car"], [*TABLE[:2], [0, "x", 1]], r"a number.*got 'x' in .*t\.csv, row 2, column 'dog'; fix"),
        (
            ["cat", "dog", "car"],
            [*TABLE[:2], [0, "inf", 1]],
            r"finite numbers; got inf in .*, row of 'car', column of 'dog'",
        ),
        (
            ["class", "cat", "dog", "car"],
            [["cat", *TABLE[0]], ["cat", *TABLE[1]], ["car", *TABLE[2]]],
            r"every class in one row; got 'cat' twice in .*t\.csv, row 1; drop one",
        ),
        (
            ["class", "cat", "dog", "car"],
            [["cat", *TABLE[0]], ["dogs", *TABLE[1]], ["car", *TABLE[2]]],
            r"got 'dogs' in .*t\.csv, row 1, column 'class'; did you mean 'dog'\?",
        ),
    ],
)
def test_a_bad_table_is_refused_by_file_row_and_class(tmp_path, header, rows, text) -> None:
    path = _written(tmp_path / "t.csv", rows, header)
    with pytest.raises(InputError, match=rf"^objective\.table: .*{text}"):
        _started({"name": "class_table", "table": path})


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("t.json", "[[1, 0", r"valid JSON; got .*t\.json: "),
        ("t.json", "[[1, 0], [0]]", r"1 numbers in row 1, 2 before; fix that row"),
        ("t.json", '[["a", 0], [0, 1]]', r"in row 0; write a list of lists of numbers"),
        ("t.json", "3", r"got 3; write a list of lists of numbers"),
        ("t.txt", "1 2", r"a file of type \.csv, .*\.json; got '.*t\.txt'"),
        ("t.npz", "no archive", r"a file that can be read; got .*t\.npz: "),
    ],
)
def test_a_file_that_holds_no_table_is_refused(tmp_path, file, content, text) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=rf"^objective\.table: .*{text}"):
        _started({"name": "class_table", "table": str(tmp_path / file)})


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path) -> None:
    (tmp_path / "table.csv").write_text("")
    with pytest.raises(
        InputError, match=r"^objective\.table: an existing file; got '.*tabel\.csv'; did you mean '.*table\.csv'\?"
    ):
        _started({"name": "class_table", "table": str(tmp_path / "tabel.csv")})
    with pytest.raises(
        InputError, match=r"^objective\.table: a file, or a folder with train\.parquet or train\.csv; got"
    ):
        _started({"name": "class_table", "table": str(tmp_path)})


def test_the_distances_of_a_hierarchy_are_heights_of_common_ancestors(tmp_path) -> None:
    tree = {"animal": ["cat", "dog"], "thing": ["car"]}
    near, far = math.exp(-2.0), math.exp(-4.0)  # half of the height of the tree, and all of it
    weights = torch.tensor([[1, near, far], [near, 1, far], [far, far, 1]], dtype=torch.float64)
    expected = weights / weights.sum(1, keepdim=True)
    toml, listed = tmp_path / "tree.toml", tmp_path / "tree.json"
    toml.write_text("animal = ['cat', 1]\nthing = ['car']\n")
    listed.write_text(json.dumps(tree))
    for hierarchy in (tree, str(toml), str(listed)):
        spec = {"name": "hierarchical_smoothing", "hierarchy": hierarchy, "sharpness": 4.0}
        torch.testing.assert_close(_targets(spec), expected, rtol=1e-6, atol=1e-7)
    distance = [[0.0, 0.5, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]]
    spec = {"name": "hierarchical_smoothing", "distance": distance, "sharpness": 4.0}
    torch.testing.assert_close(_targets(spec), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (
            {"a": ["cat", "dgo"], "b": ["car"]},
            r"classes of the data set; got 'dgo' in a of the specification; did you mean 'dog'\?",
        ),
        ({"a": ["cat", 3], "b": ["car"]}, r"class indices of at least 0 and below 3; got 3 in a of the specification"),
        (
            {"a": ["cat"], "b": {"c": ["car"]}},
            r"every class of the data set in the hierarchy; got no place for 'dog' in",
        ),
        ({"a": ["cat"]}, r"got no place for 'dog' and 1 others in the specification; add it"),
        (
            {"a": ["cat", "dog"], "b": {"c": ["car", "cat"]}},
            r"every class in one place; got 'cat' in a and in b\.c of the specification; drop",
        ),
        ({"a": ["cat", "dog", "cat"], "b": ["car"]}, r"every class in one place; got 'cat' in a"),
    ],
)
def test_a_bad_hierarchy_is_refused_by_branch_and_class(tree, text) -> None:
    with pytest.raises(InputError, match=rf"^objective\.hierarchy: .*{text}"):
        _started({"name": "hierarchical_smoothing", "hierarchy": tree})


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("t.toml", "a = [", r"valid TOML; got .*t\.toml: "),
        ("t.csv", "a,b", r"a \.toml or \.json file; got '.*t\.csv'"),
        ("t.json", "[1, 2", r"valid JSON; got .*t\.json: "),
        ("t.toml", "a = ['cat', 'dog']\nb = ['bus']", r"got 'bus' in b of .*t\.toml; use the names"),
        ("t.toml", "a = 'cat'", r"got 'cat' in .*t\.toml\.a; write a list of classes there"),
    ],
)
def test_a_bad_file_of_a_hierarchy_is_refused(tmp_path, file, content, text) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=rf"^(objective\.)?hierarchy: .*{text}"):
        _started({"name": "hierarchical_smoothing", "hierarchy": str(tmp_path / file)})


def test_neighbours_and_confusions_share_the_smoothing() -> None:
    expected = torch.tensor([[0.7, 0.3, 0.0], [0.15, 0.7, 0.15], [0.0, 0.3, 0.7]], dtype=torch.float64)
    localized = {"name": "localized_smoothing", "smoothing": 0.3}
    torch.testing.assert_close(_targets(localized), expected, rtol=1e-6, atol=1e-7)
    expected = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.7, 0.2], [0.15, 0.15, 0.7]], dtype=torch.float64)
    confusion = {"name": "confusion_smoothing", "smoothing": 0.3, "counts": [[9, 4, 0], [1, 5, 2], [0, 0, 6]]}
    torch.testing.assert_close(_targets(confusion), expected, rtol=1e-6, atol=1e-7)


def test_facts_about_the_data_are_required() -> None:
    with pytest.raises(
        InputError, match=r"^context\.data: the training data, which 'class_table' uses; got None; pass"
    ):
        TypeAdapter(AnyObjective).validate_python({"name": "class_table", "table": TABLE}).started(
            ObjectiveContext(6, 3)
        )
