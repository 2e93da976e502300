"""Label smoothing as shrinkage, in closed form for least squares."""

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_entries, check_floating, check_fraction, check_num_classes, read_labels
from softtargets._errors import fail
from softtargets._rows import refuse_swapped

__all__ = ["smoothed_least_squares"]


@array_function
def smoothed_least_squares(
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    smoothing: float,
    num_classes: int,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Tensor:
    """Fit a linear model without intercept to smoothed labels by least squares.

    W = argmin ||X W^T - S||^2,  S = (1 - smoothing) Y + smoothing / K        # Lukasik et al. 2020, Eq. 7, left side

    smoothing = their alpha, K = their L, and W^T their W. It equals the right side of Eq. 7,
    (1 - smoothing) W_0 + smoothing / K (X^T X)^-1 X^T J, J of ones: shrunk weights, and a second term that is equal for
    all classes and changes no decision. On centred inputs that term is 0.

    Args:
        inputs: (N, D) float. Append a column of ones for an intercept; the inputs are then no longer centred.
        labels: (N,) integers in [0, K).
        smoothing: in [0, 1], over all K classes.
        num_classes: K, at least 2.
        ignore_index: label of examples to leave out.
        mask: (N,) bool, False for examples to leave out; None: include all.

    Returns:
        (K, D) float64, the solution of least norm if the rank of inputs is below D.

    Raises:
        ValueError: if inputs are not (N, D) and finite, shapes differ, or a number is out of range.
        TypeError: if inputs are not floating-point or labels not integers.

    Special cases:
        smoothing=0 gives ordinary least squares. On centred inputs every smoothing gives 1 - smoothing times that, and
        smoothing=1 gives 0. Decisions, the argmax of a row of X W^T, do not depend on smoothing below 1.

    Example:
        >>> inputs = torch.tensor([[-1.0], [1.0]])        # centred
        >>> weight = smoothed_least_squares(inputs, torch.tensor([0, 1]), smoothing=0.5, num_classes=2)
        >>> weight.round(decimals=6).tolist()
        [[-0.25], [0.25]]
    """
    refuse_swapped("inputs", inputs, labels)
    check_floating("inputs", inputs)
    check_num_classes(num_classes)
    check_fraction("smoothing", smoothing)
    if inputs.ndim != 2 or inputs.numel() == 0:
        raise fail("inputs", "shape (N, D), neither of them 0", tuple(inputs.shape), "pass one row per example")
    own, left_out = read_labels(
        "labels", labels, num_classes=num_classes, shape=inputs.shape[:1], ignore_index=ignore_index, mask=mask
    )
    kept = torch.ones(len(inputs), dtype=torch.bool) if left_out is None else ~left_out
    kept = kept.to(inputs.device)
    check_entries(
        "inputs", inputs, lambda x: x.isfinite() | ~kept[:, None], "finite numbers", "fix or drop that example"
    )
    if not bool(kept.any()):
        raise fail("labels", "at least one example that is not left out", "none", "check the labels and the mask")
    inputs, own = inputs[kept], own.to(inputs.device)[kept]
    hot = torch.nn.functional.one_hot(own, num_classes).double()
    smoothed = (1 - smoothing) * hot + smoothing / num_classes
    return (torch.linalg.pinv(inputs.detach().double()) @ smoothed).T
