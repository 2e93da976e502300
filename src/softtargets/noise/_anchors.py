"""Transition from anchors: examples that belong to one class for certain, or nearly."""

import math

import torch
from torch import Tensor

from softtargets._checks import check_fraction
from softtargets.matrices import Transition
from softtargets.noise._inputs import check_probs, check_shapes
from softtargets.noise._transitions import from_confusion
from softtargets.noise.estimators import estimator

__all__ = ["anchor_counts", "anchor_points"]


@estimator("anchor_points_97", label="anchor points, 97th percentile", percentile=97.0)
@estimator("anchor_points", label="anchor points")
def anchor_points(probs: Tensor, *, percentile: float | None = None) -> Transition:
    """Read each row of the transition off the example that is most of its class.

    T[j, :] = probs[a_j, :],  a_j = argmax_i probs[i, j]        # Patrini et al. 2017

    Where p(observed | x) is known and a_j is of class j for certain, that is P(observed | clean = j).

    Args:
        probs: (N, K) float, probabilities of the observed label, of a model trained on observed labels; no label is
            looked at, so they need not be held out.
        percentile: in [0, 100]: take for a_j not the largest probability but the largest below that percentile of
            column j, so that outliers do not decide. None: the largest.

    Returns:
        Transition, rows renormalised.

    Raises:
        ValueError: where a row is no probability (the first is named) or the percentile is outside [0, 100].

    Special cases:
        percentile=None gives the rows of the examples with the largest probability of each class.

    Notes:
        97 in the authors' code (from memory); the percentile is the value at or above it, and of the values strictly
        below it the largest is taken, the lowest value where there is none below. Ties go to the first row.

    Complexity:
        one pass to check, one strided read and, with a percentile, one selection a class; a column of N beside probs.

    When to use:
        probabilities are calibrated and every class has examples that are of it for certain.

    Limitations:
        one example a class decides: an over-confident model has T too near to the identity, a timid one, or classes
        without an anchor, too far from it.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
        >>> anchor_points(probs).to_dense().tolist()
        [[0.75, 0.25], [0.125, 0.875]]
    """
    check_shapes(probs)
    if percentile is not None:
        check_fraction("percentile", percentile, high=100)
    check_probs(probs)
    rows = torch.stack([_anchor(column, percentile) for column in probs.detach().unbind(1)])
    return from_confusion(probs.detach()[rows])


@estimator("anchor_counts", label="anchor counts")
def anchor_counts(probs: Tensor, labels: Tensor, *, share: float = 0.2) -> Transition:
    """Count the observed labels of the examples that are most of a class.

    T[j, o] = share of the label o among the `share` * n_j examples with the largest probs[:, j]

    n_j is the number of labels j. Held-out probabilities know nothing of an example's own label, so that labels of
    examples chosen by them are fair draws from P(observed | x): no probability is taken at its word, only their order.

    Args:
        probs: (N, K) float, probabilities of the observed label, of a model that has not seen these labels.
        labels: (N,) int64 observed labels in [0, K).
        share: in (0, 1]; how many examples stand for a class. Less leaves fewer to count, more takes in others.

    Returns:
        Transition.

    Raises:
        ValueError: where a row is no probability (the first is named), shapes differ, a label is out of range or share
            is not in (0, 1].

    Special cases:
        one-hot probs of the labels give the identity.

    Notes:
        ours: anchor points (Patrini et al. 2017) in the plural, counted as dual-T counts. Examples that tie with the
        last one count too. A class that is no example's label keeps its label.

    Complexity:
        one pass to check, and a strided read and a selection a class; a column of N beside probs.

    When to use:
        classes overlap, so that confident_joint counts the model's confusions as noise, and there are some hundred
        examples a class to count: the sampling error of an entry is sqrt(T (1 - T) / (share * n_j)).

    Limitations:
        the surest examples speak for all: where hard ones are labelled wrong more often, as by people, T comes out too
        near to the identity (on CIFAR-10N's worse_label, with a small network's probabilities, rows were .09 off on
        average, and the rate .33 for .40). Without examples that are surely of a class there are none to count.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
        >>> anchor_counts(probs, torch.tensor([0, 1, 0, 1]), share=1.0).to_dense().tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    check_shapes(probs, labels)
    check_fraction("share", share, low=1e-9)
    check_probs(probs)
    size = probs.shape[1]
    labels = labels.long()
    wanted = (share * torch.bincount(labels, minlength=size).double()).ceil().long().tolist()
    counts = torch.zeros(size, size, dtype=torch.int64)
    for row, count, column in zip(counts, wanted, probs.detach().unbind(1), strict=True):
        if count > 0:
            bound = column.kthvalue(len(column) - count + 1).values
            row.copy_(torch.bincount(labels[column >= bound], minlength=size))
    return from_confusion(counts, keep_empty=True)


def _anchor(column: Tensor, percentile: float | None) -> Tensor:
    if percentile is None:
        return column.argmax()
    rank = math.ceil(percentile / 100 * (len(column) - 1))
    bound = column.kthvalue(rank + 1).values
    below = column.masked_fill(column >= bound, -1.0)
    # all are alike up to the percentile
    return torch.where(below.amax() >= 0, below.argmax(), column.argmin())
