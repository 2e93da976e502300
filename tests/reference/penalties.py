"""Penalties, rules for targets and bounds as the equations have them: slow loops, independent of the package."""

import math
from collections.abc import Sequence

from reference.losses import Matrix, Vector, cross_entropy, log_softmax, softmax


def largest(logits: Vector) -> int:
    return max(range(len(logits)), key=lambda k: logits[k])


def max_suppression(logits: Vector, label: int, smoothing: float) -> float:
    """CE + r (z_max - mean z) (Zhou et al. 2025)."""
    return -log_softmax(logits)[label] + smoothing * (max(logits) - math.fsum(logits) / len(logits))


def cores(logits: Vector, label: int, weight: float, prior: Vector) -> float:
    """CE - beta E_{k ~ prior} l_k (Cheng et al. 2021)."""
    log_probs = log_softmax(logits)
    return -log_probs[label] - weight * math.fsum(-q * log_p for q, log_p in zip(prior, log_probs, strict=True))


def keeps(logits: Vector, label: int) -> bool:
    log_probs = log_softmax(logits)
    return -log_probs[label] - math.fsum(-value for value in log_probs) / len(logits) <= 0


def bootstrapped(logits: Vector, label: int, weight: float, kind: str) -> float:
    """-sum_k (beta y_k + (1 - beta) belief_k) log p_k (Reed et al. 2015)."""
    probs, top = softmax(logits), largest(logits)
    belief = probs if kind == "soft" else [float(k == top) for k in range(len(logits))]
    target = [weight * (k == label) + (1 - weight) * q for k, q in enumerate(belief)]
    return cross_entropy(logits, target)


def peer(own: Vector, label: int, other: Vector, other_label: int, weight: float) -> float:
    return -log_softmax(own)[label] + weight * log_softmax(other)[other_label]


def confidence(logits: Vector) -> float:
    """-H(p)."""
    return math.fsum(math.exp(value) * value for value in log_softmax(logits))


def squares(logits: Vector) -> float:
    return math.fsum(z * z for z in logits)


def margin(logits: Vector, distance: float) -> float:
    """mean_k max(0, z_max - z_k - m) (Liu et al. 2022)."""
    top = max(logits)
    return math.fsum(max(0.0, top - z - distance) for z in logits) / len(logits)


def adaptive_conditional(logits: Vector, distance: float, on_largest: float, on_others: float) -> float:
    top, predicted = max(logits), largest(logits)
    of_largest = max(0.0, top - min(logits) - distance) ** 2
    others = [max(0.0, top - z - distance) ** 2 for k, z in enumerate(logits) if k != predicted]
    return on_largest * of_largest + on_others * math.fsum(others) / len(others)


def zipf(logits: Vector, label: int) -> float:
    """KL(1 / rank || renormalised p) over the classes that are not the label (Liang et al. 2022)."""
    others = [k for k in range(len(logits)) if k != label]
    log_probs = dict(zip(others, log_softmax([logits[k] for k in others]), strict=True))
    ordered = sorted(others, key=lambda k: -logits[k])
    total = math.fsum(1 / rank for rank in range(1, len(others) + 1))
    shares = {k: 1 / rank / total for rank, k in enumerate(ordered, start=1)}
    return math.fsum(shares[k] * (math.log(shares[k]) - log_probs[k]) for k in others)


def sum_of_all_losses(logits: Vector) -> float:
    """K log sum_k exp(z_k) - sum_k z_k (Lukasik et al. 2020, Eq. 8)."""
    top = max(logits)
    total = top + math.log(math.fsum(math.exp(z - top) for z in logits))
    return len(logits) * total - math.fsum(logits)


def determinant(matrix: Matrix) -> float:
    """Laplace's expansion along the first row."""
    if len(matrix) == 1:
        return matrix[0][0]
    minors = [[[v for j, v in enumerate(row) if j != k] for row in matrix[1:]] for k in range(len(matrix))]
    return math.fsum((-1) ** k * matrix[0][k] * determinant(minor) for k, minor in enumerate(minors))


def noise_entropy(transition: Matrix, prior: Vector) -> float:
    entropies = [-math.fsum(t * math.log(t) for t in row if t > 0) for row in transition]
    return math.fsum(q * entropy for q, entropy in zip(prior, entropies, strict=True))


def flooded(losses: Sequence[float], bound: float) -> float:
    """|mean(L) - B| + B."""
    return abs(math.fsum(losses) / len(losses) - bound) + bound


def learned_target(row: Vector, label: int, smoothing: float) -> list[float]:
    """(1 - r) y + r softmax over the classes other than y (Chhabra et al. 2024)."""
    others = [k for k in range(len(row)) if k != label]
    shares = dict(zip(others, softmax([row[k] for k in others]), strict=True))
    return [1 - smoothing if k == label else smoothing * shares[k] for k in range(len(row))]


def learned_smoothing(logits: Vector, label: int, row: Vector, smoothing: float) -> float:
    target = learned_target(row, label, smoothing)
    other = math.fsum(-p * math.log(t) for p, t in zip(softmax(logits), target, strict=True))
    return (cross_entropy(logits, target) + other) / 2
