"""Selective classification: risk, coverage and how well a confidence score ranks errors."""

from typing import Unpack, overload

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_floating
from softtargets._errors import fail
from softtargets.metrics._risk_counts import (
    RiskCoverage,
    aurc_of,
    auroc_of,
    check_risk,
    coverage_of,
    curve_of,
    least_aurc,
)
from softtargets.metrics.arguments import REQUIRED, RowOptions, check_shape, nothing_left
from softtargets.metrics.rows import RowReader, chunks

__all__ = ["aurc", "coverage_at_risk", "excess_aurc", "misclassification_auroc", "risk_coverage"]


class RankOptions(RowOptions, total=False):
    """Keywords of the functions that rank predictions."""

    scores: ArrayLike | None


@overload
def risk_coverage(probs: ArrayLike, labels: ArrayLike, **options: Unpack[RankOptions]) -> RiskCoverage: ...


@overload
def risk_coverage(*, logits: ArrayLike, labels: ArrayLike, **options: Unpack[RankOptions]) -> RiskCoverage: ...


@array_function
def risk_coverage(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    scores: ArrayLike | None = None,
) -> RiskCoverage:
    """Risk-coverage curve: the error rate among the most confident predictions, for every share of predictions kept.

    risk at coverage k / N = errors among the k predictions of highest score / k  (El-Yaniv & Wiener 2010; Geifman 2019)

    Predictions with equal scores are kept or rejected together: there is one point per distinct score.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        scores: (...) float without NaN, high for confident predictions. Default: the largest probability.

    Returns:
        RiskCoverage.

    Raises:
        ValueError: if both `probs` and `logits` are given, shapes differ, a row is not a probability distribution, a
            label is out of range (first bad row named), or no row is left, or a score that is not left out is
            NaN.
        TypeError: if an argument is missing, predictions are not floating-point, labels not integers, or mask not
            bool, or scores not floating-point.

    Aliases:
        risk_coverage_curve; accuracy-rejection curve

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> risk_coverage(probs, torch.tensor([0, 1, 1])).risk  # by decreasing confidence: right, wrong, right
        tensor([0.0000, 0.5000, 0.3333], dtype=torch.float64)
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    right, wrong = _ranked(read, scores)
    return curve_of(right, wrong)


@overload
def aurc(probs: ArrayLike, labels: ArrayLike, **options: Unpack[RankOptions]) -> Tensor: ...


@overload
def aurc(*, logits: ArrayLike, labels: ArrayLike, **options: Unpack[RankOptions]) -> Tensor: ...


@array_function
def aurc(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    scores: ArrayLike | None = None,
) -> Tensor:
    """Area under the risk-coverage curve (AURC): the mean risk over all coverages (Geifman et al. 2019).

    1 / N sum_k risk at coverage k / N

    Tied scores contribute the mean over their orders.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        scores: (...) float without NaN, high for confident predictions. Default: the largest probability.

    Returns:
        () float64, a fraction in [0, 1]; low is good.

    Raises:
        ValueError: as :func:`risk_coverage`.
        TypeError: as :func:`risk_coverage`.

    Special cases:
        equal scores of all examples give the error rate.

    Aliases:
        area under the risk-coverage curve

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
        >>> float(aurc(probs, torch.tensor([0, 1])))  # the more confident one is right: (0 + 1/2) / 2
        0.25
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    right, wrong = _ranked(read, scores)
    return aurc_of(right[None], wrong[None])[0]


@overload
def excess_aurc(probs: ArrayLike, labels: ArrayLike, **options: Unpack[RankOptions]) -> Tensor: ...


@overload
def excess_aurc(*, logits: ArrayLike, labels: ArrayLike, **options: Unpack[RankOptions]) -> Tensor: ...


@array_function
def excess_aurc(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    scores: ArrayLike | None = None,
) -> Tensor:
    """Excess AURC (E-AURC): AURC minus that of a perfect ranking of the same predictions (Geifman et al. 2019).

    aurc - 1 / N sum_{j=1..E} j / (N - E + j)          E of the N predictions are wrong

    The AURC of the perfect ranking, all right predictions first, is computed exactly. Geifman et al. give its limit for
    large N, r + (1 - r) ln(1 - r) with r = E / N.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        scores: (...) float without NaN, high for confident predictions. Default: the largest probability.

    Returns:
        () float64, at least 0.

    Raises:
        ValueError: as :func:`risk_coverage`.
        TypeError: as :func:`risk_coverage`.

    Special cases:
        a perfect ranking gives 0.

    Aliases:
        E-AURC; eaurc

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
        >>> float(excess_aurc(probs, torch.tensor([1, 0])))  # wrong, right: (1 + 1/2) / 2, at best (0 + 1/2) / 2
        0.5
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    right, wrong = (count[None] for count in _ranked(read, scores))
    return (aurc_of(right, wrong) - least_aurc(right.sum(1), wrong.sum(1)))[0]


@overload
def coverage_at_risk(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    risk: float,
    **options: Unpack[RankOptions],
) -> Tensor: ...


@overload
def coverage_at_risk(
    *,
    logits: ArrayLike,
    labels: ArrayLike,
    risk: float,
    **options: Unpack[RankOptions],
) -> Tensor: ...


@array_function
def coverage_at_risk(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    scores: ArrayLike | None = None,
    risk: float,
) -> Tensor:
    """Largest coverage at which the risk is at most `risk`, over all thresholds of the score; 0 if there is none.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        scores: (...) float without NaN, high for confident predictions. Default: the largest probability.
        risk: largest share of errors among the predictions kept, in [0, 1].

    Returns:
        () float64, a fraction in [0, 1].

    Raises:
        ValueError: as :func:`risk_coverage`, and if `risk` is not in [0, 1].
        TypeError: as :func:`risk_coverage`, and if `risk` is missing or not a number.

    Special cases:
        a risk of at least the error rate gives 1.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> float(coverage_at_risk(probs, torch.tensor([0, 0, 0]), risk=0.2))  # right, right, wrong
        0.6666666666666666
    """
    check_risk("risk", risk)
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    right, wrong = _ranked(read, scores)
    return coverage_of(right[None], wrong[None], risk)[0]


@overload
def misclassification_auroc(probs: ArrayLike, labels: ArrayLike, **options: Unpack[RankOptions]) -> Tensor: ...


@overload
def misclassification_auroc(*, logits: ArrayLike, labels: ArrayLike, **options: Unpack[RankOptions]) -> Tensor: ...


@array_function
def misclassification_auroc(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    scores: ArrayLike | None = None,
) -> Tensor:
    """AUROC of misclassification detection: probability that a right prediction has a higher score than a wrong one.

    Ties count one half.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K).
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        scores: (...) float without NaN, high for confident predictions. Default: the largest probability.

    Returns:
        () float64, a fraction; 1/2 is chance, NaN if all predictions are right or all are wrong.

    Raises:
        ValueError: as :func:`risk_coverage`.
        TypeError: as :func:`risk_coverage`.

    Aliases:
        failure_prediction_auroc; AUROC of misclassification detection

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> float(misclassification_auroc(probs, torch.tensor([0, 1, 1])))  # one of two right ones above the wrong one
        0.5
    """
    read = chunks(probs, labels, logits=logits, mask=mask, ignore_index=ignore_index, class_dim=class_dim)
    right, wrong = _ranked(read, scores)
    return auroc_of(right[None], wrong[None])[0]


def _ranked(read: RowReader, scores: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the numbers of right and wrong predictions at each distinct score, highest first, (M,) float64 each."""
    given = None if scores is None else _flat_scores(scores, read.values)
    found: list[Tensor] = []
    correct: list[Tensor] = []
    for rows in read:
        found.append(rows.confidence if given is None else _without_nan(given[rows.ids], rows.ids))
        correct.append(rows.correct)
    if not found:
        raise nothing_left("labels")
    distinct, place = torch.cat(found).unique(return_inverse=True)
    place, right = len(distinct) - 1 - place, torch.cat(correct).double()
    zeros = torch.zeros(len(distinct), dtype=torch.float64, device=place.device)
    return zeros.index_add(0, place, right), zeros.index_add(0, place, 1 - right)


def _flat_scores(scores: Tensor, values: Tensor) -> Tensor:
    check_floating("scores", scores)
    check_shape("scores", scores, values)
    return scores.detach().reshape(-1).to(values.device)


def _without_nan(scores: Tensor, at: Tensor) -> Tensor:
    if bool((bad := scores.isnan()).any()):
        raise fail(
            "scores", "numbers without NaN", f"nan at row {int(at[bad][0])}", "fix it or leave that row out by mask="
        )
    return scores
