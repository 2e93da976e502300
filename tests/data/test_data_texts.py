"""Texts: which column they are, their words by hash, and their cache."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.feature_extraction.text import HashingVectorizer

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, fingerprint, load

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
TEXTS = ("My card is lost", "lost, LOST and lost again!", "naïve 東京 ☂", "where is it")


def place(word: str) -> int:
    """Return the place of a word or of a pair of words, from scikit-learn's hash of it alone."""
    options: dict[str, Any] = {"n_features": 4096, "analyzer": lambda text: [text]}
    row: Any = HashingVectorizer(**options).transform([word])
    return int(row.indices[0])


def loaded(path: Path, cache: Path | None = None, **values: Any) -> Dataset:
    return load(DataSpec.model_validate({"name": str(path), "test": 0, "validation": 0, **values}), cache=cache)


def refused(message: str, path: Path, **values: Any) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        loaded(path, **values)


def table(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return table(tmp_path / "set.parquet", text=list(TEXTS), label=["b", "a", "b", "a"])


def test_words_are_counted_by_their_hash(path: Path) -> None:
    data = loaded(path)
    assert data.is_text
    assert not data.is_image
    assert data.texts == TEXTS
    assert (data.input_shape, data.inputs.dtype) == ((4096,), torch.uint8)
    assert data.class_names == ("a", "b")
    expected = torch.zeros(4096)
    for word in ("lost", "lost", "lost", "and", "again", "lost lost", "lost and", "and lost", "lost again"):
        expected[place(word)] += 1
    assert torch.equal(data.inputs[1].float(), expected)
    # two words and their pair; the umbrella is none
    assert int(data.inputs[2].sum()) == 3


def test_counts_end_at_255(tmp_path: Path) -> None:
    data = loaded(table(tmp_path / "set.parquet", text=["so " * 300, "so"], label=[0, 1]))
    assert data.inputs[:, place("so")].tolist() == [255, 1]


def test_csv_with_class_names(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text('text,label\n"Where, oh where?",lost\nhello there,greeting\n7,greeting\n')
    data = loaded(path)
    assert data.texts == ("Where, oh where?", "hello there", "7")
    assert (data.class_names, data.labels.tolist()) == (("greeting", "lost"), [1, 0, 0])
    assert int(data.inputs[0, place("where oh")]) == 1


def test_which_column_holds_the_texts(tmp_path: Path) -> None:
    words, numbers = ["a b c", "d e f"], ["1", "2.5"]
    path = table(tmp_path / "set.parquet", question=words, label=[0, 1])
    assert loaded(path).texts == tuple(words)
    table(path, id=[1, 2], text=words, other=numbers, label=[0, 1])
    assert loaded(path).texts == tuple(words)
    assert loaded(path, text="other").texts == tuple(numbers)
    assert loaded(path, features=("id",)).texts is None
    assert loaded(path, label="text", features=("id", "other")).texts is None
    table(path, text=numbers, label=[0, 1])
    assert loaded(path).inputs.tolist() == [[1], [2.5]]
    table(path, id=[1, 2], question=words, label=[0, 1])
    refused(
        "got 'a b c' in set.parquet, row 0, column 'question'; fix or drop that row, or select numeric columns", path
    )
    refused("or a text column with text", path)
    assert loaded(path, text="question").texts == tuple(words)


def test_a_few_words_among_numbers_are_mistakes(tmp_path: Path) -> None:
    path = table(tmp_path / "set.parquet", x=["1", "2", "three", ""], label=[0, 1, 0, 1])
    refused("features: a finite number in every row; got 'three' in set.parquet, row 2, column 'x'", path)


def test_what_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "set.parquet", text=["a", None, "b", "c", "d"], label=[0, 1, 0, 1, 1])
    required = "text: a text in every row; got"
    refused(f"{required} nothing in set.parquet, row 1, column 'text'; fix or drop that row", path)
    table(path, text=["a", " \n", "b", "c"], label=[0, 1, 0, 1])
    refused(f"{required} nothing in set.parquet, row 1, column 'text'", path)
    table(path, question=[1, 2], label=[0, 1])
    refused(f"{required} a value of type int in set.parquet, row 0, column 'question'", path, text="question")
    refused(
        "text: one of the columns of set.parquet: question, label; got 'qestion'; did you mean", path, text="qestion"
    )
    (tmp_path / "train.csv").write_text("q,label\nsome words,0\nother words,1\n")
    (tmp_path / "test.csv").write_text("r,label\nsome words,0\n")
    refused("text: one of the columns of test.csv: r, label; got 'q'", tmp_path, text="q")
    with pytest.raises(InputError, match="text: nothing, as digits holds images and no columns; got 'words'; leave"):
        load(DataSpec(name="digits", text="words"))


@pytest.mark.parametrize("values", [{"text": "label"}, {"image": "x", "text": "y"}, {"text": "x", "features": ("y",)}])
def test_specifications_that_contradict_themselves(values: dict) -> None:
    with pytest.raises(InputError, match=r"a column other than|leave one of the two out"):
        DataSpec.parse({"name": "a.csv", **values})


def test_the_cache_keeps_texts(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = loaded(path, tmp_path / "cache")
    monkeypatch.setattr("softtargets.data.sources._assembled", lambda *arguments: pytest.fail("decoded again"))
    again = loaded(path, tmp_path / "cache")
    assert again.texts == first.texts == TEXTS
    assert torch.equal(again.inputs, first.inputs)


def test_the_fingerprint_of_decoded_content_knows_the_texts() -> None:
    from softtargets.data._content import Content

    def content(*texts: str) -> Content:
        rows = torch.zeros(2, 3, dtype=torch.uint8)
        return Content(rows, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.uint8), ("a", "b"), texts or None)

    prints = [content(*texts).fingerprint() for texts in [(), ("ab", "c"), ("a", "bc"), ("AB", "c")]]
    assert len(set(prints)) == 4
    # that of records made before there were texts
    assert fingerprint(DataSpec(name="digits")).startswith("44c7458da30ac89a")


@pytest.mark.parametrize(("name", "rows", "classes"), [("banking77", 13_083, 77), ("clinc150", 22_500, 150)])
def test_real_texts(name: str, rows: int, classes: int) -> None:
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f"needs {name} in ../shared/data beside the repository")
    data = load(DataSpec(name=str(path)))
    assert (len(data.inputs), data.num_classes, data.input_shape) == (rows, classes, (4096,))
    assert data.texts is not None
    assert len(data.texts) == rows
    assert len(data.splits["test"]) == {"banking77": 3080, "clinc150": 4500}[name]
    # Few places are shared: the words of a text are told apart.
    assert int((data.inputs.sum(1) == 0).sum()) == 0
