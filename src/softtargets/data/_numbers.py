"""Reading columns of numbers as one float64 tensor."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail, shortened
from softtargets.data._tables import Part
from softtargets.data.limits import check_bytes


def read_features(parts: Sequence[Part], columns: Sequence[str]) -> Tensor:
    """Read the columns of all parts, one part after the other.

    Returns:
        (N, D) float64, D = len(columns).

    Raises:
        InputError: a value that is missing, not a number or not finite, with its file, row and column; more numbers
            than fit into memory.
    """
    rows = sum(len(part.table) for part in parts)
    check_bytes("features", 8 * rows * len(columns), f"{rows:,} rows of {len(columns):,} columns")
    whole = torch.empty(rows, len(columns), dtype=torch.float64)
    start = 0
    for part in parts:
        block = whole[start : start + len(part.table)]
        for place, name in enumerate(columns):
            block[:, place] = _numbers(part, name)
        start += len(block)
        index = first_bad(~block.isfinite())
        if index is not None:
            row, name = index[0], columns[index[1]]
            value = part.table[name][row].as_py()
            shown = "nothing" if value is None or value == "" else shortened(repr(value))
            raise fail(
                "features",
                "a finite number in every row",
                f"{shown} in {part.place(row)}, column '{name}'",
                "fix or drop that row, or select numeric columns with features or a text column with text",
            )
    return whole


def _numbers(part: Part, name: str) -> Tensor:
    """Return a column as (n,) float64; cells that are not numbers become NaN."""
    column = part.table[name]
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        # a copy, since Arrow's memory is read-only
        return torch.tensor(column.cast(pa.float64(), safe=False).to_numpy())
    numbers = (_written(value) for value in part.values(name))
    return torch.from_numpy(np.fromiter(numbers, np.float64, len(column)))


def _written(value: Any) -> float:
    number = number_of(value) if isinstance(value, str | Decimal) else None
    return float("nan") if number is None else number


def number_of(value: Any) -> float | None:
    """Return a number, including one written as text; None for anything else."""
    if not isinstance(value, str | int | float | Decimal):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
