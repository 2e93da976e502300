"""Checks of every row of predictions and every label."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail
from softtargets.data.arrays.file import ARGUMENT
from softtargets.metrics.arguments import Kind

# The label of a token that is not evaluated, as in torch.
IGNORED = -100
# How far the sum of a row of probabilities may be from 1; coarser types are allowed their own rounding error.
_TOLERANCE = 1e-3
# a difference that rounding cannot explain
_FAR = 0.1


@dataclass(frozen=True)
class RowPlaces:
    """Where rows come from, for errors.

    Attributes:
        file: Their file; None for arrays in memory.
        start: The row of the file that is their first.
        positions: The number of tokens of a sequence if the rows are tokens, else None.
        rows: The rows that are meant, (n,) int64, counted from `start`; None: all.
    """

    file: Path | None
    start: int = 0
    positions: int | None = None
    rows: Tensor | None = None

    def of(self, row: int) -> str:
        """Return the file and the row, or the sequence and the position, in words."""
        row = self.start + (row if self.rows is None else int(self.rows[row]))
        named = f"row {row}"
        if self.positions is not None:
            named = f"sequence {row // self.positions}, position {row % self.positions}"
        return named if self.file is None else f"{self.file}, {named}"

    def among(self, kept: Tensor) -> "RowPlaces":
        """Return the places of some of the rows, given by (n,) bool."""
        return RowPlaces(self.file, self.start, self.positions, kept.nonzero()[:, 0])


def floating(values: Tensor) -> Tensor:
    """Return numbers as floating point; integers become float64."""
    return values if values.is_floating_point() else values.double()


def check_values(values: Tensor, kind: Kind, option: str, places: RowPlaces, argument: str = ARGUMENT) -> None:
    """Require finite logits, or rows of probabilities.

    Args:
        values: (n, K) floating point.
        kind: Whether they are logits or probabilities.
        option: How to pass them as logits instead, for the error.
        places: Where they come from, for the error.
        argument: The argument that the error names.

    Raises:
        InputError: a value that is not finite; a row of probabilities with a negative value, or whose sum differs from
            1 by more than 1e-3 (or the precision of its type).
    """
    if not len(values):
        return
    tolerance = max(_TOLERANCE, torch.finfo(values.dtype).eps)
    values = values if values.dtype == torch.float64 else values.float()
    # single precision is far more accurate than the tolerance, and much faster
    sums = values.sum(1)
    # a value that is not finite makes the sum not finite, but so may large finite values
    index = None if bool(sums.isfinite().all()) else first_bad(~values.isfinite())
    if index is not None:
        got = f"{values[index].item():g} in {places.of(index[0])}, class {index[1]}"
        raise fail(argument, f"finite {kind}", got, "fix or drop that row")
    if kind == "probs" and not (bool(((sums - 1).abs() <= tolerance).all()) and bool(values.amin() >= 0)):
        row, required, got, remedy = _no_probabilities(values, sums, tolerance, option)
        raise fail(argument, required, f"{got} in {places.of(row)}", remedy)


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


def checked_labels(labels: Tensor, num_classes: int, name: str, places: RowPlaces) -> Tensor:
    """Return labels as (n,) int64, from any numeric type (3.0 is 3).

    Args:
        labels: (n,) numbers.
        num_classes: K.
        name: The name of the labels.
        places: Where they come from, for the error.

    Raises:
        InputError: a label that is not a whole number in [0, K).
    """
    whole = labels.long()
    # NaN fails the comparisons
    fits = (whole >= 0) & (whole < num_classes) & _is_whole(labels, whole)
    index = first_bad(~fits)
    if index is not None:
        required = f"labels that are whole numbers of at least 0 and below {num_classes}, the number of classes"
        raise _bad(labels[index], name, places, index[0], required, "fix or drop that row")
    return whole


def token_labels(
    labels: Tensor, mask: Tensor | None, num_classes: int, names: tuple[str, str], places: RowPlaces
) -> Tensor:
    """Return the labels of tokens as (n,) int64, `IGNORED` for tokens that are not evaluated.

    Args:
        labels: (n,) numbers; `IGNORED` for tokens that are not evaluated.
        mask: (n,) bool, or numbers that are 0 or 1; false or 0 for tokens that are not evaluated, whose labels are
            then not checked. None: none is masked.
        num_classes: K.
        names: The names of the labels and of the mask.
        places: Where they come from, for the error.

    Raises:
        InputError: a label that is neither a whole number in [0, K) nor `IGNORED`; a mask that is neither 0 nor 1.
    """
    whole = labels.long()
    kept = (whole != IGNORED) | ~_is_whole(labels, whole)
    if mask is not None:
        index = None if mask.dtype == torch.bool else first_bad((mask != 0) & (mask != 1))
        if index is not None:
            remedy = "use 1 for tokens to evaluate"
            raise _bad(mask[index], names[1], places, index[0], "a mask of 0 and 1", remedy)
        kept &= mask != 0
    fits = (whole >= 0) & (whole < num_classes) & _is_whole(labels, whole)
    index = first_bad(~fits & kept)
    if index is not None:
        required = f"labels from 0 to {num_classes - 1}, or {IGNORED} for tokens to ignore"
        raise _bad(labels[index], names[0], places, index[0], required, "fix that label, or mask the token")
    return whole.masked_fill(~kept, IGNORED)


def _is_whole(labels: Tensor, whole: Tensor) -> Tensor:
    return labels == whole if labels.is_floating_point() else torch.ones_like(whole, dtype=torch.bool)


def _bad(value: Tensor, name: str, places: RowPlaces, row: int, required: str, remedy: str) -> InputError:
    argument, named = (name, "") if places.file is None else (ARGUMENT, f" as '{name}'")
    return fail(argument, required, f"{value.item():g}{named} in {places.of(row)}", remedy)
