"""Expected calibration error, accumulated."""

from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_int
from softtargets._errors import fail, unknown
from softtargets._native.bin_sums import width_places
from softtargets.metrics._bins import Bins, width_edges
from softtargets.metrics._cells import NUM_CELLS, cell_of
from softtargets.metrics._equal_masses import Sums, cell_tops, gathered, limits, with_ends
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["ECE"]

Norm = Literal["l1", "l2", "max"]
Binning = Literal["width", "mass"]
NORMS: tuple[Norm, ...] = ("l1", "l2", "max")
BINNINGS: tuple[Binning, ...] = ("width", "mass")
# other spellings of the norms
_MEANT = {"1": "l1", "2": "l2", "inf": "max", "linf": "max"}
# more than the effect of confidences in units of 2^-40 and of sums in float64
ROUNDING = 2.0**-39


class ECE(Accumulator):
    """Expected calibration error, accumulated; see :func:`ece`.

    The edges of bins of equal mass are known only at the end. With `binning="mass"` the state therefore counts in fixed
    narrow cells of confidence, each of which is assigned to one bin, and :meth:`bound` bounds the difference.

    Args:
        n_bins: number of bins, at least 1.
        norm: "l1", "l2" or "max".
        binning: "width" or "mass"; class-wise only "width".
        classwise: whether the probability of every class is binned.
        debiased: whether the expected noise of the bins is subtracted; only with norm="l2".
        groups: as in :class:`Accumulator`.
        seed: as in :class:`Accumulator`.

    Aliases:
        MulticlassCalibrationError; CalibrationError; ExpectedCalibrationError; ECELoss
    """

    interval_method = "basic"
    most = 1.0

    def __init__(
        self,
        *,
        n_bins: int = 15,
        norm: Norm = "l1",
        binning: Binning = "width",
        classwise: bool = False,
        debiased: bool = False,
        groups: int = 1,
        seed: int = 0,
    ) -> None:
        check_settings(n_bins, norm, binning, debiased)
        if classwise and binning == "mass":
            remedy = "use the function metrics.ece, which has both"
            raise fail("binning", "'width' in a class-wise accumulator", "'mass'", remedy)
        self.n_bins = int(n_bins)
        self.norm: Norm = norm
        self.binning: Binning = binning
        self.classwise, self.debiased = bool(classwise), bool(debiased)
        super().__init__(groups=groups, seed=seed)

    def reliability(self) -> Bins:
        """Return the bins that :meth:`compute` is computed from.

        Raises:
            ValueError: if there are no examples.
        """
        totals = self._totals()
        edges, sums = self._bins(totals)
        count, confidence, correct = (part[0] for part in sums[:3])
        if self.binning == "mass":
            edges = edges[0]
        return Bins(edges, count.long(), confidence, correct if "correct" in totals else correct.long())

    def bound(self) -> Tensor:
        """Return an upper bound on the difference between :meth:`compute` and :func:`ece` of the same examples.

        With bins of equal width the only difference is the rounding of the confidences. With bins of equal mass, the
        examples of a cell that contains a bin edge may belong to either bin; the bound sums the largest possible
        effects.

        Returns:
            () float64.

        Raises:
            ValueError: if there are no examples.
        """
        value = self.compute()
        if self.binning == "width":
            return torch.full_like(value, ROUNDING)
        totals = self._totals()
        low, high = limits(
            tuple(part[0] for part in _sums(totals)), self.n_bins, norm=self.norm, debiased=self.debiased
        )
        return torch.maximum(high - value, value - low) + ROUNDING

    def _fields(self, num_classes: int) -> dict[str, Field]:
        shape = self._shape(num_classes)
        # last axis: wrong and right predictions
        return {"count": Field((*shape, 2)), "confidence": Field(shape, real=True)}

    def _soft_fields(self, num_classes: int) -> dict[str, Field]:
        shape = self._shape(num_classes)
        # correct: the probability of being right; squares: of it, whose sum gives the variance in a bin
        real = ("confidence", "correct", *(("squares",) if self.debiased else ()))
        return {"count": Field(shape), **{name: Field(shape, real=True) for name in real}}

    def _shape(self, num_classes: int) -> tuple[int, ...]:
        cells = (self.n_bins if self.binning == "width" else NUM_CELLS,)
        return (num_classes, *cells) if self.classwise else cells

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        if rows.soft is not None:
            self._add_soft(sums, rows, group)
        elif self.classwise:
            sums.add_to_class_bins(group, rows.probs, rows.labels, counts="count", sums="confidence")
        elif self.binning == "width":
            sums.add_to_bins("count", "confidence", group, rows.top, rows.correct)
        else:
            sums.add("confidence", group, rows.cell, rows.confidence, most=1.0)
            sums.count("count", group, rows.cell * 2 + rows.correct)

    def _add_soft(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        confidence, correct = of_outcomes(rows, self.classwise)
        cell = cell_of(confidence.double()) if self.binning == "mass" else width_places(confidence, self.n_bins)
        if self.classwise:
            cell += torch.arange(rows.num_classes, device=cell.device) * self.n_bins
            group = group[:, None].expand(cell.shape).reshape(-1)
        cell, confidence, correct = (part.reshape(-1) for part in (cell, confidence, correct))
        sums.count("count", group, cell)
        sums.add("confidence", group, cell, confidence, most=1.0)
        sums.add("correct", group, cell, correct, most=1.0)
        if self.debiased:
            sums.add("squares", group, cell, correct.square(), most=1.0)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        _, sums = self._bins(totals)
        return error_of(sums, norm=self.norm, classwise=self.classwise, debiased=self.debiased)

    def _bins(self, totals: dict[str, Tensor]) -> tuple[Tensor, Sums]:
        """Return the edges, and the counts, confidences and right predictions of each bin, (R, ..., B)."""
        sums = _sums(totals)
        if self.binning == "width":
            return width_edges(self.n_bins, sums[0].device), sums
        cells = torch.arange(NUM_CELLS, device=sums[0].device).expand(sums[0].shape)
        cuts, sums = gathered(cells, sums, self.n_bins)
        return with_ends(cell_tops(cuts.device)[cuts]), sums


def _sums(totals: dict[str, Tensor]) -> Sums:
    """Return the counts, confidences and right predictions of each cell; for soft labels, also the squares."""
    if "correct" in totals:
        return tuple(totals[name] for name in ("count", "confidence", "correct", "squares") if name in totals)
    return totals["count"].sum(-1), totals["confidence"], totals["count"][..., 1]


def check_settings(n_bins: object, norm: object, binning: object, debiased: object) -> None:
    check_int("n_bins", n_bins, least=1, remedy="15 and 100 are usual")
    if norm not in NORMS:
        meant = _MEANT.get(str(norm).casefold().removesuffix(".0"), str(norm).casefold())
        if meant in NORMS:
            raise fail("norm", f"one of {', '.join(NORMS)}", repr(norm), f"use norm='{meant}'")
        raise unknown("norm", str(norm), NORMS)
    if binning not in BINNINGS:
        raise unknown("binning", str(binning), BINNINGS)
    if debiased and norm != "l2":
        raise fail("debiased", "norm='l2', the norm for which the bias is known", f"norm='{norm}'", "pass norm='l2'")


def of_outcomes(rows: Rows, classwise: bool) -> tuple[Tensor, Tensor]:
    """Return the largest probability and whether its class is the label, (n,), or the same for every class, (n, K).

    With soft labels, the second is the probability of it, float64.
    """
    if not classwise:
        return rows.top, rows.hits()
    if rows.soft is not None:
        return rows.probs, rows.soft
    classes = torch.arange(rows.num_classes, device=rows.labels.device)
    return rows.probs, rows.labels[:, None] == classes


def error_of(sums: Sums, *, norm: Norm, classwise: bool, debiased: bool) -> Tensor:
    """Return the calibration error, (R,), from sums of bins, (R, B) or class-wise (R, K, B), float64."""
    count, confidence, correct = sums[:3]
    share = count / count.sum(-1, keepdim=True)
    # the gap of an empty bin is 0; the result is NaN if all bins are empty
    gap = torch.where(count > 0, (correct - confidence).abs() / count, 0.0 * share)
    if norm == "max":
        return gap.amax((-2, -1) if classwise else -1)
    terms = gap if norm == "l1" else gap.square()
    if debiased:
        accuracy = correct / count
        variance = accuracy * (1 - accuracy)
        if len(sums) > 3:
            # of the probabilities of being right, which are not only 0 and 1
            variance = variance - (correct - sums[3]) / count
        terms = torch.where(count > 1, terms - variance / (count - 1), 0.0)
    summed = (share * terms).sum(-1)
    if debiased:
        summed = summed.clamp(min=0)  # of each class, as in the code of Kumar et al., uncertainty-calibration
    summed = summed.mean(-1) if classwise else summed
    return summed if norm == "l1" else summed.sqrt()
