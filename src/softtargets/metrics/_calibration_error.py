"""Expected calibration error and the bins it is made of."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_int
from softtargets._errors import fail, unknown
from softtargets._numerics import at_least_float32
from softtargets.metrics._cells import NUM_CELLS, cell_of
from softtargets.metrics._equal_masses import Sums, cell_tops, gathered, limits, with_ends
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows, chunks
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["ECE", "Bins", "ece", "reliability_bins"]

Norm = Literal[1, 2, "max"]
# Up to so many, the first bin of equal width holds all that is below 2^-16.
_FEW = 2**16
NORMS = (1, 2, "max")
# more than what confidences in units of 2^-40 and sums in float64 can change
ROUNDING = 2.0**-39
BINNINGS = ("width", "mass")


@dataclass(frozen=True)
class Bins:
    """Sums per bin of confidence: what both the scalar and the reliability diagram come from.

    Args:
        edges: (B + 1,) float64 from 0 to 1; bin b holds edges[b] < confidence <= edges[b + 1], the first one 0 too.
            Class-wise bins of equal mass: (K, B + 1).
        count: (B,) int64 examples. Class-wise (K, B), as the following: of the probability of each class.
        confidence: (B,) float64 sums of confidence.
        correct: (B,) int64 examples predicted right; class-wise those with the label k.
    """

    edges: Tensor
    count: Tensor
    confidence: Tensor
    correct: Tensor


def width_edges(bins: int, device: torch.device | None = None) -> Tensor:
    """Return the edges of bins of equal width, (bins + 1,) float64."""
    return torch.arange(bins + 1, dtype=torch.float64, device=device) / bins


def width_places(confidence: Tensor, bins: int) -> Tensor:
    """Return the bin of equal width of each confidence; an edge belongs to the bin below, 0 to the first."""
    if confidence.dtype == torch.float64 or bins > _FEW:
        confidence = confidence.double()
        # the edge that is nearest, and the side of it
        nearest = (confidence * bins).round_()
        below = confidence <= nearest / bins
        return nearest.long().add_(below, alpha=-1).clamp_(min=0)
    # Whole units of 2^-40 hold all of a single-precision number that is not in the first bin: ceil(c B) - 1 exactly.
    return (confidence.float() * 2.0**40).long().mul_(bins).sub_(1).bitwise_right_shift_(40).clamp_(min=0)


class ECE(Accumulator):
    """Expected calibration error; see :func:`ece`.

    For `binning="mass"` it counts in fixed narrow cells of confidence, since where the edges of equal masses lie is
    known at the end alone: a cell goes into one bin, and :meth:`bound` says what that may change.

    Args:
        bins: how many, at least 1.
        norm: 1, 2 or "max".
        binning: "width" or "mass"; class-wise "width" alone.
        classwise: whether the probability of every class is binned.
        debiased: whether the noise of the bins is subtracted; norm 2 alone.
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.
    """

    interval_method = "basic"

    def __init__(
        self,
        *,
        bins: int = 15,
        norm: Norm = 1,
        binning: str = "width",
        classwise: bool = False,
        debiased: bool = False,
        groups: int = 1,
        seed: int = 0,
    ) -> None:
        _check_settings(bins, norm, binning, debiased)
        if classwise and binning == "mass":
            raise fail("binning", "'width' in a class-wise accumulator", "'mass'", "the function ece has both")
        self.bins, self.binning = bins, binning
        self.norm: Norm = norm
        self.classwise, self.debiased = classwise, debiased
        super().__init__(groups=groups, seed=seed)

    def reliability(self) -> Bins:
        """Return the bins that :meth:`compute` is made of.

        Raises:
            ValueError: where there is no example.
        """
        edges, sums = self._bins(self._totals())
        count, confidence, correct = (part[0] for part in sums)
        if self.binning == "mass":
            edges = edges[0]
        return Bins(edges, count.long(), confidence, correct.long())

    def bound(self) -> Tensor:
        """Return how far at most :meth:`compute` is from :func:`ece` of the same examples, () float64.

        Equal widths leave the rounding of confidences alone. Of equal masses, the bins that the examples of a cell with
        an edge in it may belong to are not known: what they can change, at worst, is added up.

        Raises:
            ValueError: where there is no example.
        """
        value = self.compute()
        if self.binning == "width":
            return torch.full_like(value, ROUNDING)
        totals = self._totals()
        count, confidence, correct = (part[0] for part in _sums(totals))
        low, high = limits((count, confidence, correct), self.bins, norm=self.norm, debiased=self.debiased)
        return torch.maximum(high - value, value - low) + ROUNDING

    def _fields(self, num_classes: int) -> dict[str, Field]:
        cells = (self.bins if self.binning == "width" else NUM_CELLS,)
        shape = (num_classes, *cells) if self.classwise else cells
        # wrong ones and right ones
        return {"count": Field((*shape, 2)), "confidence": Field(shape, real=True)}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        confidence, correct = _of_classes(rows) if self.classwise else (rows.top, rows.correct)
        cell = cell_of(confidence.double()) if self.binning == "mass" else width_places(confidence, self.bins)
        if self.classwise:
            cell = cell + self.bins * torch.arange(rows.num_classes, device=cell.device)
            group = group[:, None].expand_as(cell)
        group, cell = group.flatten(), cell.flatten()
        sums.add("confidence", group, cell, at_least_float32(confidence).flatten(), most=1.0)
        sums.count("count", group, cell.mul_(2).add_(correct.flatten()))

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        _, sums = self._bins(totals)
        return _error(*sums, norm=self.norm, classwise=self.classwise, debiased=self.debiased)

    def _bins(self, totals: dict[str, Tensor]) -> tuple[Tensor, Sums]:
        """Return the edges and the counts, confidences and correct ones of each bin, (R, ..., B)."""
        sums = _sums(totals)
        if self.binning == "width":
            return width_edges(self.bins, sums[0].device), sums
        cells = torch.arange(NUM_CELLS, device=sums[0].device).expand(sums[0].shape)
        cuts, sums = gathered(cells, sums, self.bins)
        return with_ends(cell_tops(cuts.device)[cuts]), sums


def _sums(totals: dict[str, Tensor]) -> Sums:
    """Return the counts, confidences and correct ones of each cell."""
    return totals["count"].sum(-1), totals["confidence"], totals["count"][..., 1]


def reliability_bins(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    bins: int = 15,
    binning: str = "width",
    classwise: bool = False,
) -> Bins:
    """Sort predictions into bins of confidence, the largest probability of each row.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        bins: how many, at least 1.
        binning: "width": equal widths; "mass": equal counts, equal confidences kept together.
        classwise: whether to bin the probability of every class instead, each against whether the label is that class.

    Returns:
        Bins; class-wise with a leading axis of K.

    Raises:
        ValueError: where not exactly one of `probs` and `logits` is given, shapes differ, rows are no probabilities, a
            label is out of range (first bad row named), there is no row, or bins < 1.
        TypeError: where values are not floating-point, labels not integers, or mask not bool.
    """
    if binning != "mass":
        accumulator = ECE(bins=bins, binning=binning, classwise=classwise)
        return accumulator.update(probs, labels, logits=logits, mask=mask).reliability()
    check_int("bins", bins, least=1, remedy="15 and 100 are usual")
    parts = [
        _of_classes(rows) if classwise else (rows.confidence[:, None], rows.correct[:, None])
        for rows in chunks(probs, labels, logits=logits, mask=mask)
    ]
    if not parts:
        raise fail("reliability_bins", "at least one example", "none", "a metric of nothing is undefined")
    confidence, correct = (torch.cat(column).T for column in zip(*parts, strict=True))
    confidence, order = confidence.sort(-1)
    sums = torch.ones_like(confidence), confidence, correct.double().gather(-1, order)
    cuts, sums = gathered(confidence, sums, bins)
    edges, count, confidence, correct = (part if classwise else part[0] for part in (with_ends(cuts), *sums))
    return Bins(edges, count.long(), confidence, correct.long())


def ece(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    bins: int = 15,
    norm: Norm = 1,
    binning: str = "width",
    classwise: bool = False,
    debiased: bool = False,
) -> Tensor:
    """Expected calibration error of the predicted class (Guo et al. 2017, Eq. 3), or of every class.

    (sum_b n_b / N * |accuracy_b - confidence_b| ** norm) ** (1 / norm); "max": the largest gap over non-empty bins

    classwise=True bins the probability of each class k against [label = k]: the mean over classes (Nixon et al. 2019,
    Kull et al. 2019), for norm 2 the root of the mean of the squares (Kumar et al. 2019, marginal), or the largest.
    debiased=True subtracts accuracy_b (1 - accuracy_b) / (n_b - 1) from each squared gap, which leaves out bins of one
    example, and takes the root of what is above 0 (Kumar et al. 2019, their debiased estimator).
    A confidence of exactly 1 falls in the last bin and one of exactly 0 in the first.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        bins: how many; 15 is usual, Lukasik et al. 2020 use 100.
        norm: 1, 2 or "max".
        binning: "width" or "mass".
        classwise: whether every class counts, not the predicted one alone.
        debiased: whether the noise of the bins is subtracted; norm 2 alone.

    Returns:
        () float64, a fraction in [0, 1].

    Raises:
        ValueError: as :func:`reliability_bins`, or for another norm.
        TypeError: as :func:`reliability_bins`.

    Special cases:
        certain and always right gives 0; certain and always wrong gives 1.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.75, 0.25]])
        >>> float(ece(probs, torch.tensor([0, 1])))  # confidence .75, accuracy .5
        0.25
    """
    _check_settings(bins, norm, binning, debiased)
    table = reliability_bins(probs, labels, logits=logits, mask=mask, bins=bins, binning=binning, classwise=classwise)
    sums = table.count.double(), table.confidence, table.correct.double()
    return _error(*sums, norm=norm, classwise=classwise, debiased=debiased)


def _check_settings(bins: int, norm: Norm, binning: str, debiased: bool) -> None:
    check_int("bins", bins, least=1, remedy="15 and 100 are usual")
    if norm not in NORMS:
        raise unknown("norm", str(norm), tuple(str(known) for known in NORMS))
    if binning not in BINNINGS:
        raise unknown("binning", binning, BINNINGS)
    if debiased and norm != 2:
        raise fail("debiased", "norm 2", f"norm {norm}", "pass norm=2: the bias of the others is not known")


def _of_classes(rows: Rows) -> tuple[Tensor, Tensor]:
    """Return the probability of every class and whether it is the label, (n, K)."""
    classes = torch.arange(rows.num_classes, device=rows.labels.device)
    return rows.probs, rows.labels[:, None] == classes


def _error(
    count: Tensor, confidence: Tensor, correct: Tensor, *, norm: Norm, classwise: bool, debiased: bool
) -> Tensor:
    """Return the calibration error, (R), of sums of bins, (R, B) or class-wise (R, K, B), float64."""
    share = count / count.sum(-1, keepdim=True)
    # an empty bin has a gap of 0; where all are empty, NaN
    gap = torch.where(count > 0, (correct - confidence).abs() / count, 0.0 * share)
    if norm == "max":
        return gap.amax((-2, -1) if classwise else -1)
    terms = gap if norm == 1 else gap.square()
    if debiased:
        accuracy = correct / count
        terms = torch.where(count > 1, terms - accuracy * (1 - accuracy) / (count - 1), 0.0)
    summed = (share * terms).sum(-1)
    summed = summed.mean(-1) if classwise else summed
    return summed if norm == 1 else summed.clamp(min=0).sqrt()
