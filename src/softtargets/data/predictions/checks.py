"""What every row of predictions and every label must be."""

from pathlib import Path

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.data.arrays.file import ARGUMENT
from softtargets.metrics.rows import Kind

# How far a row of probabilities may be from a sum of 1; coarser types are allowed their own rounding.
_TOLERANCE = 1e-3
# A sum that no rounding explains.
_FAR = 0.1


def floating(values: Tensor) -> Tensor:
    """Return numbers as floating point: counts as probabilities (0 and 1) or as logits are numbers too."""
    return values if values.is_floating_point() else values.double()


def check_values(
    values: Tensor, kind: Kind, option: str, file: Path | None, start: int, argument: str = ARGUMENT
) -> None:
    """Require finite logits, or rows of probabilities.

    Args:
        values: (n, K) floating point.
        kind: What they are.
        option: How to pass them as logits instead, for the error.
        file: Where they lie, for the error; None in memory.
        start: Row of the file that is their first.
        argument: What the error names.

    Raises:
        InputError: a value that is no finite number; a row of probabilities with a negative one, or whose sum is
            further from 1 than 1e-3 (or than the precision of its type).
    """
    tolerance = max(_TOLERANCE, torch.finfo(values.dtype).eps)
    values = values if values.dtype == torch.float64 else values.float()
    # In single precision these are off by far less than the tolerance, and cost far less.
    sums = values.sum(1)
    # A value that is not finite makes no finite sum, but neither do the largest that are.
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
    """Return the first row that is no probabilities, what is required, what was got and what to do."""
    lowest = values.amin(1)
    off = (sums - 1).abs()
    row = int(((off > tolerance) | (lowest < 0)).nonzero()[0])
    # A little below 0 is rounding, and one row that is far off a slip; most rows far off are something else.
    if lowest[row] < -tolerance or (off > _FAR).double().mean() > 0.5:
        remedy = f"these look like logits: pass {option}"
    elif off[row] > _FAR:
        remedy = f"that is neither probabilities nor surely logits: fix that row, or pass {option} if they are"
    else:
        remedy = "divide each row by its sum"
    negative = f" and {float(lowest[row]):g}" if lowest[row] < 0 else ""
    required = f"probs of at least 0 whose rows sum to 1, to within {tolerance:.2g}"
    return row, required, f"a sum of {float(sums[row]):.6g}{negative}", remedy


def checked_labels(labels: Tensor, num_classes: int, name: str, file: Path | None, start: int) -> Tensor:
    """Return (n,) int64 of labels written as any type, also as 3.0; other arguments as in `check_values`.

    Args:
        labels: (n,) numbers.
        num_classes: K.
        name: What they are called.

    Raises:
        InputError: a label that is no whole number in [0, K).
    """
    whole = labels.long()
    # NaN is in no range.
    fits = (whole >= 0) & (whole < num_classes) & ((labels == whole) if labels.is_floating_point() else True)
    index = first_bad(~fits)
    if index is not None:
        argument, named = (name, "") if file is None else (ARGUMENT, f" as '{name}'")
        got = f"{labels[index].item():g}{named} in {_place(file, start + index[0])}"
        required = f"labels that are whole numbers of at least 0 and below {num_classes}, the number of classes"
        raise fail(argument, required, got, "fix or drop that row")
    return whole
