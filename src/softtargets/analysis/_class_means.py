"""What a model says of each class on average."""

import torch
from torch import Tensor

from softtargets._checks import check_floating
from softtargets.metrics.rows import chunks

__all__ = ["class_means", "minor_means"]


def class_means(probs: Tensor, labels: Tensor) -> Tensor:
    """Average the probabilities of the examples of each class (Shen et al. 2021, Sec. 3 and Fig. 4 (1)).

    means[c] = mean of probs[i] over i with labels[i] = c

    Args:
        probs: (..., K) float, rows sum to 1.
        labels: (...) int64 in [0, K).

    Returns:
        (K, K) float64: row = class of the examples, column = class that is predicted. Rows sum to 1; the row of a class
        without examples is NaN.

    Raises:
        ValueError: where a row is no probability (the first is named), shapes differ or a label is out of range.
        TypeError: where probs are not floating-point or labels not integers.

    Special cases:
        one-hot probabilities give the confusion matrix with rows divided by their sums.

    Example:
        >>> probs = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
        >>> class_means(probs, torch.tensor([0, 0, 1])).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    return counts_and_means(probs, labels)[1]


def minor_means(probs: Tensor, labels: Tensor) -> Tensor:
    """Average what the examples of each class give to the other classes (Shen et al. 2021, Fig. 4 (2) and App. F).

    class_means with the diagonal set to 0; nothing is rescaled

    A row's sum is what a class loses to all others. A column's sum is what a class gets from them: near 0 for the
    classes that App. F calls unique.

    Args:
        probs: (..., K) float, rows sum to 1.
        labels: (...) int64 in [0, K).

    Returns:
        (K, K) float64, rows as in :func:`class_means`; the row of a class without examples is NaN, its diagonal too.

    Raises:
        ValueError: as :func:`class_means`.
        TypeError: as :func:`class_means`.

    Special cases:
        one-hot probabilities at the labels give 0.

    Example:
        >>> probs = torch.tensor([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
        >>> minor_means(probs, torch.tensor([0, 0, 1, 2])).tolist()
        [[0.0, 0.25, 0.125], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]
    """
    means = class_means(probs, labels)
    # less itself, and not 0: a NaN stays one
    return means - means.diagonal().diag_embed()


def counts_and_means(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many examples each class has, (K,) float64, and their mean probabilities, (K, K), NaN where none."""
    check_floating("probs", probs)
    num_classes = probs.shape[-1:].numel()  # a tensor without axes is refused below
    counts = torch.zeros(num_classes, dtype=torch.float64, device=probs.device)
    sums = torch.zeros(num_classes, num_classes, dtype=torch.float64, device=probs.device)
    for rows in chunks(probs, labels):
        counts += rows.labels.bincount(minlength=num_classes)
        sums.index_add_(0, rows.labels, rows.probs)
    return counts, sums / counts[:, None]
