"""Accuracy and negative log-likelihood of hard labels."""

from typing import Unpack, overload

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_int
from softtargets._errors import fail
from softtargets.metrics.accumulators import Accumulator, gather
from softtargets.metrics.arguments import REQUIRED, RowOptions
from softtargets.metrics.rows import Rows, chunks
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["NLL", "Accuracy", "accuracy", "nll"]

# A label with a larger NLL, in nats, counts as impossible, so that sums of 2^33 rows fit into 64 bits.
_IMPOSSIBLE = 2.0**30


class Accuracy(Accumulator):
    """Top-k accuracy, accumulated; see :func:`accuracy`.

    Args:
        top_k: number of most likely classes among which the label counts as correct, at least 1.
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.

    Aliases:
        MulticlassAccuracy; top-k accuracy
    """

    def __init__(self, *, top_k: int = 1, groups: int = 1, seed: int = 0) -> None:
        check_int("top_k", top_k, least=1, remedy="1 and 5 are usual")
        self.top_k = int(top_k)
        super().__init__(groups=groups, seed=seed)

    def _fields(self, num_classes: int) -> dict[str, Field]:
        if self.top_k > num_classes:
            raise fail("top_k", f"at most {num_classes}, the number of classes", self.top_k, "choose a smaller top_k")
        return {"correct": Field()}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        correct = rows.correct if self.top_k == 1 else rows.rank < self.top_k
        sums.count("correct", group, times=correct)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["correct"] / totals["rows"]


class NLL(Accumulator):
    """Mean negative log-likelihood of hard labels, accumulated; see :func:`nll`.

    Args:
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.

    Aliases:
        LogLoss
    """

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"nll": Field(real=True), "infinite": Field()}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        values = -rows.log_likelihood
        infinite = values > _IMPOSSIBLE
        sums.count("infinite", group, times=infinite)
        sums.add("nll", group, None, values.masked_fill(infinite, 0.0))

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return (totals["nll"] / totals["rows"]).masked_fill(totals["infinite"] > 0, torch.inf)


@overload
def accuracy(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    top_k: int = ...,
    **options: Unpack[RowOptions],
) -> Tensor: ...


@overload
def accuracy(
    *,
    logits: ArrayLike,
    labels: ArrayLike,
    top_k: int = ...,
    **options: Unpack[RowOptions],
) -> Tensor: ...


@array_function
def accuracy(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    top_k: int = 1,
) -> Tensor:
    """Top-k accuracy: the share of examples whose label is among the `top_k` most likely classes.

    mean_i [#{k: p_ik > p_il} + #{k < l: p_ik = p_il} < top_k],  l = labels[i]

    On ties the lowest class is ranked first.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        top_k: number of classes among which the label counts as correct, in [1, K].

    Returns:
        () float64, a fraction in [0, 1].

    Raises:
        ValueError: if both `probs` and `logits` are given, shapes differ, a row is not a probability distribution, a
            label is out of range (first bad row named), or no row is left, or `top_k` is not in [1, K].
        TypeError: if an argument is missing, predictions are not floating-point, labels not integers, or mask not
            bool.

    Special cases:
        top_k=K gives 1.

    Aliases:
        accuracy_score; top_k_accuracy_score; multiclass_accuracy; 1 - error rate; top_k_accuracy

    Example:
        >>> probs = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
        >>> float(accuracy(probs, torch.tensor([1, 1]))), float(accuracy(probs, torch.tensor([1, 1]), top_k=2))
        (0.0, 0.5)
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    return gather(Accuracy(top_k=top_k), read).compute()


@overload
def nll(probs: ArrayLike, labels: ArrayLike, **options: Unpack[RowOptions]) -> Tensor: ...


@overload
def nll(*, logits: ArrayLike, labels: ArrayLike, **options: Unpack[RowOptions]) -> Tensor: ...


@array_function
def nll(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
) -> Tensor:
    """Mean negative log-likelihood of hard labels, unsmoothed and unweighted.

    mean_i -log p_i[labels[i]]

    The value of each row is rounded to 2^-40 nats. A label with probability 0, or below exp(-2^30), makes the mean
    infinite.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`; more accurate if probabilities are very small.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.

    Returns:
        () float64, nats, at least 0.

    Raises:
        ValueError: if both `probs` and `logits` are given, shapes differ, a row is not a probability distribution, a
            label is out of range (first bad row named), or no row is left.
        TypeError: if an argument is missing, predictions are not floating-point, labels not integers, or mask not
            bool.

    Special cases:
        probability 1 for every label gives 0; uniform rows give log K; a label with probability 0 gives infinity.

    Aliases:
        log_loss; negative_log_likelihood; log-likelihood; logarithmic score; negative log-likelihood;
        nll_loss

    Example:
        >>> float(nll(torch.tensor([[1.0, 0.0]]), torch.tensor([0])))
        0.0
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    return gather(NLL(), read).compute()
