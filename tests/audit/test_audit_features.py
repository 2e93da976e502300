"""What a scikit-learn model is given: texts, columns, pixels, or vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from softtargets._errors import InputError
from softtargets.audit import AuditOptions, audit_labels
from softtargets.audit.features import examples_for, read_embeddings
from softtargets.data.dataset import Dataset

VECTORS = torch.arange(12.0).view(4, 3)


def write(path: Path, kind: str) -> str:
    if kind == "npy":
        np.save(path / "v.npy", VECTORS.numpy())
    elif kind == "npz":
        np.savez(path / "v.npz", other=np.zeros(2), mine=VECTORS.numpy())
        return f"{path / 'v.npz'}:mine"
    elif kind == "safetensors":
        save_file({"v": VECTORS}, path / "v.safetensors")
    elif kind == "lists.parquet":
        pq.write_table(pa.table({"v": VECTORS.tolist()}), path / "v.lists.parquet")
    elif kind == "columns.parquet":
        columns = {"id": list(range(4)), **{f"v_{k}": VECTORS[:, k].tolist() for k in range(3)}}
        pq.write_table(pa.table(columns), path / "v.columns.parquet")
        return f"{path / 'v.columns.parquet'}:v"
    return str(path / f"v.{kind}")


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "lists.parquet", "columns.parquet"])
def test_embeddings_are_the_same_from_every_kind_of_file(tmp_path, kind):
    torch.testing.assert_close(read_embeddings(write(tmp_path, kind), 4), VECTORS)


def test_embeddings_that_do_not_fit_are_refused_before_anything_is_fitted(tmp_path):
    path = write(tmp_path, "npy")
    with pytest.raises(
        InputError, match=r"^embeddings: shape \(5, D\), one vector for each training row; got \(4, 3\)"
    ):
        read_embeddings(path, 5)
    values = VECTORS.clone()
    values[2, 1] = torch.nan
    np.save(tmp_path / "bad.npy", values.numpy())
    with pytest.raises(InputError, match=r"^embeddings: finite numbers; got nan in .*bad.npy, row 2; compute"):
        read_embeddings(str(tmp_path / "bad.npy"), 4)
    with pytest.raises(InputError, match=r"^embeddings: an existing file; got .*absent.npy"):
        read_embeddings(str(tmp_path / "absent.npy"), 4)
    np.savez(tmp_path / "two.npz", a=VECTORS.numpy(), b=VECTORS.numpy())
    with pytest.raises(InputError, match=r"^embeddings: one array, or the name of one; got a, b in .*; give it as"):
        read_embeddings(str(tmp_path / "two.npz"), 4)


def _dataset(inputs: torch.Tensor, texts: tuple[str, ...] | None = None) -> Dataset:
    splits = {
        "train": torch.tensor([0, 2]),
        "validation": torch.tensor([1]),
        "test": torch.tensor([], dtype=torch.long),
    }
    return Dataset("some", "", inputs, torch.tensor([0, 1, 1]), ("a", "b"), splits, texts=texts)


def test_texts_columns_and_pixels_are_those_of_the_training_split():
    options = AuditOptions()

    def nothing(name: str, done: float) -> None: ...

    texts = examples_for(_dataset(torch.zeros(3, 1, dtype=torch.uint8), ("one", "two", "three")), options, nothing)
    assert texts.tolist() == ["one", "three"]
    table = examples_for(_dataset(torch.arange(6.0).view(3, 2).double()), options, nothing)
    assert table.tolist() == [[0, 1], [4, 5]]
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1)
    np.testing.assert_allclose(examples_for(_dataset(images), options, nothing), [[0.0], [1.0]])
    with pytest.raises(InputError, match=r"^encoder: a data set of texts; got 'some'; compute"):
        examples_for(_dataset(images), AuditOptions(encoder="some/encoder"), nothing)


def test_models_and_embeddings_are_refused_beside_predictions(tmp_path, simulated):
    refused: dict[str, Any] = {"model": "a:b", "embeddings": "v.npy", "encoder": "e"}
    for name, value in refused.items():
        with pytest.raises(InputError, match=f"^{name}: not used with predictions; got {value}"):
            audit_labels(predictions=tmp_path / "held.npz", options=AuditOptions(**{name: value}))
    with pytest.raises(InputError, match=r"^encoder: not used with embeddings"):
        audit_labels(data="digits", options=AuditOptions(embeddings="v.npy", encoder="e"))
