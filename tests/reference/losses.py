"""Losses and targets as the equations have them: slow loops over plain floats, independent of the package."""

import math
from collections.abc import Sequence

Vector = Sequence[float]
Matrix = Sequence[Vector]


def log_softmax(logits: Vector) -> list[float]:
    top = max(logits)
    log_total = top + math.log(math.fsum(math.exp(z - top) for z in logits))
    return [z - log_total for z in logits]


def softmax(logits: Vector) -> list[float]:
    return [math.exp(value) for value in log_softmax(logits)]


def cross_entropy(logits: Vector, target: Vector) -> float:
    """-sum_k t_k log p_k, where a class without weight has no part."""
    log_probs = log_softmax(logits)
    return math.fsum(-t * log_p for t, log_p in zip(target, log_probs, strict=True) if t != 0)


def gold_and_other(smoothing: float, num_classes: int, convention: str) -> tuple[float, float]:
    """Weight of the label and of each other class, row by row as the libraries define them."""
    r, k = smoothing, num_classes
    return {
        "all": (1 - r + r / k, r / k),
        "others": (1 - r, r / (k - 1)),
        "others-but-padding": (1 - r, r / max(k - 2, 1)),
        "classy": ((1 + r / k) / (1 + r), (r / k) / (1 + r)),
        "binary": (1 - r / 2, r / 2),
    }[convention]


def smoothed(label: int, smoothing: float, num_classes: int, convention: str = "all") -> list[float]:
    gold, other = gold_and_other(smoothing, num_classes, convention)
    return [gold if k == label else other for k in range(num_classes)]


def smoothed_by_prior(target: Vector, smoothing: float, prior: Vector) -> list[float]:
    mass = math.fsum(target)
    return [(1 - smoothing) * t + smoothing * mass * q for t, q in zip(target, prior, strict=True)]


def smoothed_over_valid(label: int, smoothing: float, valid: Sequence[bool]) -> list[float]:
    share = smoothing / sum(valid)
    return [(share if there else 0.0) + (1 - smoothing if k == label else 0.0) for k, there in enumerate(valid)]


def inverse(matrix: Matrix) -> list[list[float]]:
    """Gauss-Jordan elimination with partial pivoting."""
    size = len(matrix)
    rows = [[float(value) for value in row] + [float(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda i: abs(rows[i][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [value / scale for value in rows[column]]
        for i in range(size):
            if i != column:
                factor = rows[i][column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[size:] for row in rows]


def symmetric_transition(rate: float, num_classes: int) -> list[list[float]]:
    """Exclusive: to each of the K - 1 others with rate / (K - 1)."""
    others = rate / (num_classes - 1)
    return [[1 - rate if i == j else others for j in range(num_classes)] for i in range(num_classes)]


def forward_corrected(logits: Vector, observed: int, transition: Matrix) -> float:
    """-log sum_clean p_clean T[clean, observed] (Patrini et al. 2017)."""
    return -math.log(math.fsum(p * row[observed] for p, row in zip(softmax(logits), transition, strict=True)))


def backward_corrected(logits: Vector, observed: int, transition: Matrix) -> float:
    """(T^-1 losses)[observed], losses_k = -log p_k (Patrini et al. 2017)."""
    weights = inverse(transition)[observed]
    return math.fsum(-w * log_p for w, log_p in zip(weights, log_softmax(logits), strict=True))


def early_learning(logits: Vector, running: Vector, eps: float = 1e-4) -> float:
    """log(1 - <p, t>), p clamped to [eps, 1 - eps] as in the code of Liu et al. 2020."""
    clamped = [min(max(p, eps), 1 - eps) for p in softmax(logits)]
    return math.log(1 - math.fsum(p * t for p, t in zip(clamped, running, strict=True)))
