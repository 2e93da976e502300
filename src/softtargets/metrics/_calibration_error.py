"""Expected calibration error and the bins it is made of."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import first_bad, sum_tolerance
from softtargets._errors import fail, fail_type, unknown
from softtargets.metrics._classification import check_predictions

Norm = Literal[1, 2, "max"]
BINNINGS = ("width", "mass")


@dataclass(frozen=True)
class Bins:
    """Sums per bin of confidence: what both the scalar and the reliability diagram come from.

    Args:
        edges: (B + 1,) float64 from 0 to 1; bin b holds edges[b] < confidence <= edges[b + 1], the first one 0 too.
        count: (B,) int64 examples.
        confidence: (B,) float64 sums of confidence.
        correct: (B,) int64 examples predicted right.
    """

    edges: Tensor
    count: Tensor
    confidence: Tensor
    correct: Tensor


def reliability_bins(probs: Tensor, labels: Tensor, *, bins: int = 15, binning: str = "width") -> Bins:
    """Sort predictions into bins of confidence, the largest probability of each row.

    Args:
        probs: (N, K) float, rows sum to 1.
        labels: (N,) int64 in [0, K).
        bins: how many, at least 1.
        binning: "width": equal widths; "mass": equal counts, equal confidences kept together.

    Returns:
        Bins.

    Raises:
        ValueError: where `probs` are not probabilities (first bad row named), a label is out of range, or bins < 1.
    """
    check_predictions("probs", probs, labels)
    if isinstance(bins, bool) or not isinstance(bins, int):
        raise fail_type("bins", "an int of at least 1", repr(bins), "15 and 100 are usual")
    if bins < 1:
        raise fail("bins", "at least 1", bins, "15 and 100 are usual")
    values = probs.detach().double()
    sums = values.sum(1)
    bad = first_bad(~((values >= 0).all(1) & ((sums - 1).abs() <= sum_tolerance(probs))))
    if bad is not None:
        got = f"a sum of {float(sums[bad]):g} and a least entry of {float(values[bad].min()):g} at row {bad[0]}"
        raise fail("probs", "rows of probabilities", got, "take logits.softmax(-1)")
    confidence, predicted = values.max(1)
    # rounding in a softmax can leave a hair more than 1
    confidence = confidence.clamp(max=1.0)
    match binning:
        case "width":
            edges = torch.arange(bins + 1, dtype=torch.float64, device=values.device) / bins
        case "mass":
            # the ceiling of b N / B in integers: .07 * 100 is more than 7 in floating point
            ranks = -(-torch.arange(1, bins, device=values.device) * len(confidence) // bins)
            cuts = confidence.sort().values[ranks - 1]
            ends = confidence.new_tensor([0.0, 1.0])
            edges = torch.cat([ends[:1], cuts, ends[1:]])
        case _:
            raise unknown("binning", binning, BINNINGS)
    place = torch.bucketize(confidence, edges[1:-1])
    right = (predicted == labels).long()
    zeros = torch.zeros(bins, dtype=torch.int64, device=values.device)
    return Bins(
        edges=edges,
        count=zeros.index_add(0, place, torch.ones_like(right)),
        confidence=zeros.double().index_add(0, place, confidence),
        correct=zeros.index_add(0, place, right),
    )


def ece(probs: Tensor, labels: Tensor, *, bins: int = 15, norm: Norm = 1, binning: str = "width") -> Tensor:
    """Expected calibration error of the predicted class (Guo et al. 2017, Eq. 3).

    (sum_b n_b / N * |accuracy_b - confidence_b| ** norm) ** (1 / norm); "max": the largest gap over non-empty bins

    A confidence of exactly 1 falls in the last bin and one of exactly 0 in the first.

    Args:
        probs: (N, K) float, rows sum to 1.
        labels: (N,) int64 in [0, K).
        bins: how many; 15 is usual, Lukasik et al. 2020 use 100.
        norm: 1, 2 or "max".
        binning: "width" or "mass".

    Returns:
        () float64, a fraction in [0, 1].

    Raises:
        ValueError: as :func:`reliability_bins`, or for another norm.

    Limits:
        certain and always right gives 0; certain and always wrong gives 1.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.75, 0.25]])
        >>> float(ece(probs, torch.tensor([0, 1])))  # confidence .75, accuracy .5
        0.25
    """
    table = reliability_bins(probs, labels, bins=bins, binning=binning)
    filled = table.count > 0
    count = table.count[filled].double()
    gap = (table.correct[filled].double() - table.confidence[filled]).abs() / count
    share = count / count.sum()
    match norm:
        case 1:
            return (share * gap).sum()
        case 2:
            return (share * gap.square()).sum().sqrt()
        case "max":
            return gap.max()
    raise unknown("norm", str(norm), ("1", "2", "max"))
