"""The Brier score and its decomposition."""

import math
from dataclasses import dataclass
from typing import Unpack, overload

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_int
from softtargets._numerics import sum_of_rows
from softtargets._results import TensorResult, shown
from softtargets.metrics.accumulators import Accumulator, gather
from softtargets.metrics.arguments import REQUIRED, RowOptions
from softtargets.metrics.rows import Rows, chunks
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["Brier", "BrierDecomposition", "BrierParts", "brier", "brier_decomposition"]


class Brier(Accumulator):
    """Brier score, accumulated; see :func:`brier`.

    Args:
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.

    Aliases:
        BrierScore; MulticlassBrierScore
    """

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"brier": Field(real=True)}

    _soft_fields = _fields

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        sums.add("brier", group, None, sum_of_rows(rows.probs.square()) - 2 * rows.expected(rows.probs) + 1)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["brier"] / totals["rows"]


@dataclass(frozen=True, eq=False, repr=False)
class BrierParts(TensorResult):
    """The parts of the Brier score: brier = reliability - resolution + uncertainty + within_bin.

    Args:
        reliability: () float64, at least 0: squared difference of mean forecast and frequency in a bin; 0 is best.
        resolution: () float64, at least 0: squared difference of a bin's frequency and the overall one; high is good.
        uncertainty: () float64: the score of a constant forecast of the overall frequencies.
        within_bin: () float64: the effect of forecasts that differ within a bin, variance minus twice the covariance.
    """

    reliability: Tensor
    resolution: Tensor
    uncertainty: Tensor
    within_bin: Tensor

    @property
    def brier(self) -> Tensor:
        """The Brier score, () float64."""
        return self.reliability - self.resolution + self.uncertainty + self.within_bin

    def __repr__(self) -> str:
        return f"BrierParts({', '.join(f'{name}={shown(value)}' for name, value in vars(self).items())})"


class BrierDecomposition(Accumulator):
    """The parts of the Brier score, accumulated; see :func:`brier_decomposition`.

    :meth:`compute` returns them in the order of :class:`BrierParts`, (4,).

    Args:
        n_bins: number of bins of equal width for the probability of each class.
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.
    """

    interval_method = "basic"
    # within_bin is negative where the covariance outweighs the variance
    least = (0.0, 0.0, 0.0, -math.inf)

    def __init__(self, *, n_bins: int = 15, groups: int = 1, seed: int = 0) -> None:
        check_int("n_bins", n_bins, least=1, remedy="15 and 100 are usual")
        self.n_bins = int(n_bins)
        super().__init__(groups=groups, seed=seed)

    def _fields(self, num_classes: int) -> dict[str, Field]:
        shape = (num_classes, self.n_bins)
        return {
            "count": Field(shape),
            "occurred": Field(shape),
            "forecast": Field(shape, real=True),
            "crossed": Field(shape, real=True),
        }

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        # crossed: (f - o)^2 - o
        fields = {"counts": "count", "occurred": "occurred", "sums": "forecast", "crossed": "crossed"}
        sums.add_to_class_bins(group, rows.probs, rows.labels, **fields)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        rows = totals["rows"][:, None, None]
        count, occurred = totals["count"], totals["occurred"]
        filled = count > 0
        forecast, frequency = (torch.where(filled, totals[name] / count, 0.0) for name in ("forecast", "occurred"))
        overall = occurred.sum(-1, keepdim=True) / rows
        share = count / rows
        parts = (
            share * (forecast - frequency).square(),
            share * (frequency - overall).square(),
            overall * (1 - overall),
            totals["crossed"] / rows - share * (forecast.square() - 2 * forecast * frequency),
        )
        return torch.stack([part.sum((-2, -1)) for part in parts], -1)


@overload
def brier(probs: ArrayLike, labels: ArrayLike, **options: Unpack[RowOptions]) -> Tensor: ...


@overload
def brier(*, logits: ArrayLike, labels: ArrayLike, **options: Unpack[RowOptions]) -> Tensor: ...


@array_function
def brier(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
) -> Tensor:
    """Brier score: mean squared difference of probabilities and labels, summed over all classes.

    mean_i sum_k (p_ik - [k = labels[i]]) ** 2        # Brier 1950
    mean_i sum_k (p_ik - q_ik) ** 2 + q_ik (1 - q_ik)        for soft labels q

    With soft labels, this is the expected score of a label drawn from the distribution of the example. Its minimum over
    all predictions, sum_k q_ik (1 - q_ik), is `brier` of :func:`label_uncertainty`; the rest is the squared distance of
    the predictions from the distributions.

    For two classes this is twice scikit-learn's score for binary labels, which counts only one class.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K), or (..., K) soft labels: votes (whole numbers) or probabilities that sum to 1.
            Votes are divided by their sum, so that every example has the same weight.
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.

    Returns:
        () float64 in [0, 2].

    Raises:
        ValueError: if both `probs` and `logits` are given, shapes differ, a row is not a probability distribution, a
            label is out of range, soft labels are negative, sum to 0, or are neither whole numbers nor probabilities
            (first bad row named), or no row is left.
        TypeError: if an argument is missing, predictions are not floating-point, labels neither integers nor one
            number per class, or mask not bool.

    Special cases:
        certain and right gives 0; certain and wrong gives 2; uniform gives 1 - 1 / K; one vote per example gives the
        score of these labels.

    Aliases:
        brier_score_loss; brier_score; quadratic score; Brier score; multiclass_brier_score

    Example:
        >>> float(brier(torch.tensor([[0.75, 0.25]]), torch.tensor([0])))       # .25^2 + .25^2
        0.125
    """
    options: RowOptions = {"mask": mask, "ignore_index": ignore_index, "class_dim": class_dim}
    read = chunks(probs, labels, logits=logits, soft=True, **options)
    return gather(Brier(), read).compute()


@overload
def brier_decomposition(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    n_bins: int = ...,
    **options: Unpack[RowOptions],
) -> BrierParts: ...


@overload
def brier_decomposition(
    *,
    logits: ArrayLike,
    labels: ArrayLike,
    n_bins: int = ...,
    **options: Unpack[RowOptions],
) -> BrierParts: ...


@array_function
def brier_decomposition(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    n_bins: int = 15,
) -> BrierParts:
    """Decompose the Brier score into reliability, resolution, uncertainty and a within-bin term.

    A class has N forecasts f of its outcomes o. Bin b holds n_b of them, with the means f_b and o_b, and o_mean is the
    mean of all outcomes.

    reliability = sum_b n_b / N (f_b - o_b) ** 2                                            # Murphy 1973
    resolution  = sum_b n_b / N (o_b - o_mean) ** 2
    uncertainty = o_mean (1 - o_mean)
    within_bin  = sum_b 1 / N sum_i (f_i - f_b) ** 2 - 2 (f_i - f_b) (o_i - o_b)            # Stephenson et al. 2008

    Each part is summed over the classes. reliability - resolution + uncertainty + within_bin is the Brier score.
    Murphy's three parts suffice if all forecasts of a bin are equal. Bins have equal widths, and an edge belongs to the
    bin below it.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        n_bins: number of bins, at least 1.

    Returns:
        BrierParts.

    Raises:
        ValueError: as :func:`brier`, or if n_bins < 1.
        TypeError: as :func:`brier`, or if n_bins is not an int.

    Special cases:
        equal forecasts for all examples give resolution 0; forecasts on the middles of the bins give within_bin 0.

    Aliases:
        Murphy decomposition; reliability, resolution and uncertainty

    Example:
        >>> brier_decomposition(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]))
        BrierParts(reliability=0.125, resolution=0, uncertainty=0.5, within_bin=0)
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    return BrierParts(*gather(BrierDecomposition(n_bins=n_bins), read).compute().unbind())
