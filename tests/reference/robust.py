"""Functions of the label's probability as the equations have them: slow loops, independent of the package."""

import math
from collections.abc import Sequence

from reference.losses import Vector, log_softmax, softmax


def log_odds(logits: Vector, label: int) -> float:
    """log p_y - log(1 - p_y)."""
    probs = softmax(logits)
    return math.log(probs[label]) - math.log(math.fsum(p for k, p in enumerate(probs) if k != label))


def generalized(logits: Vector, label: int, q: float) -> float:
    """(1 - p_y^q) / q, and its limit at 0 (Zhang & Sabuncu 2018)."""
    log_prob = log_softmax(logits)[label]
    return -log_prob if q == 0 else (1 - math.exp(log_prob) ** q) / q


def mean_absolute_error(logits: Vector, label: int) -> float:
    """Half of sum_k |y_k - p_k| (Ghosh et al. 2017)."""
    return math.fsum(abs((k == label) - p) for k, p in enumerate(softmax(logits))) / 2


def reverse(logits: Vector, label: int, floor: float) -> float:
    """-sum_k p_k log y_k, the one-hot y clamped from below (Wang et al. 2019)."""
    return math.fsum(-p * math.log(max(float(k == label), floor)) for k, p in enumerate(softmax(logits)))


def symmetric(logits: Vector, label: int, alpha: float, beta: float, floor: float) -> float:
    return -alpha * log_softmax(logits)[label] + beta * reverse(logits, label, floor)


def normalized(logits: Vector, label: int) -> float:
    """l(y) / sum_k l(k) (Ma et al. 2020)."""
    each = [-log_p for log_p in log_softmax(logits)]
    return each[label] / math.fsum(each)


def relaxed(logits: Vector, label: int, alpha: float) -> float:
    """KL(t || p), t closest to p among those with t_y >= 1 - alpha (Lienen & Huellermeier 2021)."""
    probs = softmax(logits)
    if probs[label] >= 1 - alpha:
        return 0.0
    others = math.fsum(p for k, p in enumerate(probs) if k != label)
    target = [1 - alpha if k == label else alpha * p / others for k, p in enumerate(probs)]
    return math.fsum(t * math.log(t / p) for t, p in zip(target, probs, strict=True) if t > 0)


def focal(logits: Vector, label: int, gamma: float) -> float:
    """-(1 - p_y)^gamma log p_y (Lin et al. 2017)."""
    return -((1 - softmax(logits)[label]) ** gamma) * log_softmax(logits)[label]


def sample_dependent_focal(logits: Vector, label: int, low: float, high: float, threshold: float) -> float:
    """gamma of 5 where p_y < .2, else 3 (Mukhoti et al. 2020)."""
    return focal(logits, label, low if softmax(logits)[label] < threshold else high)


def dual_focal(logits: Vector, label: int, gamma: float) -> float:
    """-(1 - p_y + p_j)^gamma log p_y, p_j = max{p_k : p_k < p_y} (Tao et al. 2023)."""
    probs = softmax(logits)
    below = max((p for p in probs if p < probs[label]), default=0.0)
    return -((1 - probs[label] + below) ** gamma) * math.log(probs[label])


def binary(logits: Vector, labels: Sequence[float], smoothing: float, towards: float) -> float:
    """-sum_k t_k log s_k + (1 - t_k) log(1 - s_k), s the sigmoid."""
    total = 0.0
    for z, y in zip(logits, labels, strict=True):
        t, s = (1 - smoothing) * y + smoothing * towards, 1 / (1 + math.exp(-z))
        total -= t * math.log(s) + (1 - t) * math.log(1 - s)
    return total
