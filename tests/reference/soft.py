"""Losses of soft targets as the equations have them: slow loops over plain floats, independent of the package."""

import math
from collections.abc import Callable
from typing import Any

from reference.losses import Matrix, Vector, cross_entropy, inverse, log_softmax, softmax
from reference.penalties import largest, learned_target

PerLabel = Callable[..., float]


def expected(loss: PerLabel, logits: Vector, target: Vector, *settings: Any) -> float:
    """sum_k t_k loss(k)."""
    return math.fsum(t * loss(logits, k, *settings) for k, t in enumerate(target))


def reverse(logits: Vector, target: Vector, floor: float) -> float:
    """-sum_k p_k log max(t_k, floor) (Wang et al. 2019)."""
    return math.fsum(-p * math.log(max(t, floor)) for p, t in zip(softmax(logits), target, strict=True))


def symmetric(logits: Vector, target: Vector, alpha: float, beta: float, floor: float) -> float:
    return alpha * cross_entropy(logits, target) + beta * reverse(logits, target, floor)


def forward_corrected(logits: Vector, target: Vector, transition: Matrix) -> float:
    """-sum_k t_k log (T^T p)_k."""
    probs, size = softmax(logits), len(logits)
    observed = [math.fsum(probs[i] * transition[i][k] for i in range(size)) for k in range(size)]
    return math.fsum(-t * math.log(q) for t, q in zip(target, observed, strict=True) if t != 0)


def backward_corrected(logits: Vector, target: Vector, transition: Matrix) -> float:
    """Cross entropy against t T^-1."""
    inverted, size = inverse(transition), len(logits)
    return cross_entropy(logits, [math.fsum(target[i] * inverted[i][k] for i in range(size)) for k in range(size)])


def bootstrapped(logits: Vector, target: Vector, weight: float, kind: str) -> float:
    """Cross entropy against w t + (1 - w) p, or the predicted class (Reed et al. 2015)."""
    top = largest(logits)
    belief = softmax(logits) if kind == "soft" else [float(k == top) for k in range(len(logits))]
    return cross_entropy(logits, [weight * t + (1 - weight) * q for t, q in zip(target, belief, strict=True)])


def max_suppression(logits: Vector, target: Vector, smoothing: float) -> float:
    return cross_entropy(logits, target) + smoothing * (max(logits) - math.fsum(logits) / len(logits))


def cores(logits: Vector, target: Vector, weight: float, prior: Vector) -> float:
    return cross_entropy(logits, target) - weight * cross_entropy(logits, prior)


def learned_smoothing(logits: Vector, target: Vector, table: Matrix, smoothing: float) -> float:
    """(CE of p against t + CE of t against p) / 2, t = sum_k target_k row_k."""
    rows = [learned_target(row, k, smoothing) for k, row in enumerate(table)]
    mixed = [math.fsum(t * row[k] for t, row in zip(target, rows, strict=True)) for k in range(len(logits))]
    other = math.fsum(-p * math.log(t) for p, t in zip(softmax(logits), mixed, strict=True))
    return (cross_entropy(logits, mixed) + other) / 2


def poly1(logits: Vector, label: int, epsilon: float) -> float:
    """-log p + epsilon (1 - p) (Leng et al. 2022)."""
    return -log_softmax(logits)[label] + epsilon * (1 - softmax(logits)[label])
