"""Columns of numbers to one float64 tensor."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.data._tables import Part


def read_features(parts: Sequence[Part], columns: Sequence[str]) -> Tensor:
    """Read the columns of all parts, one part after the other.

    Returns:
        (N, D) float64, D = len(columns).

    Raises:
        InputError: a value that is missing, no number or not finite, with its file, row and column.
    """
    blocks = []
    for part in parts:
        block = torch.stack([_numbers(part.table[name]) for name in columns], dim=1)
        index = first_bad(~block.isfinite())
        if index is not None:
            row, name = index[0], columns[index[1]]
            value = part.table[name][row].as_py()
            shown = "nothing" if value is None or value == "" else repr(value)[:60]
            raise fail(
                "features",
                "a finite number in every row",
                f"{shown} in {part.place(row)}, column '{name}'",
                "fix or drop that row, or name the columns to use in features, or one of texts in text",
            )
        blocks.append(block)
    return torch.cat(blocks)


def _numbers(column: pa.ChunkedArray) -> Tensor:
    """Return (n,) float64; what is no number is NaN."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        # A copy: Arrow's memory may not be written to.
        return torch.tensor(column.cast(pa.float64(), safe=False).to_numpy())
    return torch.tensor([_written(value) for value in column.to_pylist()], dtype=torch.float64)


def _written(value: Any) -> float:
    number = number_of(value) if isinstance(value, str | Decimal) else None
    return float("nan") if number is None else number


def number_of(value: Any) -> float | None:
    """Return a number, also one that is written as text; None for anything else."""
    if not isinstance(value, str | int | float | Decimal):
        return None
    try:
        return float(value)
    except ValueError:
        return None
