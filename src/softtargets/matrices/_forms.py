"""Checks of the forms that a transition may be given in."""

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._checks import (
    check_floating,
    check_labels,
    check_square,
    entry,
    first_bad,
    values_visible,
    where,
)
from softtargets._errors import fail


def check_sparse(num_classes: int, others: Tensor | None, shares: Tensor | None, matrix: Tensor | None) -> None:
    """Require rows of a few classes other than their own, and of shares that leave the rest to their own."""
    if others is None or shares is None or matrix is not None:
        raise fail("others", "given with shares and without a matrix", "another mixture", "give the two alone")
    check_floating("shares", shares)
    check_labels("others", others, num_classes)
    if others.ndim != 2 or len(others) != num_classes or others.shape != shares.shape:
        got = f"shapes {tuple(others.shape)} and {tuple(shares.shape)}"
        raise fail("others", f"shape ({num_classes}, W), as shares", got, "give one row per clean class")
    if not values_visible(others, shares):
        return
    index = first_bad(~(shares >= 0))
    if index is not None:
        raise fail("shares", "entries of at least 0", f"{entry(shares, index)} at {where(index)}", "mend that entry")
    sums = shares.double().sum(1)
    index = first_bad(~(sums <= 1 + 1e-5))
    if index is not None:
        remedy = "leave out the share that stays"
        raise fail("shares", "rows (clean class) of at most 1", f"{entry(sums, index)} in row {index[0]}", remedy)
    own = torch.arange(num_classes, device=others.device)[:, None]
    ordered = others.sort(1).values
    twice = functional.pad((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != own), (1, 0))
    for bad, classes in (((others == own) & (shares > 0), others), (twice, ordered)):
        index = first_bad(bad)
        if index is not None:
            got = f"class {int(classes[index])} in row {index[0]}"
            remedy = "name each once, and fill up with its own at share 0"
            raise fail("others", "in each row other classes than its own, each once", got, remedy)


def check_columns(matrix: Tensor) -> None:
    """Require a (K, K) matrix whose columns are probabilities."""
    check_square("matrix", matrix)
    if not values_visible(matrix):
        return
    index = first_bad(matrix < 0)
    if index is not None:
        raise fail("matrix", "entries of at least 0", f"{entry(matrix, index)} at {where(index)}", "mend that entry")
    tolerance = 1e-5 if matrix.itemsize >= 4 else 1e-2
    sums = matrix.double().sum(0)
    index = first_bad((sums - 1).abs() > tolerance)
    if index is not None:
        rows = (matrix.double().sum(1) - 1).abs().max() <= tolerance
        remedy = "its rows sum to 1: use Transition.wrap" if rows else "divide each column by its sum"
        got = f"{entry(sums, index)} in column {index[0]}"
        raise fail("matrix", "columns (clean class) that sum to 1", got, remedy)
