"""Suspect labels by the confident joint, and the expected number of wrong labels."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_floating, check_fraction, read_ids
from softtargets._errors import fail, fail_type
from softtargets._numerics import accumulating
from softtargets._results import TensorResult
from softtargets._rows import read_rows
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise.streaming.confident import bounds_of, confidently_other
from softtargets.noise.streaming.rows import label_chunks

__all__ = ["ExpectedWrong", "confident_suspects", "expected_wrong"]


@array_function
def confident_suspects(
    probs: ArrayLike,
    labels: ArrayLike,
    joint: ConfidentJoint,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Tensor:
    """Mark examples whose confident class differs from their label: off the diagonal of the confident joint.

    suspect_i = clean_i is not labels[i], nor is argmax probs[i]

    Args:
        probs: (..., K) float, held-out predicted probabilities of all classes.
        labels: (...) integer observed labels in [0, K).
        joint: ``confident_joint(probs, labels)``.
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out; they are not marked.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        (...) bool.

    Raises:
        ValueError: as :func:`confident_joint`, and if the joint has another number of classes.
        TypeError: as :func:`confident_joint`, and if joint is not a ConfidentJoint.

    Special cases:
        one-hot probs of the labels give no suspect.

    Notes:
        The same as cleanlab's filter_by="confident_learning" (2.9): a label with the largest probability, to within
        1e-6, is not marked, even if another class alone reaches its threshold.

    Complexity:
        O(N K): one pass, in chunks.

    When to use:
        To get a set of examples rather than a ranking, as in cleanlab; :func:`find_label_issues` has a
        more careful rule.

    Limitations:
        The number of marked examples includes errors of the model: a weak model marks many.

    Example:
        >>> from softtargets.noise import confident_joint
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.1, 0.9]])
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> confident_suspects(probs, labels, confident_joint(probs, labels)).tolist()
        [False, False, True, False]
    """
    if not isinstance(joint, ConfidentJoint):
        raise fail_type("joint", "a ConfidentJoint", type(joint).__name__, "pass confident_joint(probs, labels)")
    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    rows, given = read.counted_probs
    thresholds = joint.thresholds.to(rows.device)
    if len(thresholds) != read.num_classes:
        remedy = "pass confident_joint(probs, labels)"
        raise fail("joint", f"{read.num_classes} classes, as in probs", len(thresholds), remedy)
    found = torch.zeros(len(given), dtype=torch.bool, device=rows.device)
    bounds = bounds_of(thresholds, accumulating(rows.dtype))
    for part, chunk in label_chunks(rows, given, bounds=bounds, best=True):
        assert chunk.clean is not None
        assert chunk.best is not None
        found[part] = confidently_other(chunk.clean, given[part], chunk.own, chunk.best)
    return read.spread(found, False)


@dataclass(frozen=True, eq=False, repr=False)
class ExpectedWrong(TensorResult):
    """The expected number of wrong labels among the first m suspects, for every m.

    Args:
        expected: (M,) float64, entry m - 1 is for the first m.
        low: (M,) float64, lower end of the interval.
        high: (M,) float64, upper end.
        confidence: confidence level of the interval, a fraction.
    """

    expected: Tensor
    low: Tensor
    high: Tensor
    confidence: float

    def __repr__(self) -> str:
        if len(self.expected) == 0:
            return "ExpectedWrong(no suspects)"
        ends = [float(values[-1]) for values in (self.expected, self.low, self.high)]
        text = "{:.4g} [{:.4g}, {:.4g}]".format(*ends)
        return f"ExpectedWrong({text} of {len(self.expected):,} suspects, confidence={self.confidence:g})"


def with_intervals(
    expected: Tensor, ends: tuple[Tensor, Tensor], variance: Tensor, first: Tensor, confidence: float
) -> ExpectedWrong:
    """Return expected numbers with their intervals.

    Args:
        expected: (M,) float64, expected numbers of wrong labels among the `first` labels.
        ends: (M,) float64 each, the same at the ends of the interval of the noise rate.
        variance: (M,) float64, variances of the numbers given the probabilities.
        first: (M,) int64.
        confidence: confidence level of the interval.
    """
    z = math.sqrt(2) * float(torch.erfinv(torch.tensor(confidence, dtype=torch.float64)))
    # at confidence 1 a certain probability still has no spread
    chance = (z * variance.sqrt()).nan_to_num(nan=0.0, posinf=math.inf)
    down, up = (torch.hypot(chance, end - expected) for end in ends)
    low, high = (expected - down).clamp(min=0), (expected + up).minimum(first.double())
    return ExpectedWrong(expected, low, high, float(confidence))


@array_function
def expected_wrong(
    wrong: ArrayLike,
    order: ArrayLike,
    *,
    noise_rate: float | None = None,
    noise_rate_interval: tuple[float, float] | None = None,
    confidence: float = 0.95,
) -> ExpectedWrong:
    """Estimate the number of wrong labels among the first m of a ranking, for every m, with an interval.

    expected_m = sum_{i <= m} w_i,  variance_m = sum_{i <= m} w_i (1 - w_i)        # Poisson binomial

    w are the probabilities in the order of the ranking. If a noise rate is given, the odds of every w are first
    multiplied by one common factor such that all N sum to noise_rate * N: an estimate of the overall rate is usually
    more accurate than the sum of the individual probabilities.

    Args:
        wrong: (N,) float in [0, 1], probability that each label is wrong, ``1 - label_posterior(...)``, of all
            examples.
        order: (M,) integer rows of the suspects, most suspect first, as :func:`suspect_order` returns them.
        noise_rate: estimated fraction of wrong labels among the N. None: `wrong` is used unchanged.
        noise_rate_interval: its low and high ends at the same confidence; they widen the interval.
        confidence: of the interval, in [0, 1].

    Returns:
        ExpectedWrong, of M entries each.

    Raises:
        ValueError: if a probability is outside [0, 1], a row is out of range or occurs twice, the rate or confidence is
            not a fraction, or the rate lies outside its interval.
        TypeError: if wrong is not floating-point or order not integers.

    Special cases:
        probabilities of 0 and 1 are certain: their interval has width 0; all N together give noise_rate * N.

    Notes:
        The interval is normal, and its two parts add in quadrature: labels that are wrong independently of each other
        with the given probabilities, and the uncertainty of the rate. No factor changes probabilities of 0 and 1.

    Complexity:
        About 60 passes over the N probabilities for each of the three rates.

    When to use:
        To predict how many of the first m suspects are wrong.

    Limitations:
        Errors of the probabilities other than a common factor are not included. If the model is confidently wrong in
        some region of the inputs, so are the expected number and its interval, especially near the top of the ranking:
        on CIFAR-10N's worse_label, with the probabilities of a small network, 9,885 of the first 10,000 suspects were
        expected to be wrong, and 9,231 were.

    Example:
        >>> found = expected_wrong(torch.tensor([0.5, 0.9, 0.1]), torch.tensor([1, 0]))
        >>> [round(value, 4) for value in found.expected.tolist()]
        [0.9, 1.4]
    """
    order = _read_order(wrong, order, confidence)
    low, high = _read_interval(noise_rate, noise_rate_interval)
    wrong = wrong.detach().double()
    middle = _ranked(wrong, order, noise_rate)
    below, above = (_ranked(wrong, order, rate) if rate is not None else middle for rate in (low, high))
    first = torch.arange(1, len(order) + 1, device=wrong.device)
    ends = (below.cumsum(0), above.cumsum(0))
    return with_intervals(middle.cumsum(0), ends, (middle * (1 - middle)).cumsum(0), first, confidence)


def _read_order(wrong: Tensor, order: Tensor, confidence: float) -> Tensor:
    check_floating("wrong", wrong)
    if wrong.ndim != 1:
        raise fail("wrong", "shape (N,)", tuple(wrong.shape), "pass one probability per example")
    check_fraction("wrong", wrong)
    check_fraction("confidence", confidence)
    rows = read_ids("order", order, len(wrong)).to(wrong.device)
    if rows.ndim != 1:
        raise fail("order", "shape (M,)", tuple(rows.shape), "pass suspect_order of the same examples")
    if len(rows) != len(rows.unique()):
        raise fail("order", "each row once", "a row twice", "pass suspect_order of the same examples")
    return rows


def _read_interval(noise_rate: float | None, interval: tuple[float, float] | None) -> tuple[float | None, float | None]:
    if noise_rate is not None:
        check_fraction("noise_rate", noise_rate)
    if interval is None:
        return None, None
    if not isinstance(interval, tuple | list) or len(interval) != 2:
        remedy = "pass (noise_rate_low, noise_rate_high)"
        raise fail_type("noise_rate_interval", "two numbers, low and high", repr(interval), remedy)
    low, high = interval
    for end in (low, high):
        check_fraction("noise_rate_interval", end)
    if not (noise_rate is not None and low <= noise_rate <= high):
        remedy = "pass the estimate that the interval belongs to"
        raise fail("noise_rate", f"between {low:g} and {high:g}, its interval", noise_rate, remedy)
    return float(low), float(high)


def odds_factor(odds: Tensor, rate: float, counts: Tensor | None = None) -> float:
    """Return the logarithm of the factor of the odds with which the mean probability is `rate`.

    Args:
        odds: (N,) float64, logarithms of the odds.
        rate: the mean probability.
        counts: (N,) how often each occurs; None: once.
    """
    total = len(odds) if counts is None else int(counts.sum())
    # the sum grows with the shift: bisection finds the shift to the last bit
    low, high = -750.0, 750.0
    while low < (middle := (low + high) / 2) < high:
        probability = torch.sigmoid(odds + middle)
        mean = float((probability if counts is None else probability * counts).sum()) / total
        low, high = (middle, high) if mean < rate else (low, middle)
    return high


def _ranked(wrong: Tensor, order: Tensor, noise_rate: float | None) -> Tensor:
    odds = torch.logit(wrong)
    return torch.sigmoid((odds if noise_rate is None else odds + odds_factor(odds, noise_rate))[order])
