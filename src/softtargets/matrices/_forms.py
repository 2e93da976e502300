"""Checks of the forms that a transition may be given in."""

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._checks import (
    check_entries,
    check_floating,
    check_labels,
    first_bad,
    values_visible,
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
    check_entries("shares", shares, lambda s: s >= 0, "entries of at least 0", "fix that entry")
    required, remedy = "rows (clean class) of at most 1", "leave out the share that stays"
    check_entries("shares", shares.double().sum(1), lambda total: total <= 1 + 1e-5, required, remedy)
    own = torch.arange(num_classes, device=others.device)[:, None]
    ordered = others.sort(1).values
    twice = functional.pad((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != own), (1, 0))
    for bad, classes in (((others == own) & (shares > 0), others), (twice, ordered)):
        index = first_bad(bad)
        if index is not None:
            got = f"class {int(classes[index])} in row {index[0]}"
            remedy = "name each once, and fill up with its own at share 0"
            raise fail("others", "in each row other classes than its own, each once", got, remedy)
