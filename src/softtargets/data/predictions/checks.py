"""Checks of every row of predictions and every label."""

from pathlib import Path

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.data.arrays.file import ARGUMENT
from softtargets.metrics.arguments import Kind

# How far the sum of a row of probabilities may be from 1; coarser types are allowed their own rounding error.
_TOLERANCE = 1e-3
# a difference that rounding cannot explain
_FAR = 0.1


def floating(values: Tensor) -> Tensor:
    """Return numbers as floating point; integers become float64."""
    return values if values.is_floating_point() else values.double()


def check_values(
    values: Tensor, kind: Kind, option: str, file: Path | None, start: int, argument: str = ARGUMENT
) -> None:
    """Require finite logits, or rows of probabilities.

    Args:
        values: (n, K) floating point.
        kind: Whether they are logits or probabilities.
        option: How to pass them as logits instead, for the error.
        file: The file they come from, for the error; None for arrays in memory.
        start: The row of the file that is their first.
        argument: The argument that the error names.

    Raises:
        InputError: a value that is not finite; a row of probabilities with a negative value, or whose sum differs from
            1 by more than 1e-3 (or the precision of its type).
    """
    tolerance = max(_TOLERANCE, torch.finfo(values.dtype).eps)
    values = values if values.dtype == torch.float64 else values.float()
    # single precision is far more accurate than the tolerance, and much faster
    sums = values.sum(1)
    # a value that is not finite makes the sum not finite, but so may large finite values
    index = None if bool(sums.isfinite().all()) else first_bad(~values.isfinite())
    if index is not None:
        got = f"{values[index].item():g} in {_place(file, start + index[0])}, class {index[1]}"
        raise fail(argument, f"finite {kind}", got, "fix or drop that row")
    if kind == "probs" and not (bool(((sums - 1).abs() <= tolerance).all()) and bool(values.amin() >= 0)):
        row, required, got, remedy = _no_probabilities(values, sums, tolerance, option)
        raise fail(argument, required, f"{got} in {_place(file, start + row)}", remedy)


def _place(file: Path | None, row: int) -> str:
    return f"row {row}" if file is None else f"{file}, row {row}"


def _no_probabilities(values: Tensor, sums: Tensor, tolerance: float, option: str) -> tuple[int, str, str, str]:
    """Return the first row that is not probabilities, what is required, what was got and how to fix it."""
    lowest = values.amin(1)
    off = (sums - 1).abs()
    row = int(((off > tolerance) | (lowest < 0)).nonzero()[0])
    # slightly negative values are rounding errors, and one bad row is a mistake; many bad rows without a negative
    # value are more likely scores that were not normalised than logits
    many = bool((off > _FAR).double().mean() > 0.5)
    if lowest[row] < -tolerance or (many and bool((lowest < 0).any())):
        remedy = f"these look like logits: pass {option}"
    elif many:
        remedy = f"divide each row by its sum, or pass {option} if these are logits"
    elif off[row] > _FAR:
        remedy = f"fix that row, or pass {option} if these are logits"
    else:
        remedy = "divide each row by its sum"
    negative = f" and a minimum of {float(lowest[row]):g}" if lowest[row] < 0 else ""
    required = f"probs of at least 0 whose rows sum to 1, to within {tolerance:.2g}"
    return row, required, f"a sum of {float(sums[row]):.6g}{negative}", remedy


def checked_labels(labels: Tensor, num_classes: int, name: str, file: Path | None, start: int) -> Tensor:
    """Return labels as (n,) int64, from any numeric type (3.0 is 3). Other arguments are those of `check_values`.

    Args:
        labels: (n,) numbers.
        num_classes: K.
        name: The name of the labels.

    Raises:
        InputError: a label that is not a whole number in [0, K).
    """
    whole = labels.long()
    # NaN fails the comparisons
    fits = (whole >= 0) & (whole < num_classes) & ((labels == whole) if labels.is_floating_point() else True)
    index = first_bad(~fits)
    if index is not None:
        argument, named = (name, "") if file is None else (ARGUMENT, f" as '{name}'")
        got = f"{labels[index].item():g}{named} in {_place(file, start + index[0])}"
        required = f"labels that are whole numbers of at least 0 and below {num_classes}, the number of classes"
        raise fail(argument, required, got, "fix or drop that row")
    return whole
