"""Files of predictions as other programs write them."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from softtargets._errors import InputError
from softtargets.data.predictions import open_predictions, read_predictions

PROBS = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.0, 0.0, 1.0]])
LABELS = np.array([0, 1, 2])
NAMES = ("cat", "dog", "owl")


def lines(gap: str, header: list[str], named: bool = False) -> str:
    rows = [
        gap.join([*map(str, row), NAMES[label] if named else str(label)])
        for row, label in zip(PROBS, LABELS, strict=True)
    ]
    return "\n".join([gap.join(header), *rows, ""])


def write(folder: Path, kind: str) -> Path:
    path = folder / f"p.{kind}"
    numbered = ["probs_0", "probs_1", "probs_2", "labels"]
    objects = [{"probs": row, "labels": label} for row, label in zip(PROBS.tolist(), LABELS.tolist(), strict=True)]
    text = {
        "tsv": lines("\t", numbered),
        "csv": lines(",", numbered),
        "jsonl": "".join(json.dumps(one) + "\n" for one in objects),
    }.get(kind.removesuffix(".gz"))
    if kind == "pt":
        torch.save({"probs": torch.from_numpy(PROBS), "labels": torch.from_numpy(LABELS)}, path)
    elif text is not None and kind.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif text is not None:
        path.write_text(text)
    return path


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "csv.gz", "tsv.gz", "jsonl.gz", "pt"])
def test_every_kind_of_file_has_the_same_numbers(tmp_path, kind):
    found = read_predictions([write(tmp_path, kind)])
    np.testing.assert_array_equal(found.values, PROBS)
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()
    assert found.kind == "probs"


def test_columns_of_a_data_frame_are_named_by_their_classes(tmp_path):
    path = tmp_path / "frame.csv"
    path.write_text(lines(",", [*NAMES, "labels"], named=True))
    found = read_predictions([path], probs="cat,dog,owl")
    np.testing.assert_array_equal(found.values, PROBS)
    assert found.class_names == NAMES
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()
    turned = read_predictions([path], probs="owl, cat, dog")
    assert turned.class_names == ("owl", "cat", "dog")
    assert turned.labels is not None
    assert turned.labels.tolist() == [1, 2, 0]
    with pytest.raises(InputError, match="'cat,dog,cow' in every file"):
        open_predictions([path], probs="cat,dog,cow")


def test_a_single_tensor_has_the_name_of_its_file(tmp_path):
    torch.save(torch.from_numpy(PROBS), tmp_path / "probs.pt")
    assert open_predictions([tmp_path / "probs.pt"]).num_rows == 3


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("harmful"),))


def test_objects_in_files_of_torch_are_refused_and_never_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"probs": torch.from_numpy(PROBS), "other": Harmful()}, "p.pt")
    with pytest.raises(InputError, match=r"a file that can be read; got p.pt"):
        open_predictions([Path("p.pt")])
    assert not Path("harmful").exists()
    torch.save([torch.zeros(2)], "list.pt")
    with pytest.raises(InputError, match=r"a dictionary of tensors, or one tensor; got a list in list.pt"):
        open_predictions([Path("list.pt")])
    torch.save({"probs": torch.zeros(3, 2, dtype=torch.complex64)}, "complex.pt")
    with pytest.raises(InputError, match=r"a dense tensor of numbers; got torch.complex64 as 'probs'"):
        open_predictions([Path("complex.pt")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"probs": [0.5, 0.5], "labels": 0}\n[1]\n', "a JSON object in every line; got a list in .*, row 1"),
        ('{"probs": [0.5, 0.5], "labels": 0}\n{"probs"\n', "a JSON object in every line; got .*, row 1"),
        ('{"probs": [0.5, 0.5], "labels": 0}\n{"probs": [1], "labels": 0}\n', "as many numbers in every row"),
        ('{"probs": [0.5, 0.5], "labels": 0}\n{"probs": "x", "labels": 0}\n', "cells of one type .*, column 'probs'"),
        ('{"probs": [0.5, 0.5], "labels": 0}\n{"probs": [0.5, 0.5], "labels": 7}\n', "row 1"),
    ],
)
def test_bad_lines_of_json_are_refused_with_their_row(tmp_path, text, said):
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(InputError, match=said):
        read_predictions([tmp_path / "p.jsonl"])
