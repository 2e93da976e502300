"""Accuracy and negative log-likelihood of labels."""

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

    def _soft_fields(self, num_classes: int) -> dict[str, Field]:
        return {name: Field(real=True) for name in self._fields(num_classes)}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        if rows.soft is None:
            sums.count("correct", group, times=rows.hits(self.top_k))
        else:
            sums.add("correct", group, None, rows.hits(self.top_k), most=1.0)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["correct"] / totals["rows"]


class NLL(Accumulator):
    """Mean negative log-likelihood of labels, accumulated; see :func:`nll`.

    Args:
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.

    Aliases:
        LogLoss
    """

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"nll": Field(real=True), "infinite": Field()}

    _soft_fields = _fields

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

    On ties the lowest class is ranked first. With soft labels, an example counts by the probability that a label drawn
    from its distribution is among these classes: the expected accuracy against one annotator. The highest accuracy that
    any predictions can reach is then 1 - `error` of :func:`label_uncertainty`.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K), or (..., K) soft labels: votes (whole numbers) or probabilities that sum to 1.
            Votes are divided by their sum, so that every example has the same weight.
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        top_k: number of classes among which the label counts as correct, in [1, K].

    Returns:
        () float64, a fraction in [0, 1].

    Raises:
        ValueError: if both `probs` and `logits` are given, shapes differ, a row is not a probability distribution, a
            label is out of range, soft labels are negative, sum to 0, or are neither whole numbers nor probabilities
            (first bad row named), or no row is left, or `top_k` is not in [1, K].
        TypeError: if an argument is missing, predictions are not floating-point, labels neither integers nor one
            number per class, or mask not bool.

    Special cases:
        top_k=K gives 1; one vote per example gives the accuracy of these labels.

    Aliases:
        accuracy_score; top_k_accuracy_score; multiclass_accuracy; 1 - error rate; top_k_accuracy

    Example:
        >>> probs = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
        >>> float(accuracy(probs, torch.tensor([1, 1]))), float(accuracy(probs, torch.tensor([1, 1]), top_k=2))
        (0.0, 0.5)
        >>> votes = torch.tensor([[2, 1, 0], [0, 1, 3]])                        # 2/3 and 3/4 agree with the prediction
        >>> round(float(accuracy(probs, votes)), 4)
        0.7083
    """
    options: RowOptions = {"mask": mask, "ignore_index": ignore_index, "class_dim": class_dim}
    read = chunks(probs, labels, logits=logits, soft=True, **options)
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
    """Mean negative log-likelihood of labels, unsmoothed and unweighted.

    mean_i -log p_i[labels[i]]
    mean_i sum_k -q_ik log p_ik        for soft labels q

    With soft labels, this is the expected NLL of a label drawn from the distribution of the example. Its minimum over
    all predictions is the mean entropy of these distributions, `nll` of :func:`label_uncertainty`; the rest is the mean
    Kullback-Leibler divergence from the labels to the predictions.

    The value of each row is rounded to 2^-40 nats. A label with probability 0, or below exp(-2^30), makes the mean
    infinite.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K), or (..., K) soft labels: votes (whole numbers) or probabilities that sum to 1.
            Votes are divided by their sum, so that every example has the same weight.
        logits: (..., K) float, in place of `probs`; more accurate if probabilities are very small. (N,) or (N, 1): the
            log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.

    Returns:
        () float64, nats, at least 0.

    Raises:
        ValueError: if both `probs` and `logits` are given, shapes differ, a row is not a probability distribution, a
            label is out of range, soft labels are negative, sum to 0, or are neither whole numbers nor probabilities
            (first bad row named), or no row is left.
        TypeError: if an argument is missing, predictions are not floating-point, labels neither integers nor one
            number per class, or mask not bool.

    Special cases:
        probability 1 for every label gives 0; uniform rows give log K; a label with probability 0 gives infinity; one
        vote per example gives the NLL of these labels.

    Aliases:
        log_loss; negative_log_likelihood; log-likelihood; logarithmic score; negative log-likelihood;
        nll_loss

    Example:
        >>> float(nll(torch.tensor([[1.0, 0.0]]), torch.tensor([0])))
        0.0
        >>> round(float(nll(torch.tensor([[0.5, 0.5]]), torch.tensor([[2, 1]]))), 4)        # log 2, whatever the votes
        0.6931
    """
    options: RowOptions = {"mask": mask, "ignore_index": ignore_index, "class_dim": class_dim}
    read = chunks(probs, labels, logits=logits, soft=True, **options)
    return gather(NLL(), read).compute()
