"""Expected calibration error and reliability bins of predictions."""

from typing import Unpack, overload

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets.metrics._bins import Bins
from softtargets.metrics._ece import ECE, Binning, Norm, check_settings, error_of, of_outcomes
from softtargets.metrics._equal_masses import Sums, gathered, with_ends
from softtargets.metrics.accumulators import gather
from softtargets.metrics.arguments import REQUIRED, RowOptions, nothing_left
from softtargets.metrics.rows import RowReader, chunks

__all__ = ["ece", "reliability_bins"]


@overload
def reliability_bins(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    n_bins: int = ...,
    binning: Binning = ...,
    classwise: bool = ...,
    **options: Unpack[RowOptions],
) -> Bins: ...


@overload
def reliability_bins(
    *,
    logits: ArrayLike,
    labels: ArrayLike,
    n_bins: int = ...,
    binning: Binning = ...,
    classwise: bool = ...,
    **options: Unpack[RowOptions],
) -> Bins: ...


@array_function
def reliability_bins(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    n_bins: int = 15,
    binning: Binning = "width",
    classwise: bool = False,
) -> Bins:
    """Reliability diagram: bin predictions by confidence, the largest probability of each row.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K), or (..., K) soft labels: votes (whole numbers) or probabilities that sum to 1.
            Votes are divided by their sum, so that every example has the same weight.
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        n_bins: number of bins, at least 1.
        binning: "width" for bins of equal width; "mass" for bins of equal counts, where equal confidences share a bin.
        classwise: whether to bin the probability of every class instead, each against whether the label is that class.

    Returns:
        Bins; class-wise with a leading axis of K. With soft labels, `correct` has the sums of the probability that the
        predicted class (or the class) is the label, float64.

    Raises:
        ValueError: if both `probs` and `logits` are given, shapes differ, a row is not a probability distribution, a
            label is out of range, soft labels are negative, sum to 0, or are neither whole numbers nor probabilities
            (first bad row named), or no row is left, or n_bins < 1.
        TypeError: if an argument is missing, predictions are not floating-point, labels neither integers nor one
            number per class, or mask not bool.

    Aliases:
        calibration_curve; reliability_diagram; CalibrationDisplay; reliability diagram

    Example:
        >>> reliability_bins(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.tensor([0, 1]), n_bins=2)
        Bins(n_bins=2, examples=2)
    """
    check_settings(n_bins, "l1", binning, False)
    options: RowOptions = {"mask": mask, "ignore_index": ignore_index, "class_dim": class_dim}
    read = chunks(probs, labels, logits=logits, soft=True, **options)
    return _binned(read, n_bins, binning, classwise)


@overload
def ece(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    n_bins: int = ...,
    norm: Norm = ...,
    binning: Binning = ...,
    classwise: bool = ...,
    debiased: bool = ...,
    **options: Unpack[RowOptions],
) -> Tensor: ...


@overload
def ece(
    *,
    logits: ArrayLike,
    labels: ArrayLike,
    n_bins: int = ...,
    norm: Norm = ...,
    binning: Binning = ...,
    classwise: bool = ...,
    debiased: bool = ...,
    **options: Unpack[RowOptions],
) -> Tensor: ...


@array_function
def ece(
    probs: ArrayLike = REQUIRED,
    labels: ArrayLike = REQUIRED,
    *,
    logits: ArrayLike = REQUIRED,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    n_bins: int = 15,
    norm: Norm = "l1",
    binning: Binning = "width",
    classwise: bool = False,
    debiased: bool = False,
) -> Tensor:
    """Expected calibration error (ECE) of the predicted class (Guo et al. 2017, Eq. 3), or of every class.

    (sum_b n_b / N * |accuracy_b - confidence_b| ** p) ** (1 / p), p = 1 for "l1" and 2 for "l2"; "max": the largest gap

    A confidence of exactly 1 belongs to the last bin and one of exactly 0 to the first.

    classwise=True bins the probability of each class k against [label = k]. The result is the mean over the classes
    (Nixon et al. 2019, Kull et al. 2019), for "l2" the root mean square (Kumar et al. 2019, marginal), and for "max"
    the maximum.

    debiased=True subtracts accuracy_b (1 - accuracy_b) / (n_b - 1) from each squared gap and leaves out bins of one
    example. A negative sum counts as 0 (Kumar et al. 2019, debiased estimator), and with classwise=True the sum of each
    class is clipped in this way, as in the authors' code.

    With soft labels q, an example is right with probability q_ik for the predicted class k: accuracy_b is the mean of
    these probabilities, the expected accuracy against one annotator, and class-wise the mean of q_ik. Predictions that
    equal the distributions of the labels have an error of 0. debiased=True then subtracts their variance in the bin,
    divided by n_b - 1.

    Args:
        probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
        labels: (...) integers in [0, K), or (..., K) soft labels: votes (whole numbers) or probabilities that sum to 1.
            Votes are divided by their sum, so that every example has the same weight.
        logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `probs` or `logits`.
        n_bins: number of bins; 15 is usual, Lukasik et al. 2020 use 100.
        norm: "l1", "l2" or "max".
        binning: "width" for bins of equal width; "mass" for bins of equal counts.
        classwise: whether to evaluate every class rather than the predicted class.
        debiased: whether to subtract the expected noise of the bins; only with norm="l2".

    Returns:
        () float64, a fraction in [0, 1].

    Raises:
        ValueError: as :func:`reliability_bins`, or if `norm` is not known.
        TypeError: as :func:`reliability_bins`.

    Special cases:
        certain and always right gives 0; certain and always wrong gives 1; one vote per example gives the ECE of these
        labels; predictions equal to the soft labels give 0.

    When to use:
        To compare with published numbers, with their number of bins; 15 is usual.

    Limitations:
        The value depends on the number and kind of bins and is biased upwards for few examples. Use norm="l2" with
        debiased=True, or :func:`smooth_ece`, which has no bins.

    Aliases:
        calibration_error; expected_calibration_error; static calibration error (class-wise); MCE
        (norm="max"); adaptive calibration error (binning="mass"); expected calibration error;
        multiclass_calibration_error

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.75, 0.25]])
        >>> float(ece(probs, torch.tensor([0, 1])))  # confidence .75, accuracy .5
        0.25
        >>> float(ece(probs, torch.tensor([[3, 1], [1, 1]])))  # confidence .75, expected accuracy (.75 + .5) / 2
        0.125
    """
    check_settings(n_bins, norm, binning, debiased)
    options: RowOptions = {"mask": mask, "ignore_index": ignore_index, "class_dim": class_dim}
    read = chunks(probs, labels, logits=logits, soft=True, **options)
    if binning != "mass":
        return gather(ECE(n_bins=n_bins, norm=norm, classwise=classwise, debiased=debiased), read).compute()
    _, sums = _equal_masses(read, n_bins, classwise)
    return error_of(sums, norm=norm, classwise=classwise, debiased=debiased)


def _binned(read: RowReader, n_bins: int, binning: Binning, classwise: bool) -> Bins:
    if binning != "mass":
        return gather(ECE(n_bins=n_bins, binning=binning, classwise=classwise), read).reliability()
    edges, sums = _equal_masses(read, n_bins, classwise)
    count, confidence, correct = sums[:3]
    return Bins(edges, count.long(), confidence, correct if read.soft else correct.long())


def _equal_masses(read: RowReader, n_bins: int, classwise: bool) -> tuple[Tensor, Sums]:
    """Return the edges of bins of equal mass, and their sums."""
    parts = [of_outcomes(rows, classwise) for rows in read]
    if not parts:
        raise nothing_left("reliability_bins")
    confidence, correct = (torch.cat(column).double() for column in zip(*parts, strict=True))
    if not classwise:
        confidence, correct = confidence[:, None], correct[:, None]
    confidence, order = confidence.T.sort(-1)
    correct = correct.T.gather(-1, order)
    squares = (correct.square(),) if read.soft else ()
    cuts, sums = gathered(confidence, (torch.ones_like(confidence), confidence, correct, *squares), n_bins)
    edges = with_ends(cuts)
    return (edges, sums) if classwise else (edges[0], tuple(part[0] for part in sums))
