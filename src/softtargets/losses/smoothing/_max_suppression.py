"""Label smoothing that takes from the largest logit (MaxSup)."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_fraction
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses.building_blocks import label_and_largest

__all__ = ["max_suppression_loss"]


def max_suppression_loss(
    logits: Tensor, labels: Tensor, *, smoothing: float | Tensor = 0.1, class_dim: int = -1
) -> Tensor:
    """Max suppression: label smoothing that takes its mass from the largest logit, not from the label's.

    cross entropy + smoothing * (z_max - mean(z)), that is t = onehot(label) + r/K - r * onehot(argmax z)

    One value per example; the argmax gets no gradient.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        smoothing: r, a number or a (...) float tensor, one per example, in [0, 1].
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, or smoothing is outside [0, 1].
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        smoothing=0 gives cross_entropy; where the prediction is right it is label smoothing.

    Notes:
        their alpha, in the "all" convention, which they raise from 0.1 to 0.2 over training. Other libraries return
        the batch's mean on every row.

    Complexity:
        that of cross_entropy and an argmax; no N x K target.

    When to use:
        label smoothing helps but holds on to wrong predictions: there smoothing pushes the label down, this the error.

    Limitations:
        where two classes tie for the largest it has a kink, and its minimiser can lie on one. The evidence is its
        authors' own.

    Aliases:
        MaxSup

    Topics:
        overconfidence

    References:
        Zhou et al. 2025, *MaxSup: Overcoming Representation Collapse in Label Smoothing*, NeurIPS

    Example:
        >>> loss = max_suppression_loss(torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([0]), smoothing=0.5)
        >>> cross = cross_entropy(torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([0]))
        >>> round(float(loss - cross), 4)        # (3 - 1) / 2
        1.0
    """
    check_fraction("smoothing", smoothing)
    made = label_and_largest(logits, labels, 1.0, -smoothing, class_dim, name="smoothing")
    made = replace(made, rest=smoothing * torch.ones_like(made.mass()))
    return cross_entropy(logits, made, class_dim=class_dim)
