"""Votes, and one column of binary predictions, from files in every format."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from data.prediction_files import LABELS, LOGITS, PROBS, every_format, refused, written

from softtargets._errors import InputError
from softtargets.data import open_predictions, read_predictions


@pytest.mark.parametrize("form", ["npz", "safetensors", "lists", "csv"])
@pytest.mark.parametrize("kind", ["probs", "logits"])
def test_one_column_is_a_binary_problem(tmp_path: Path, form: str, kind: str) -> None:
    column = PROBS[:, 0] if kind == "probs" else LOGITS[:, 0]
    path = written(tmp_path, form, {"chance": column, "labels": LABELS % 2})
    found = read_predictions([path], **{kind: "chance"})  # pyright: ignore[reportArgumentType]
    first = 1 - column if kind == "probs" else 0 * column
    assert found.values.tolist() == np.stack([first, column], 1).tolist()
    assert (found.kind, found.num_classes) == (kind, 2)
    path = written(tmp_path, form, {"chance": column, "labels": LABELS})
    with pytest.raises(InputError, match="below 2, the number of classes; got 2 as 'labels' in"):
        read_predictions([path], **{kind: "chance"})  # pyright: ignore[reportArgumentType]


@every_format
def test_votes_are_soft_labels(tmp_path: Path, form: str) -> None:
    votes = np.array([[2, 1, 0], [0, 3, 0], [1, 1, 1], [0, 0, 5]])
    path = written(tmp_path, form, {"probs": PROBS, "votes": votes})
    found = read_predictions([path], labels="votes")
    assert found.labels is not None
    assert found.soft is not None
    assert found.labels.tolist() == [0, 1, 0, 2], "the most frequent class, on ties the lowest"
    assert found.soft.tolist() == (votes / votes.sum(1, keepdims=True)).tolist()
    apart = open_predictions([path], labels_from=(path, "votes"))
    (chunk,) = apart.chunks()
    assert chunk.soft is not None
    assert torch.equal(chunk.soft, found.soft)
    assert [labels.tolist() for labels in apart.label_chunks()] == [[0, 1, 0, 2]]


@every_format
def test_bad_votes_are_refused_with_the_file_and_the_row(tmp_path: Path, form: str) -> None:
    votes = np.array([[2.0, 1, 0], [0, 3, 0], [1, 1, 1], [0, 0, 5]])
    for row, message in (
        ([0, -1, 2], "votes or probabilities of at least 0; got -1 at .*, row 2, class 1"),
        ([0, 0, 0], "at least one vote in every row; got none at .*, row 2; fix that row"),
        ([0.5, 0.5, 0.5], "whole numbers of votes, or probabilities that sum to 1; got a sum of 1.5 at .*, row 2"),
    ):
        wrong = votes.copy()
        wrong[2] = row
        path = written(tmp_path, form, {"probs": PROBS, "votes": wrong})
        with pytest.raises(InputError, match=message):
            read_predictions([path], labels="votes")
    path = written(tmp_path, form, {"probs": PROBS, "votes": votes[:, :2]})
    refused("3 votes in every row, one for each class; got 2 as 'votes' in", path, labels="votes")


def test_votes_in_columns_named_after_the_classes_have_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = {"probs_cat": [0.75, 0.5], "probs_dog": [0.25, 0.5], "votes_cat": [2, 0], "votes_dog": [1, 3]}
    path = Path("p.parquet")
    pq.write_table(pa.table(cells), path)
    found = read_predictions([path], labels="votes")
    assert found.soft is not None
    assert found.soft.tolist() == [[2 / 3, 1 / 3], [0, 1]]
    pq.write_table(pa.table({name: cells[name] for name in ("probs_cat", "probs_dog", "votes_dog", "votes_cat")}), path)
    refused("votes in the order of the classes: cat, dog; got dog, cat in p.parquet", path, labels="votes")
