"""Selective classification: how risk falls where a model may abstain."""

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_fraction
from softtargets._errors import fail
from softtargets.metrics._cells import NUM_CELLS, cell_of
from softtargets.metrics._risk_counts import (
    RiskCoverage,
    aurc_of,
    auroc_of,
    coverage_of,
    curve_of,
    descending,
    least_aurc,
    measures_of,
    most_coverage,
)
from softtargets.metrics.accumulators import Accumulator
from softtargets.metrics.rows import Rows, chunks
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["SelectiveRisk", "aurc", "coverage_at_risk", "excess_aurc", "misclassification_auroc", "risk_coverage"]


class SelectiveRisk(Accumulator):
    """AURC, excess AURC, AUROC of error detection and coverage at risk, gathered; the score is the confidence.

    Rankings are not sums: the state counts right and wrong predictions in 3,203 cells of confidence, and predictions of
    one cell are taken as tied. :meth:`bound` says how much that may change.

    Args:
        risks: at which coverage is asked, each in [0, 1].
        groups: for an interval; the state has so many copies of 51 kB.
        seed: of the groups.
    """

    def __init__(self, *, risks: tuple[float, ...] = (0.01, 0.05), groups: int = 1, seed: int = 0) -> None:
        self.risks = tuple(risks)
        for risk in self.risks:
            check_fraction("risks", risk)
        super().__init__(groups=groups, seed=seed)

    @property
    def names(self) -> tuple[str, ...]:
        """What the entries of :meth:`compute` are, in order."""
        return (
            "aurc",
            "excess_aurc",
            "misclassification_auroc",
            *(f"coverage_at_risk_{risk:g}" for risk in self.risks),
        )

    def bound(self) -> Tensor:
        """Return how far at most each entry of :meth:`compute` is from that of the examples themselves.

        Within a cell the truth lies between all right predictions first and all wrong ones first.

        Returns:
            (len(names),) float64.

        Raises:
            ValueError: where there is no example.
        """
        value, totals = self.compute(), self._totals()
        right, wrong = descending(totals)
        none = torch.zeros_like(right)
        first, second = torch.stack([right, none], -1).flatten(1), torch.stack([none, wrong], -1).flatten(1)
        best = measures_of(first, second, ())[0]
        first, second = torch.stack([none, right], -1).flatten(1), torch.stack([wrong, none], -1).flatten(1)
        worst = measures_of(first, second, ())[0]
        most = torch.stack([*(most_coverage(right, wrong, risk)[0] for risk in self.risks), *value[:0]])
        # every end of a cell is a threshold of the examples too: there is no less coverage
        return torch.cat([(best - value[:3]).abs().maximum((worst - value[:3]).abs()), most - value[3:]])

    def curve(self) -> RiskCoverage:
        """Return the risk-coverage curve at the ends of the cells: points of the examples' own curve.

        Raises:
            ValueError: where there is no example.
        """
        right, wrong = (count[0] for count in descending(self._totals()))
        filled = right + wrong > 0
        return curve_of(right[filled], wrong[filled])

    def _fields(self, num_classes: int) -> dict[str, Field]:
        return {"right": Field((NUM_CELLS,)), "wrong": Field((NUM_CELLS,))}

    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        cell, correct = cell_of(rows.confidence), rows.correct
        sums.count("right", group, cell, correct)
        sums.count("wrong", group, cell, ~correct)

    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        right, wrong = descending(totals)
        return measures_of(right, wrong, self.risks)


def risk_coverage(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    scores: Tensor | None = None,
) -> RiskCoverage:
    """Return the risk of the predictions kept, for every share kept from the most confident on.

    risk at coverage k / N = wrong ones among the k of the highest score / k     (El-Yaniv & Wiener 2010; Geifman 2019)

    Equal scores are kept or left together: there is one point for each distinct score.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        scores: (...) float without NaN, high for confident; None: the largest probability.

    Returns:
        RiskCoverage.

    Raises:
        ValueError: where `probs` are not probabilities (first bad row named), a label is out of range, a score that
            counts is NaN, shapes differ, or no row counts.
        TypeError: where values or scores are not floating-point, labels not integers, or mask not bool.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> risk_coverage(probs, torch.tensor([0, 1, 1])).risk  # by falling confidence right, wrong, right
        tensor([0.0000, 0.5000, 0.3333], dtype=torch.float64)
    """
    return curve_of(*_ranked(probs, labels, logits, mask, scores))


def aurc(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    scores: Tensor | None = None,
) -> Tensor:
    """Area under the risk-coverage curve: the mean risk over all coverages (Geifman et al. 2019).

    1 / N sum_k risk at coverage k / N          of tied scores the mean over their orders

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        scores: (...) float without NaN, high for confident; None: the largest probability.

    Returns:
        () float64, a fraction in [0, 1]; low is good.

    Raises:
        ValueError: as :func:`risk_coverage`.
        TypeError: as :func:`risk_coverage`.

    Special cases:
        one score for all gives the error rate.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
        >>> float(aurc(probs, torch.tensor([0, 1])))  # the surer one is right: (0 + 1/2) / 2
        0.25
    """
    right, wrong = _ranked(probs, labels, logits, mask, scores)
    return aurc_of(right[None], wrong[None])[0]


def excess_aurc(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    scores: Tensor | None = None,
) -> Tensor:
    """AURC above the least that the same predictions could have, all right ones first (Geifman et al. 2019, E-AURC).

    aurc - 1 / N sum_{j=1..E} j / (N - E + j)          E of the N wrong

    That least is counted exactly; Geifman et al. print its limit for many examples, r + (1 - r) ln(1 - r) with
    r = E / N.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        scores: (...) float without NaN, high for confident; None: the largest probability.

    Returns:
        () float64 of at least 0.

    Raises:
        ValueError: as :func:`risk_coverage`.
        TypeError: as :func:`risk_coverage`.

    Special cases:
        every right one surer than every wrong one gives 0.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
        >>> float(excess_aurc(probs, torch.tensor([1, 0])))  # wrong, right: (1 + 1/2) / 2, at best (0 + 1/2) / 2
        0.5
    """
    right, wrong = (count[None] for count in _ranked(probs, labels, logits, mask, scores))
    return (aurc_of(right, wrong) - least_aurc(right.sum(1), wrong.sum(1)))[0]


def coverage_at_risk(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    risk: float,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    scores: Tensor | None = None,
) -> Tensor:
    """Largest coverage at which the risk is at most `risk`, over the thresholds of the score; 0 where there is none.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        risk: in [0, 1]; the share of wrong ones among those kept is at most that.
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        scores: (...) float without NaN, high for confident; None: the largest probability.

    Returns:
        () float64, a fraction in [0, 1].

    Raises:
        ValueError: as :func:`risk_coverage`, and for a `risk` outside [0, 1].
        TypeError: as :func:`risk_coverage`, and for a `risk` that is no number.

    Special cases:
        risk of at least the error rate gives 1.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> float(coverage_at_risk(probs, torch.tensor([0, 0, 0]), risk=0.2))  # right, right, wrong
        0.6666666666666666
    """
    check_fraction("risk", risk)
    right, wrong = _ranked(probs, labels, logits, mask, scores)
    return coverage_of(right[None], wrong[None], risk)[0]


def misclassification_auroc(
    probs: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    scores: Tensor | None = None,
) -> Tensor:
    """Probability that a right prediction has a higher score than a wrong one, ties one half.

    Args:
        probs: (..., K) float, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`.
        mask: (...) bool, the rows that count; None: all.
        scores: (...) float without NaN, high for confident; None: the largest probability.

    Returns:
        () float64, a fraction; 1/2 is chance, NaN where all predictions are right or all wrong.

    Raises:
        ValueError: as :func:`risk_coverage`.
        TypeError: as :func:`risk_coverage`.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> float(misclassification_auroc(probs, torch.tensor([0, 1, 1])))  # one of two right ones above the wrong one
        0.5
    """
    right, wrong = _ranked(probs, labels, logits, mask, scores)
    return auroc_of(right[None], wrong[None])[0]


def _ranked(
    probs: Tensor | None,
    labels: Tensor | None,
    logits: Tensor | None,
    mask: Tensor | None,
    scores: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return how many are right and wrong at each distinct score, the highest first: (M,) float64 each."""
    given = None if scores is None else _flat_scores(scores, labels)
    found: list[Tensor] = []
    correct: list[Tensor] = []
    for rows in chunks(probs, labels, logits=logits, mask=mask):
        found.append(rows.confidence if given is None else _without_nan(given[rows.ids], rows.ids))
        correct.append(rows.correct)
    if not found:
        raise fail("labels", "at least one row that counts", "none", "give one, or mask fewer")
    distinct, place = torch.cat(found).unique(return_inverse=True)
    place, right = len(distinct) - 1 - place, torch.cat(correct).double()
    zeros = torch.zeros(len(distinct), dtype=torch.float64, device=place.device)
    return zeros.index_add(0, place, right), zeros.index_add(0, place, 1 - right)


def _flat_scores(scores: Tensor, labels: Tensor | None) -> Tensor:
    check_floating("scores", scores)
    if isinstance(labels, Tensor) and scores.shape != labels.shape:
        raise fail("scores", f"shape {tuple(labels.shape)}", tuple(scores.shape), "give one per row")
    return scores.detach().reshape(-1)


def _without_nan(scores: Tensor, at: Tensor) -> Tensor:
    if bool((bad := scores.isnan()).any()):
        raise fail("scores", "numbers", f"nan at row {int(at[bad][0])}", "fix it, or mask it")
    return scores
