"""Soft labels: votes of several annotators, or a distribution over the classes, in place of one label per example."""

from collections.abc import Callable

from torch import Tensor

from softtargets._checks import first_bad, sum_tolerance, values_visible
from softtargets._errors import fail

# how a row can be left out
_ADVICE = "fix that row, or leave it out by mask="


def are_soft(labels: object, scores: Tensor) -> bool:
    """Return whether labels have one number per class, like the (..., K) scores, instead of one class per row."""
    return isinstance(labels, Tensor) and not labels.is_complex() and labels.shape == scores.shape


def read_soft_labels(
    labels: Tensor, place: Callable[[int], str], argument: str = "labels", advice: str = _ADVICE
) -> Tensor:
    """Check soft labels and return the distribution of each row, which sums to 1.

    Args:
        labels: (n, K) votes, whole numbers of any dtype, or probabilities that sum to 1.
        place: names a row for the error.
        argument: name of the argument, for the error.
        advice: how to fix a row, for the error.

    Returns:
        (n, K) float64.

    Raises:
        ValueError: if a number is negative or not finite, or a row has no votes, or its numbers are neither whole nor
            probabilities that sum to 1 (first bad row named).
    """
    rows = labels.detach().double()
    sums = rows.sum(1, keepdim=True)
    if values_visible(rows) and len(rows):
        _check(rows, sums[:, 0], sum_tolerance(labels) if labels.is_floating_point() else 0.0, place, argument, advice)
    return rows / sums


def _check(
    rows: Tensor, sums: Tensor, tolerance: float, place: Callable[[int], str], argument: str, advice: str
) -> None:
    index = first_bad(~((rows >= 0) & rows.isfinite()))
    if index is not None:
        required = "votes or probabilities of at least 0"
        raise fail(argument, required, f"{float(rows[index]):g} at {place(index[0])}, class {index[1]}", advice)
    index = first_bad(sums == 0)
    if index is not None:
        raise fail(argument, "at least one vote in every row", f"none at {place(index[0])}", advice)
    index = first_bad(((sums - 1).abs() > tolerance) & (rows != rows.round()).any(1))
    if index is not None:
        required = "whole numbers of votes, or probabilities that sum to 1"
        remedy = "divide the row by its sum, or pass whole numbers"
        raise fail(argument, required, f"a sum of {float(sums[index]):g} at {place(index[0])}", remedy)
