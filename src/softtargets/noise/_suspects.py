"""Which labels are suspect, and how many of them are wrong."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_fraction, check_labels, first_bad
from softtargets._errors import fail
from softtargets.noise._confident import confident_classes
from softtargets.noise._inputs import check_shapes
from softtargets.noise._joint import ConfidentJoint

__all__ = ["ExpectedWrong", "confident_suspects", "expected_wrong"]


def confident_suspects(probs: Tensor, labels: Tensor, joint: ConfidentJoint) -> Tensor:
    """Mark the examples that are confidently of another class than their label.

    suspect_i = clean_i is not labels[i], nor is argmax probs[i]        # off-diagonal of the confident joint

    Args:
        probs: (N, K) float, probabilities of the observed label, held out.
        labels: (N,) int64 observed labels in [0, K).
        joint: ``confident_joint(probs, labels)``.

    Returns:
        (N,) bool.

    Raises:
        ValueError: as :func:`confident_joint`.

    Special cases:
        one-hot probs of the labels give no suspect.

    Notes:
        cleanlab's filter_by="confident_learning" (2.9): a label that has the largest probability, to within 1e-6, is
        no suspect, even where another class alone reaches its threshold.

    Complexity:
        one pass, in chunks.

    When to use:
        a set of examples to look at, or to drop, is wanted rather than a ranking.

    Limitations:
        how many it marks follows from the model's errors too: a weak model has many.

    Example:
        >>> from softtargets.noise import confident_joint
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.1, 0.9]])
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> confident_suspects(probs, labels, confident_joint(probs, labels)).tolist()
        [False, False, True, False]
    """
    check_shapes(probs, labels)
    labels, thresholds = labels.long(), joint.thresholds
    if len(thresholds) != probs.shape[1]:
        raise fail("joint", f"{probs.shape[1]} classes, as in probs", len(thresholds), "make it from these probs")
    found = torch.zeros(len(labels), dtype=torch.bool)
    for rows, clean in confident_classes(probs, labels, thresholds):
        suspects = ((clean >= 0) & (clean != labels[rows])).nonzero().flatten()
        chosen, given = probs.detach()[rows][suspects], labels[rows][suspects]
        favoured = chosen.gather(1, given[:, None])[:, 0] + 1e-6 >= chosen.amax(1)
        found[rows][suspects[~favoured]] = True
    return found


@dataclass(frozen=True)
class ExpectedWrong:
    """How many labels are expected to be wrong among the first m suspects, for every m.

    Args:
        expected: (M,) float64, entry m - 1 is that of the first m.
        low: (M,) float64, lower end of the interval.
        high: (M,) float64, upper end.
        confidence: of the interval, a fraction.
    """

    expected: Tensor
    low: Tensor
    high: Tensor
    confidence: float


def expected_wrong(
    wrong: Tensor,
    order: Tensor,
    *,
    noise_rate: float | None = None,
    noise_rate_interval: tuple[float, float] | None = None,
    confidence: float = 0.95,
) -> ExpectedWrong:
    """Add up how probably each suspect is wrong, down the ranking.

    expected_m = sum_{i <= m} w_i,  variance_m = sum_{i <= m} w_i (1 - w_i)        # Poisson binomial

    w are the probabilities in the order of suspicion. Where a noise rate is given, every w has its odds multiplied by
    the one factor that makes all N sum to noise_rate * N: what an estimate of the whole knows better than the parts.

    Args:
        wrong: (N,) float in [0, 1], probability of each label of being wrong, ``1 - label_posterior(...)``, of all
            examples.
        order: (M,) int64 rows of the suspects, most suspect first, as :func:`suspect_order` gives them.
        noise_rate: estimated share of wrong labels among the N, a fraction. None: the sum of `wrong` stands.
        noise_rate_interval: its low and high ends at the same confidence; they widen the interval.
        confidence: of the interval, in [0, 1].

    Returns:
        ExpectedWrong, of M entries each.

    Raises:
        ValueError: where a probability is outside [0, 1], a row is out of range, the rate or confidence is no fraction,
            or the rate lies outside its interval.

    Special cases:
        probabilities of 0 and 1 are certain: their interval has no width; all N together give noise_rate * N.

    Notes:
        the interval is normal, and its two parts add as squares: labels wrong independently of each other with the
        probabilities given, and the rate. Certain examples have odds that no factor moves.

    Complexity:
        some 60 passes over the N probabilities for each of the three rates.

    When to use:
        it is to be said beforehand how many of the first m suspects will turn out wrong.

    Limitations:
        it knows of no error of the probabilities but a common factor: where the model is wrongly sure of a region of
        the inputs, expected and interval are both wrong, and near the top it mostly is: of CIFAR-10N's worse_label,
        with a small network's probabilities, it expected 9,885 of the first 10,000 suspects to be wrong, and 9,231
        were.

    Example:
        >>> found = expected_wrong(torch.tensor([0.5, 0.9, 0.1]), torch.tensor([1, 0]))
        >>> [round(value, 4) for value in found.expected.tolist()]
        [0.9, 1.4]
    """
    _check_wrong(wrong, order, confidence)
    low, high = (None, None) if noise_rate_interval is None else noise_rate_interval
    for rate in (low, noise_rate, high):
        if rate is not None:
            check_fraction("noise_rate", rate)
    if low is not None and high is not None and not (noise_rate is not None and low <= noise_rate <= high):
        raise fail("noise_rate", f"between {low:g} and {high:g}, its interval", noise_rate, "give the estimate itself")
    wrong = wrong.detach().double()
    middle = _ranked(wrong, order, noise_rate)
    below, above = (_ranked(wrong, order, rate) if rate is not None else middle for rate in (low, high))
    z = math.sqrt(2) * torch.erfinv(torch.tensor(confidence, dtype=torch.float64))
    chance = z * (middle * (1 - middle)).cumsum(0).sqrt()
    expected = middle.cumsum(0)
    down, up = (torch.hypot(chance, part.cumsum(0) - expected) for part in (below, above))
    most = torch.arange(1, len(expected) + 1, dtype=torch.float64)
    return ExpectedWrong(expected, (expected - down).clamp(min=0), (expected + up).minimum(most), confidence)


def _check_wrong(wrong: Tensor, order: Tensor, confidence: float) -> None:
    check_floating("wrong", wrong)
    check_fraction("wrong", wrong)
    check_fraction("confidence", confidence)
    if wrong.ndim != 1:
        raise fail("wrong", "shape (N,)", tuple(wrong.shape), "give one probability per example")
    check_labels("order", order)
    if (index := first_bad(order >= len(wrong))) is not None:
        raise fail("order", f"rows below {len(wrong)}", int(order[index]), "take suspect_order of the same examples")


def _ranked(wrong: Tensor, order: Tensor, noise_rate: float | None) -> Tensor:
    odds = torch.logit(wrong)
    if noise_rate is not None:
        # the sum grows with the shift: halving the interval finds the shift to the last bit
        low, high = -750.0, 750.0
        while low < (middle := (low + high) / 2) < high:
            less = float(torch.sigmoid(odds + middle).mean()) < noise_rate
            low, high = (middle, high) if less else (low, middle)
        odds = odds + high
    return torch.sigmoid(odds[order])
