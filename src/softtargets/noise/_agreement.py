"""The agreement of several annotators beyond chance."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_count
from softtargets._errors import fail
from softtargets._results import TensorResult
from softtargets.noise._annotator_labels import check_confidence, percentiles, read_annotators, resampled, vote_counts

__all__ = ["AnnotatorAgreement", "annotator_agreement"]


@dataclass(frozen=True, eq=False, repr=False)
class AnnotatorAgreement(TensorResult):
    """The agreement of several annotators. Intervals resample items with all of their labels.

    Args:
        observed: () float64, the share of pairs of labels of one item that agree.
        expected: () float64, the share that would agree if labels were assigned to items at random.
        alpha: () float64, Krippendorff's alpha for nominal data, 1 - (1 - observed) / (1 - expected): 1 for perfect
            agreement, 0 for chance.
        kappa: () float64, Fleiss' kappa; NaN unless every item has equally many labels.
        alpha_interval: (2,) float64, bootstrap interval of alpha.
        pairwise: (A, A) float64, the share of the items that both annotators labelled for which their labels agree; NaN
            if they share no item.
        items: number of items with at least two labels. Others are left out.
    """

    observed: Tensor
    expected: Tensor
    alpha: Tensor
    kappa: Tensor
    alpha_interval: Tensor
    pairwise: Tensor
    items: int


@array_function
def annotator_agreement(
    labels: ArrayLike,
    *,
    num_classes: int | None = None,
    missing: int = -1,
    n_draws: int = 500,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> AnnotatorAgreement:
    """Krippendorff's alpha and Fleiss' kappa: the agreement of several annotators beyond chance.

    alpha = 1 - D_o / D_e,  D_o = sum_i m_i / n (1 - sum_k n_ik (n_ik - 1) / (m_i (m_i - 1)))
    D_e   = 1 - sum_k n_k (n_k - 1) / (n (n - 1))                        # Krippendorff 2011, nominal data
    kappa = (P - P_e) / (1 - P_e),  P_e = sum_k (n_k / n) ** 2           # Fleiss 1971

    n_ik is the number of labels k of item i, m_i its number of labels, n_k the sum over the items, and n = sum_k n_k. P
    is the mean share of pairs that agree. Items with one label or none are left out.

    Args:
        labels: (N, A) integers, the label of each annotator for each item, `missing` where there is none.
        num_classes: K. Default: the largest label plus 1, at least 2.
        missing: stands for no label.
        n_draws: number of bootstrap draws of the interval; items are drawn with replacement.
        confidence: nominal coverage of the interval, in (0, 1).
        generator: random generator of the draws. Default: torch's global one.

    Returns:
        AnnotatorAgreement.

    Raises:
        ValueError: if labels are not of shape (N, A) with A >= 2, a label is out of range (first bad row named), or no
            item has two labels.
        TypeError: if labels are not integers.

    Special cases:
        equal labels for every item give alpha = kappa = 1; one class for all items gives NaN, since chance agreement is
        perfect too.

    Limitations:
        Annotators who make the same mistakes agree: high agreement does not show that labels are right.

    Aliases:
        krippendorff_alpha; fleiss_kappa; inter-annotator agreement; cohen_kappa_score; inter-rater reliability

    Example:
        >>> labels = torch.tensor([[0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, -1]])
        >>> found = annotator_agreement(labels, generator=torch.Generator().manual_seed(0))
        >>> round(float(found.alpha), 4)  # D_o = 2 / 11, D_e = 60 / 110
        0.6667
    """
    given, num_classes = read_annotators(labels, num_classes, missing)
    check_count("n_draws", n_draws, remedy="500 is usual")
    check_confidence(confidence)
    counts = vote_counts(given, num_classes)
    several = counts.sum(1) >= 2
    if not bool(several.any()):
        raise fail("labels", "an item with at least two labels", "none", "pass items that several annotators labelled")
    # items with equal counts are alike
    patterns, place, weight = counts[several].unique(dim=0, return_inverse=True, return_counts=True)
    sizes = patterns.sum(1)
    agreeing = (patterns * (patterns - 1)).sum(1) / (sizes - 1)
    observed, expected, alpha = _alpha(weight.double() @ patterns, weight.double() @ agreeing)
    drawn = resampled(place, len(patterns), n_draws, generator)
    spread = torch.stack([_alpha(again @ patterns, again @ agreeing)[2] for again in drawn])
    return AnnotatorAgreement(
        observed=observed,
        expected=expected,
        alpha=alpha,
        kappa=_kappa(patterns, weight.double()),
        alpha_interval=percentiles(spread, confidence),
        pairwise=_pairwise(given),
        items=len(place),
    )


def _alpha(totals: Tensor, agreeing: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return observed and expected agreement and alpha from (..., K) totals and the sum of agreeing pairs per label."""
    n = totals.sum(-1)
    observed = agreeing / n
    expected = (totals * (totals - 1)).sum(-1) / (n * (n - 1))
    return observed, expected, 1 - (1 - observed) / (1 - expected)


def _kappa(patterns: Tensor, weight: Tensor) -> Tensor:
    """Return Fleiss' kappa of (P, K) counts that occur (P,) `weight` times."""
    sizes = patterns.sum(1)
    if not bool((sizes == sizes[0]).all()):
        return torch.full((), torch.nan, dtype=torch.float64)
    agreed = weight @ ((patterns * (patterns - 1)).sum(1) / (sizes * (sizes - 1))) / weight.sum()
    totals = weight @ patterns
    chance = (totals / totals.sum()).square().sum()
    return (agreed - chance) / (1 - chance)


def _pairwise(labels: Tensor) -> Tensor:
    columns = labels.unbind(1)
    found = labels.new_full((len(columns), len(columns)), torch.nan, dtype=torch.float64)
    for a, first in enumerate(columns):
        for b, second in enumerate(columns):
            both = (first >= 0) & (second >= 0)
            if bool(both.any()):
                found[a, b] = (first[both] == second[both]).double().mean()
    return found
