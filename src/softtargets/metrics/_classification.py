"""Numbers of a classifier's predictions against hard labels: accuracy and NLL."""

import torch
from torch import Tensor

from softtargets._checks import check_int
from softtargets._errors import fail
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["NLL", "Accuracy", "accuracy", "nll"]

# A label this unlikely, in nats, is one that cannot be: sums of 2^33 rows stay within 64 bits.
_IMPOSSIBLE = 2.0**30


class Accuracy(Accumulator):
    """Share of examples whose label is among the `top_k` most likely classes; see :func:`accuracy`.

    Args:
        top_k: how many classes may hold the label, at least 1.
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.
    """

    def __init__(self, *, top_k: int = 1, groups: int = 1, seed: int = 0) -> None:
        check_int("top_k", top_k, least=1, remedy="1 and 5 are usual")
        self.top_k = top_k
        super().__init__(groups=groups, seed=seed)

    def _fields(self, num_classes: int) -> dict[str, Field]:
        if self.top_k > num_classes:
            raise fail("top_k", f"at most {num_classes}, the number of classes", self.top_k, "choose fewer")
        return {"correct": Field()}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        correct = rows.correct if self.top_k == 1 else rows.rank < self.top_k
        sums.count("correct", group, times=correct)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["correct"] / totals["rows"]


class NLL(Accumulator):
    """Mean negative log-likelihood of hard labels; see :func:`nll`.

    Args:
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.
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


def accuracy(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    top_k: int = 1,
) -> Tensor:
    """Share of examples whose label is among the `top_k` most likely classes.

    mean_i [#{k: p_ik > p_il} + #{k < l: p_ik = p_il} < top_k]  with l = labels[i]: of equal ones the lowest comes first

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        top_k: how many classes may hold the label, in [1, K].

    Returns:
        () float64, a fraction.

    Raises:
        ValueError: where not exactly one of `probs` and `logits` is given, shapes differ, rows are no probabilities, a
            label is out of range (first bad row named), there is no row, or `top_k` is out of range.
        TypeError: where values are not floating-point, labels not integers, or mask not bool.

    Special cases:
        top_k=K gives 1.

    Example:
        >>> probs = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
        >>> float(accuracy(probs, torch.tensor([1, 1]))), float(accuracy(probs, torch.tensor([1, 1]), top_k=2))
        (0.0, 0.5)
    """
    return Accuracy(top_k=top_k).update(probs, labels, logits=logits, mask=mask).compute()


def nll(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean negative log-likelihood of hard labels, unsmoothed and unweighted.

    mean_i -log p_i[labels[i]]

    Each row is rounded to 2^-40 nats. A label of probability 0, or below exp(-2^30), makes it infinite.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`: exact where a probability is too small to be written.
        mask: (...) bool, the rows that count; None: all.

    Returns:
        () float64, nats, at least 0.

    Raises:
        ValueError: where not exactly one of `probs` and `logits` is given, shapes differ, rows are no probabilities, a
            label is out of range (first bad row named), or there is no row.
        TypeError: where values are not floating-point, labels not integers, or mask not bool.

    Special cases:
        certain and right gives 0; uniform gives log K; a label that was held impossible gives infinity.

    Example:
        >>> float(nll(torch.tensor([[1.0, 0.0]]), torch.tensor([0])))
        0.0
    """
    return NLL().update(probs, labels, logits=logits, mask=mask).compute()
