"""Mean predictions of each class."""

from collections.abc import Iterator

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._rows import read_rows, row_chunks

__all__ = ["class_means", "minor_means"]


@array_function
def class_means(
    probs: ArrayLike, labels: ArrayLike, *, class_dim: int = -1, ignore_index: int = -100, mask: ArrayLike | None = None
) -> Tensor:
    """Average the probabilities of the examples of each class (Shen et al. 2021, Sec. 3 and Fig. 4 (1)).

    means[c] = mean of probs[i] over i with labels[i] = c

    Args:
        probs: (..., K) float, rows sum to 1.
        labels: (...) integers in [0, K).
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        (K, K) float64: row = class of the examples, column = predicted class. Rows sum to 1; the row of a class without
        examples is NaN.

    Raises:
        ValueError: if a row does not hold probabilities (first one named), shapes differ, a label is out of range, or
            no example is left.
        TypeError: if probs are not floating-point or labels not integers.

    Special cases:
        one-hot probabilities give the confusion matrix with each row divided by its sum.

    Example:
        >>> probs = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
        >>> class_means(probs, torch.tensor([0, 0, 1])).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    return counts_and_means(
        *read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask).counted_probs
    )[1]


@array_function
def minor_means(
    probs: ArrayLike, labels: ArrayLike, *, class_dim: int = -1, ignore_index: int = -100, mask: ArrayLike | None = None
) -> Tensor:
    """Average the probabilities that examples of each class give to the other classes (Shen et al. 2021, Fig. 4 (2)).

    class_means with the diagonal set to 0; nothing is rescaled        # also their App. F

    The sum of a row is the probability that a class loses to all others. The sum of a column is what a class gains from
    them: close to 0 for the classes that App. F calls unique.

    Args:
        probs: (..., K) float, rows sum to 1.
        labels: (...) integers in [0, K).
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        (K, K) float64, rows as in :func:`class_means`; the row of a class without examples is NaN, including its
        diagonal.

    Raises:
        ValueError: as :func:`class_means`.
        TypeError: as :func:`class_means`.

    Special cases:
        one-hot probabilities of the labels give 0.

    Example:
        >>> probs = torch.tensor([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
        >>> minor_means(probs, torch.tensor([0, 0, 1, 2])).tolist()
        [[0.0, 0.25, 0.125], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]
    """
    means = class_means(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    # subtracting the diagonal instead of setting it to 0 keeps NaN
    return means - means.diagonal().diag_embed()


def counts_and_means(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of examples of each class, (K,) float64, and mean probabilities, (K, K), NaN without any."""
    size = probs.shape[1]
    counts = torch.bincount(labels, minlength=size).double()
    sums = torch.zeros(size, size, dtype=torch.float64, device=probs.device)
    for part, rows in wide_chunks(probs):
        sums.index_add_(0, labels[part], rows)
    return counts, sums / counts[:, None]


def wide_chunks(probs: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of rows and their probabilities in float64, at most 1: a softmax may round to more."""
    for part, rows in row_chunks(probs):
        yield part, rows.clamp(max=1.0).double()
