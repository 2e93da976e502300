"""Small predictions, and functions that write them in every format."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from softtargets._errors import InputError
from softtargets.data import read_predictions

PROBS = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0, 0, 1], [0.25, 0.25, 0.5]], dtype=np.float32)
LOGITS = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, 0.0], [-1.0, 4.0, 2.0], [0.0, 0.0, 0.0]])
LABELS = np.array([0, 1, 2, 2])
Arrays = dict[str, np.ndarray]


def npz(path: Path, arrays: Arrays) -> None:
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]


def packed(path: Path, arrays: Arrays) -> None:
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]


def safetensors(path: Path, arrays: Arrays) -> None:
    save_file({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, path)


def lists(path: Path, arrays: Arrays) -> None:
    pq.write_table(pa.table({name: array.tolist() for name, array in arrays.items()}), path)


def columns_of(arrays: Arrays, separator: str = "_") -> dict[str, np.ndarray]:
    flat = {}
    for name, array in arrays.items():
        wide = {f"{name}{separator}{k}": array[:, k] for k in range(array.shape[1])} if array.ndim == 2 else None
        flat |= wide or {name: array}
    return flat


def columns(path: Path, arrays: Arrays) -> None:
    pq.write_table(pa.table({name: pa.array(column) for name, column in columns_of(arrays).items()}), path)


def csv(path: Path, arrays: Arrays) -> None:
    flat = columns_of(arrays, ".")
    rows = zip(*(column.tolist() for column in flat.values()), strict=True)
    path.write_text("\n".join([",".join(flat), *(",".join(map(str, row)) for row in rows)]) + "\n")


def csv_lists(path: Path, arrays: Arrays) -> None:
    rows = zip(*(array.tolist() for array in arrays.values()), strict=True)
    cells = (",".join(f'"{json.dumps(cell)}"' for cell in row) for row in rows)
    path.write_text("\n".join([",".join(arrays), *cells]) + "\n")


WRITERS = {
    "npz": (npz, "p.npz"),
    "packed": (packed, "p.npz"),
    "safetensors": (safetensors, "p.safetensors"),
    "lists": (lists, "p.parquet"),
    "columns": (columns, "p.parquet"),
    "csv": (csv, "p.csv"),
    "csv_lists": (csv_lists, "p.csv"),
}
every_format = pytest.mark.parametrize("form", WRITERS)


def written(folder: Path, form: str, arrays: Arrays) -> Path:
    write, name = WRITERS[form]
    write(folder / name, arrays)
    return folder / name


def refused(text: str, *paths: Path, **options: object) -> None:
    with pytest.raises(InputError, match="^" + re.escape("predictions: " + text)):
        read_predictions(paths, **options)  # pyright: ignore[reportArgumentType]
