"""Label smoothing as shrinkage, where it can be solved."""

import torch
from torch import Tensor

from softtargets._checks import (
    check_entries,
    check_floating,
    check_fraction,
    check_labels,
    check_num_classes,
)
from softtargets._errors import fail

__all__ = ["smoothed_least_squares"]


def smoothed_least_squares(inputs: Tensor, labels: Tensor, *, smoothing: float, num_classes: int) -> Tensor:
    """Fit a linear model without intercept to smoothed labels by least squares.

    W = argmin ||X W^T - S||^2,  S = (1 - smoothing) Y + smoothing / K        # Lukasik et al. 2020, Eq. 7, left side

    smoothing = their alpha, K = their L, and W^T their W. It equals Eq. 7's right side,
    (1 - smoothing) W_0 + smoothing / K (X^T X)^-1 X^T J, J of ones: shrunk weights, and a second term that is the same
    for all classes and moves no decision. On centred inputs that term is 0.

    Args:
        inputs: (N, D) float. Append a column of ones for an intercept: it makes them uncentred.
        labels: (N,) int64 in [0, K).
        smoothing: in [0, 1], over all K classes.
        num_classes: K, at least 2.

    Returns:
        (K, D) float64, the solution of least norm where inputs have rank below D.

    Raises:
        ValueError: where inputs are not (N, D) and finite, shapes differ, or a number is out of range.
        TypeError: where inputs are not floating-point or labels not integers.

    Special cases:
        smoothing=0 gives ordinary least squares; on centred inputs every smoothing gives 1 - smoothing times that, and
        smoothing=1 gives 0. Decisions, the largest of a row of X W^T, do not depend on smoothing below 1.

    Example:
        >>> inputs = torch.tensor([[-1.0], [1.0]])        # centred
        >>> weight = smoothed_least_squares(inputs, torch.tensor([0, 1]), smoothing=0.5, num_classes=2)
        >>> weight.round(decimals=6).tolist()
        [[-0.25], [0.25]]
    """
    check_floating("inputs", inputs)
    check_num_classes(num_classes)
    check_fraction("smoothing", smoothing)
    if inputs.ndim != 2 or inputs.numel() == 0:
        raise fail("inputs", "shape (N, D), neither of them 0", tuple(inputs.shape), "give one row per example")
    check_entries("inputs", inputs, torch.isfinite, "finite numbers", "fix or drop that example")
    check_labels("labels", labels, num_classes, inputs.shape[:1])
    hot = torch.nn.functional.one_hot(labels.long(), num_classes).double()
    smoothed = (1 - smoothing) * hot + smoothing / num_classes
    return (torch.linalg.pinv(inputs.detach().double()) @ smoothed).T
