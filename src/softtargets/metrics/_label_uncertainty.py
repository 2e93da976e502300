"""The uncertainty of soft labels: the part of a score that no predictions can avoid."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_mask, where
from softtargets._errors import fail, fail_type
from softtargets._numerics import sum_of_rows
from softtargets._results import TensorResult
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.arguments import check_class_dim, nothing_left
from softtargets.metrics.rows import Rows
from softtargets.metrics.soft_labels import read_soft_labels
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["LabelUncertainty", "UncertaintyParts", "label_entropy", "label_uncertainty"]

_NAMES = ("nll", "brier", "error")
# numbers processed at a time
_CHUNK = 2**20


@dataclass(frozen=True, eq=False, repr=False)
class UncertaintyParts(TensorResult):
    """The smallest expected scores that any predictions can reach on soft labels.

    Args:
        nll: () float64, nats: mean entropy of the labels.
        brier: () float64 in [0, 1 - 1 / K]: mean probability that two labels drawn for an example differ.
        error: () float64 in [0, 1 - 1 / K]: 1 - the highest expected accuracy, reached by the most likely class.
    """

    nll: Tensor
    brier: Tensor
    error: Tensor


class LabelUncertainty(Accumulator):
    """Uncertainty of soft labels, accumulated; see :func:`label_uncertainty`.

    :meth:`compute` returns the numbers in the order of :class:`UncertaintyParts`, (3,). Predictions do not matter; they
    are passed so that the accumulator can be updated together with others. Hard labels have no uncertainty.

    Args:
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.
    """

    least = (0.0, 0.0, 0.0)

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {name: Field(real=True) for name in _NAMES}

    _soft_fields = _fields

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        if rows.soft is not None:
            for name, values in _of_rows(rows.soft).items():
                sums.add(name, group, None, values)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return torch.stack([totals[name] / totals["rows"] for name in _NAMES], -1)


@array_function
def label_uncertainty(labels: ArrayLike, *, mask: ArrayLike | None = None, class_dim: int = -1) -> UncertaintyParts:
    """Uncertainty of soft labels: the smallest expected NLL, Brier score and error that any predictions can reach.

    nll   = mean_i -sum_k q_ik log q_ik
    brier = mean_i 1 - sum_k q_ik ** 2
    error = mean_i 1 - max_k q_ik

    q_i is the distribution of the label of example i: its votes divided by their sum, or the given probabilities.
    Predictions equal to q reach all three. What exceeds them is due to the predictions: the mean Kullback-Leibler
    divergence from q for the NLL, and the squared distance from q for the Brier score.

    Args:
        labels: (..., K) soft labels: votes (whole numbers) or probabilities that sum to 1.
        mask: (...) bool, True for rows to include. Default: all rows.
        class_dim: axis of the classes.

    Returns:
        UncertaintyParts.

    Raises:
        ValueError: if soft labels are negative, sum to 0, or are neither whole numbers nor probabilities (first bad row
            named), or no row is left.
        TypeError: if labels are not a tensor or array of real numbers.

    Special cases:
        one vote per example gives 0 everywhere; uniform rows give log K, 1 - 1 / K and 1 - 1 / K.

    Limitations:
        The values are those of the given votes. With few votes per example they are smaller than those of the
        population of annotators: the entropy of 3 votes is at most log 3, and on average the Brier part of n votes is
        (n - 1) / n of that of the population.

    Aliases:
        irreducible uncertainty; Bayes error of soft labels; aleatoric uncertainty; human uncertainty

    Example:
        >>> label_uncertainty(torch.tensor([[2, 2], [4, 0]]))  # (log 2 + 0) / 2, (1/2 + 0) / 2, (1/2 + 0) / 2
        UncertaintyParts(nll=0.3466, brier=0.25, error=0.25)
    """
    rows, shape = _read(labels, class_dim)
    check_mask(mask, shape)
    kept = None if mask is None else mask.reshape(-1).to(rows.device)
    parts = [_of_rows(soft) for soft in _chunks(rows, kept, shape)]
    if not parts:
        raise nothing_left("label_uncertainty")
    return UncertaintyParts(**{name: torch.cat([part[name] for part in parts]).mean() for name in _NAMES})


@array_function
def label_entropy(labels: ArrayLike, *, class_dim: int = -1) -> Tensor:
    """Entropy of the soft label of each example.

    -sum_k q_ik log q_ik,  q_i = labels_i / sum_k labels_ik

    Args:
        labels: (..., K) soft labels: votes (whole numbers) or probabilities that sum to 1.
        class_dim: axis of the classes.

    Returns:
        (...) float64, nats, in [0, log K].

    Raises:
        ValueError: if soft labels are negative, sum to 0, or are neither whole numbers nor probabilities (first bad row
            named).
        TypeError: if labels are not a tensor or array of real numbers.

    Special cases:
        one class with all votes gives 0; uniform rows give log K.

    Aliases:
        annotator entropy; human entropy

    Example:
        >>> label_entropy(torch.tensor([[1, 1], [3, 0]])).exp().tolist()  # as uncertain as 2 and as 1 class
        [2.0, 1.0]
    """
    rows, shape = _read(labels, class_dim)
    found = [_of_rows(soft)["nll"] for soft in _chunks(rows, None, shape)]
    return torch.cat(found).reshape(shape) if found else rows.new_zeros(shape, dtype=torch.float64)


def _of_rows(soft: Tensor) -> dict[str, Tensor]:
    """Return the smallest expected scores of each row, (n,) float64."""
    entropy = torch.special.entr(soft)
    return {"nll": sum_of_rows(entropy), "brier": 1 - sum_of_rows(soft.square()), "error": 1 - soft.amax(1)}


def _read(labels: object, class_dim: int) -> tuple[Tensor, tuple[int, ...]]:
    """Return (N, K) numbers, and the shape of the rows."""
    required = "votes or probabilities of shape (..., K) with K >= 2"
    if not isinstance(labels, Tensor) or labels.is_complex():
        got = f"dtype {labels.dtype}" if isinstance(labels, Tensor) else type(labels).__name__
        raise fail_type("labels", required, got, "pass a tensor or an array of votes")
    if labels.ndim >= 2:
        check_class_dim("labels", labels, class_dim)
        moved = labels.detach().movedim(class_dim, -1)
        if moved.shape[-1] >= 2:
            return moved.reshape(-1, moved.shape[-1]), tuple(moved.shape[:-1])
    raise fail("labels", required, tuple(labels.shape), "give one number for each class of each example")


def _chunks(rows: Tensor, kept: Tensor | None, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Yield the checked distributions of the rows that are not left out."""
    numbers = torch.arange(len(rows), device=rows.device)
    if kept is not None:
        numbers = numbers[kept]
    for some in numbers.split(max(1, _CHUNK // rows.shape[1])):
        if len(some):
            yield read_soft_labels(rows[some], lambda row, some=some: _place(int(some[row]), shape))


def _place(row: int, shape: tuple[int, ...]) -> str:
    return where(tuple(int(i) for i in torch.unravel_index(torch.tensor(row), shape)))
