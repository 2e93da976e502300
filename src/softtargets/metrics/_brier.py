"""The Brier score and the parts it is the sum of."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_int
from softtargets.metrics._calibration_error import width_places
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows, sum_of_rows
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["Brier", "BrierDecomposition", "BrierParts", "brier", "brier_decomposition"]


class Brier(Accumulator):
    """Mean squared distance of probabilities and hard labels; see :func:`brier`.

    Args:
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.
    """

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"brier": Field(real=True)}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        of_label = rows.probs.gather(1, rows.labels[:, None])[:, 0]
        sums.add("brier", group, None, sum_of_rows(rows.probs.square()) - 2 * of_label + 1)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        return totals["brier"] / totals["rows"]


@dataclass(frozen=True)
class BrierParts:
    """What the Brier score is made of: brier = reliability - resolution + uncertainty + within_bin.

    Args:
        reliability: () float64 of at least 0: squared distance of forecast and frequency in a bin; 0 is calibrated.
        resolution: () float64 of at least 0: squared distance of a bin's frequency and the overall one; high is good.
        uncertainty: () float64: the score of the overall frequencies as the forecast for all.
        within_bin: () float64: what forecasts that differ within a bin lose (variance) and gain (covariance).
    """

    reliability: Tensor
    resolution: Tensor
    uncertainty: Tensor
    within_bin: Tensor

    @property
    def brier(self) -> Tensor:
        """The Brier score, () float64."""
        return self.reliability - self.resolution + self.uncertainty + self.within_bin


class BrierDecomposition(Accumulator):
    """The parts of the Brier score in the order of :class:`BrierParts`, (4,); see :func:`brier_decomposition`.

    Args:
        bins: how many of equal width, for the probability of each class.
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.
    """

    interval_method = "basic"
    # what forecasts gain within bins may be more than what they lose
    least = (0.0, 0.0, 0.0, -math.inf)

    def __init__(self, *, bins: int = 15, groups: int = 1, seed: int = 0) -> None:
        check_int("bins", bins, least=1, remedy="15 and 100 are usual")
        self.bins = bins
        super().__init__(groups=groups, seed=seed)

    def _fields(self, num_classes: int) -> dict[str, Field]:
        shape = (num_classes, self.bins)
        return {
            "count": Field(shape),
            "occurred": Field(shape),
            "forecast": Field(shape, real=True),
            "crossed": Field(shape, real=True),
        }

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        probs = rows.probs
        classes = torch.arange(rows.num_classes, device=probs.device)
        occurred = rows.labels[:, None] == classes
        cells = (width_places(probs, self.bins) + self.bins * classes).flatten()
        groups = group[:, None].expand_as(probs).flatten()
        sums.count("count", groups, cells)
        sums.count("occurred", groups, cells, occurred.flatten())
        sums.add("forecast", groups, cells, probs.flatten())
        # (f - o)^2 - o
        sums.add("crossed", groups, cells, (probs.square() - 2 * probs * occurred).flatten())

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


def brier(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean squared distance of probabilities and hard labels (Brier 1950), summed over all classes.

    mean_i sum_k (p_ik - [k = labels[i]]) ** 2

    For two classes this is twice the number that sums over one class alone (scikit-learn's for binary labels).

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.

    Returns:
        () float64 in [0, 2].

    Raises:
        ValueError: where not exactly one of `probs` and `logits` is given, shapes differ, rows are no probabilities, a
            label is out of range (first bad row named), or there is no row.
        TypeError: where values are not floating-point, labels not integers, or mask not bool.

    Special cases:
        certain and right gives 0; certain and wrong gives 2; uniform gives 1 - 1 / K.

    Example:
        >>> float(brier(torch.tensor([[0.75, 0.25]]), torch.tensor([0])))       # .25^2 + .25^2
        0.125
    """
    return Brier().update(probs, labels, logits=logits, mask=mask).compute()


def brier_decomposition(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    bins: int = 15,
) -> BrierParts:
    """Split the Brier score into calibration, discrimination, difficulty and what happens within bins.

    For each class, of N forecasts f of its outcomes o, bin b holding n_b with the means f_b and o_b, and o. of all:

    reliability = sum_b n_b / N (f_b - o_b) ** 2                                            # Murphy 1973
    resolution  = sum_b n_b / N (o_b - o.) ** 2
    uncertainty = o. (1 - o.)
    within_bin  = sum_b 1 / N sum_i (f_i - f_b) ** 2 - 2 (f_i - f_b) (o_i - o_b)            # Stephenson et al. 2008

    each summed over the classes; reliability - resolution + uncertainty + within_bin is the Brier score. Murphy's three
    alone are so where all forecasts of a bin are equal. Bins are of equal width, edges belong to the bin below.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        bins: how many, at least 1.

    Returns:
        BrierParts.

    Raises:
        ValueError: as :func:`brier`, or where bins < 1.
        TypeError: as :func:`brier`, or where bins is no int.

    Special cases:
        one forecast for all gives resolution 0; forecasts on the middles of the bins give within_bin 0.

    Example:
        >>> parts = brier_decomposition(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]))
        >>> float(parts.reliability), float(parts.resolution), float(parts.uncertainty), float(parts.within_bin)
        (0.125, 0.0, 0.5, 0.0)
    """
    made = BrierDecomposition(bins=bins).update(probs, labels, logits=logits, mask=mask).compute()
    return BrierParts(*made.unbind())
