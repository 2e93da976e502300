"""Transition from anchors: examples that belong to one class with (near) certainty."""

import math
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import check_fraction
from softtargets._errors import fail
from softtargets._native.columns import select_entries
from softtargets._rows import check_probs, classes_last, read_rows
from softtargets.matrices import Transition
from softtargets.noise._transitions import from_confusion
from softtargets.noise.estimators.registry import estimator
from softtargets.noise.estimators.streams import TransitionStream
from softtargets.noise.streaming.blocks import LabelledBlock

__all__ = ["anchor_counts", "anchor_points"]


class AnchorPointsStream(TransitionStream):
    """Anchor points of rows that are read block by block; the state is one row for each class."""

    def __init__(self, *shared: Any, percentile: float | None = None) -> None:
        super().__init__(*shared)
        self.percentile = percentile
        size = self.num_classes
        self._lowest = torch.full((size,), torch.inf, dtype=torch.float64)
        # largest value so far that may be an anchor; -1 before the first
        self._best = torch.full((size,), -1.0, dtype=torch.float64)
        self._anchors = torch.zeros(size, size, dtype=torch.float64)

    def first(self, block: LabelledBlock) -> None:
        if self.percentile is None:
            self._take(block, block.probs)
        else:
            self._lowest = self._lowest.minimum(block.probs.amin(0).double())

    def begin_second(self, class_counts: Tensor) -> None:
        if self.percentile is not None:
            rank = _rank(self.percentile, int(class_counts.sum()))
            self._question = self.ranks.ask(torch.full((self.num_classes,), rank))

    def begin_third(self) -> None:
        if self.percentile is not None:
            self._bounds = self.ranks.found(self._question)
            # no value lies below the percentile if all values up to it are equal: then the lowest value is used
            self._all_equal = (self._bounds == self._lowest).nonzero().flatten()

    def third(self, block: LabelledBlock) -> None:
        if self.percentile is None:
            return
        for part in block.parts():
            # few entries are above the largest one so far and below the bound
            low, high = self._best.to(part.probs.dtype), self._bounds.to(part.probs.dtype)
            rows, columns = select_entries(part.probs, low, high)
            values = part.probs[rows, columns].double()
            highest = self._best.scatter_reduce(0, columns, values, "amax")
            equal = (values == highest[columns]).nonzero().flatten()
            first = columns.new_full((self.num_classes,), len(part)).scatter_reduce(
                0, columns[equal], rows[equal], "amin"
            )
            better = highest > self._best
            self._anchors[better] = part.probs[first[better]].double()
            self._best = highest
            for column in self._all_equal[self._best[self._all_equal] < 0].tolist():
                equal = (part.probs[:, column] == self._lowest[column]).nonzero().flatten()
                if len(equal):
                    self._anchors[column], self._best[column] = part.probs[equal[0]].double(), self._lowest[column]

    def result(self) -> Transition:
        return from_confusion(self._anchors)

    def _take(self, block: LabelledBlock, values: Tensor) -> None:
        """Keep the first rows with the largest (n, K) values."""
        highest = values.amax(0).double()
        better = (highest > self._best).nonzero().flatten()
        self._best[better] = highest[better]
        for column in better.tolist():
            self._anchors[column] = block.probs[values[:, column].argmax()].double()


class AnchorCountsStream(TransitionStream):
    """Anchor counts of rows that are read block by block; the state is one count for each pair of classes."""

    def __init__(self, *shared: Any, share: float = 0.2) -> None:
        super().__init__(*shared)
        self.share = share
        self._counts = torch.zeros(self.num_classes**2, dtype=torch.int64)

    def begin_second(self, class_counts: Tensor) -> None:
        wanted = _num_anchors(self.share, class_counts)
        self._question = self.ranks.ask(torch.where(wanted > 0, class_counts.sum() - wanted, -1))

    def begin_third(self) -> None:
        # a class without labels has no bound, and no row reaches it
        self._bounds = self.ranks.found(self._question).nan_to_num(torch.inf)

    def third(self, block: LabelledBlock) -> None:
        low = self._bounds.to(block.probs.dtype)
        rows, columns = select_entries(block.probs, low, torch.full_like(low, torch.inf))
        cells = columns * self.num_classes + block.labels[rows]
        self._counts += cells.bincount(minlength=len(self._counts))

    def result(self) -> Transition:
        return from_confusion(self._counts.view(self.num_classes, -1), keep_empty=True)


@estimator("anchor_97", label="anchor points, 97th percentile", stream=AnchorPointsStream, percentile=97.0)
@estimator("anchor", label="anchor points", stream=AnchorPointsStream)
def anchor_points(probs: Tensor, *, percentile: float | None = None) -> Transition:
    """Estimate each row of the transition by the probabilities of one example of that class.

    T[j, :] = probs[a_j, :],  a_j = argmax_i probs[i, j]        # Patrini et al. 2017

    If probs[i] is p(observed | x_i) and the anchor a_j certainly belongs to class j, this is P(observed | clean = j).
    Call it as ``estimate_transition(probs, labels, method="anchor")``.

    Args:
        probs: (N, K) float, probabilities of the observed label, from a model trained on observed labels. No label is
            used, so the probabilities need not be out of sample.
        percentile: in [0, 100]. The anchor is then the example with the largest probability strictly below that
            percentile of column j, so that outliers have no effect. None: the example with the largest probability.

    Returns:
        Transition, rows renormalised.

    Raises:
        ValueError: if a row does not hold probabilities (first one named) or the percentile is outside [0, 100].

    Special cases:
        percentile=None gives the rows of the examples with the largest probability of each class.

    Notes:
        The authors' code uses percentile 97 (not checked against the paper), the method "anchor_97". The percentile is
        computed with NumPy's method "higher". If no value is below it, the example with the lowest value is used. On
        ties the first row is used.

    Complexity:
        O(N K): one pass to check and one selection per class; N numbers of memory besides probs.

    When to use:
        Probabilities are calibrated, and every class has examples that certainly belong to it.

    Limitations:
        Each row depends on a single example. Overconfident probabilities give a T too close to the identity;
        underconfident ones, or classes without an anchor, give a T too far from it.

    Example:
        >>> from softtargets.noise import estimate_transition
        >>> probs = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
        >>> estimate_transition(probs, torch.tensor([0, 1, 1]), method="anchor").to_dense().tolist()
        [[0.75, 0.25], [0.125, 0.875]]
    """
    rows = classes_last("probs", probs)
    if len(rows) == 0:
        raise fail("probs", "at least one example that is not left out", "none", "pass one row per example")
    if percentile is not None:
        check_fraction("percentile", percentile, high=100)
    check_probs(rows)
    anchors = torch.stack([_anchor(column, percentile) for column in rows.detach().unbind(1)])
    return from_confusion(rows.detach()[anchors])


@estimator("anchor_counts", label="anchor counts", stream=AnchorCountsStream)
def anchor_counts(probs: Tensor, labels: Tensor, *, share: float = 0.2) -> Transition:
    """Estimate each row of the transition by the observed labels of the most confident examples of that class.

    T[j, o] = fraction with label o among the `share` * n_j examples with the largest probs[:, j]

    n_j is the number of labels j. Out-of-sample probabilities do not depend on an example's own label, so the labels of
    the selected examples are unbiased draws from P(observed | x). Only the order of the probabilities matters.
    Call it as ``estimate_transition(probs, labels, method="anchor_counts")``.

    Args:
        probs: (N, K) float, held-out predicted probabilities of all classes.
        labels: (N,) integer observed labels in [0, K).
        share: in (0, 1], how many examples represent a class, as a fraction of its labels. Smaller values count fewer
            examples; larger values include examples of other classes.

    Returns:
        Transition.

    Raises:
        ValueError: if a row does not hold probabilities (first one named), shapes differ, a label is out of range, or
            share is not in (0, 1].

    Special cases:
        one-hot probs of the labels give the identity.

    Notes:
        This is our method: several anchor points per class (Patrini et al. 2017), counted as in dual-T. Examples that
        tie with the last selected one are counted too. A class that no example is labelled with keeps its labels.

    Complexity:
        O(N K): one pass to check and one selection per class; N numbers of memory besides probs.

    When to use:
        Classes overlap, so that confident_joint counts the model's errors as noise, and each class has a few hundred
        examples: the sampling error of an entry is sqrt(T (1 - T) / (share * n_j)).

    Limitations:
        The most confident examples represent all others. If hard examples are mislabelled more often, as in human label
        noise, T is too close to the identity (on CIFAR-10N's worse_label, with the probabilities of a small network,
        rows were off by .09 on average, and the noise rate was .33 instead of .40). If no example certainly belongs to
        a class, its row is too far from the identity.

    Example:
        >>> from softtargets.noise import estimate_transition
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
        >>> labels = torch.tensor([0, 1, 0, 1])
        >>> estimate_transition(probs, labels, method="anchor_counts", share=1.0).to_dense().tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    check_fraction("share", share, low=1e-9)
    rows, labels = read_rows(probs, labels).counted_probs
    check_probs(rows)
    size = rows.shape[1]
    wanted = _num_anchors(float(share), torch.bincount(labels, minlength=size).cpu()).tolist()
    counts = torch.zeros(size, size, dtype=torch.int64)
    for row, count, column in zip(counts, wanted, rows.detach().unbind(1), strict=True):
        if count > 0:
            bound = column.kthvalue(len(column) - count + 1).values
            row.copy_(torch.bincount(labels[column >= bound], minlength=size))
    return from_confusion(counts, keep_empty=True)


def _anchor(column: Tensor, percentile: float | None) -> Tensor:
    if percentile is None:
        return column.argmax()
    bound = column.kthvalue(_rank(percentile, len(column)) + 1).values
    below = column.masked_fill(column >= bound, -1.0)
    # no value lies below the percentile if all values up to it are equal
    return torch.where(below.amax() >= 0, below.argmax(), column.argmin())


def _rank(percentile: float, num_rows: int) -> int:
    return math.ceil(percentile / 100 * (num_rows - 1))


def _num_anchors(share: float, class_counts: Tensor) -> Tensor:
    return (share * class_counts.double()).ceil().long()
