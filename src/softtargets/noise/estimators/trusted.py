"""Transition from a few examples whose clean labels are known."""

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._rows import read_rows, row_chunks
from softtargets.matrices import Transition
from softtargets.noise._transitions import from_confusion
from softtargets.noise.estimators.registry import estimator

__all__ = ["trusted_set"]


@estimator("trusted", label="trusted set")
def trusted_set(probs: Tensor, clean_labels: Tensor) -> Transition:
    """Estimate the transition by the mean prediction for each clean class of a trusted set (GLC).

    T[j, :] = mean of probs[i, :] over the examples i with clean_labels[i] = j        # Hendrycks et al. 2018

    Call it as ``estimate_transition(probs, clean_labels, method="trusted")``.

    Args:
        probs: (M, K) float, probabilities of the *observed* label for the trusted examples, from a model that was
            trained on the observed labels of other examples.
        clean_labels: (M,) integer *clean* labels of the trusted examples, in [0, K).

    Returns:
        Transition.

    Raises:
        ValueError: if a row does not hold probabilities, shapes differ, a label is out of range, or a class has no
            example (first one named).

    Special cases:
        one-hot probs of the observed labels give their confusion counts, each row divided by its sum.

    Notes:
        This is C-hat of gold loss correction. The trusted examples must not be among those that the model was trained
        on.

    Complexity:
        O(M K): one pass; K x K sums in float64.

    When to use:
        A few dozen labels of each class were verified manually. Neither anchors nor assumptions on the noise are
        needed.

    Limitations:
        The sampling error of the trusted set is at most sqrt(T (1 - T) / n) per entry. An underconfident model blurs
        the rows, and a miscalibrated one shifts them.

    Example:
        >>> from softtargets.noise import estimate_transition
        >>> probs = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.125, 0.875]])
        >>> clean_labels = torch.tensor([0, 0, 1])
        >>> estimate_transition(probs, clean_labels, method="trusted").to_dense().tolist()
        [[0.5, 0.5], [0.125, 0.875]]
    """
    rows, clean = read_rows(probs, clean_labels).counted_probs
    size = rows.shape[1]
    missing = (torch.bincount(clean, minlength=size) == 0).nonzero().flatten()
    if len(missing):
        got = f"none of class {int(missing[0])}"
        remedy = "check the labels of some examples, or leave the class out of probs"
        raise fail("labels", "a trusted example of every clean class", got, remedy)
    sums = torch.zeros(size, size, dtype=torch.float64, device=rows.device)
    for part, chunk in row_chunks(rows):
        sums.index_add_(0, clean[part], chunk.double())
    return from_confusion(sums)
