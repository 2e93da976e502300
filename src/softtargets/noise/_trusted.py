"""Transition from a few examples whose clean labels are known."""

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.matrices import Transition
from softtargets.noise._inputs import check_shapes, row_chunks
from softtargets.noise._transitions import from_confusion

__all__ = ["trusted_set"]


def trusted_set(probs: Tensor, clean_labels: Tensor) -> Transition:
    """Average what a model of the observed labels says of examples whose clean label is known (GLC).

    T[j, :] = mean of probs[i, :] over the examples i with clean_labels[i] = j        # Hendrycks et al. 2018

    Args:
        probs: (M, K) float, probabilities of the observed label for the trusted examples, of a model trained on other,
            observed labels.
        clean_labels: (M,) int64 in [0, K), the true ones.

    Returns:
        Transition.

    Raises:
        ValueError: where a row is no probability, shapes differ, a label is out of range, or a class has no example
            (the first is named).

    Special cases:
        one-hot probs of the observed labels give their confusion counts, as shares of each row.

    Notes:
        gold loss correction's C hat; the trusted examples are not to be among those the model was trained on.

    Complexity:
        one pass; K x K sums in float64.

    When to use:
        a few dozen examples a class were checked by hand: no assumption on anchors or on the noise is needed.

    Limitations:
        sampling error of the trusted set, sqrt(T (1 - T) / n) at the most; a model that hedges blurs the rows, and one
        whose calibration is off shifts them.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.125, 0.875]])
        >>> trusted_set(probs, torch.tensor([0, 0, 1])).to_dense().tolist()
        [[0.5, 0.5], [0.125, 0.875]]
    """
    check_shapes(probs, clean_labels, argument="clean_labels")
    size = probs.shape[1]
    clean = clean_labels.long()
    missing = (torch.bincount(clean, minlength=size) == 0).nonzero().flatten()
    if len(missing):
        got = f"none of class {int(missing[0])}"
        raise fail("clean_labels", "an example of every class", got, "check some by hand, or leave the class out")
    sums = torch.zeros(size, size, dtype=torch.float64)
    for rows, chunk in row_chunks(probs):
        sums.index_add_(0, clean[rows], chunk.double())
    return from_confusion(sums)
