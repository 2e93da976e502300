"""Calibrators and scores in loops over plain floats, from their equations."""

import math
from collections.abc import Callable, Sequence

Rows = Sequence[Sequence[float]]


def softmax(row: Sequence[float], temperature: float = 1.0) -> list[float]:
    top = max(row)
    weights = [math.exp((z - top) / temperature) for z in row]
    return [w / sum(weights) for w in weights]


def nll(logits: Rows, labels: Sequence[int], temperature: float, transition: Rows | None = None) -> float:
    """Mean of -log of the observed label's probability; T[clean][observed]."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        probs = softmax(row, temperature)
        if transition is None:
            total -= math.log(probs[label])
        else:
            total -= math.log(sum(p * noise[label] for p, noise in zip(probs, transition, strict=True)))
    return total / len(logits)


def golden(value: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one minimum has it, by the golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = value(a), value(b)
    while high - low > 1e-9:
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = value(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = value(b)
    return (low + high) / 2


def isotonic(scores: Sequence[float], marks: Sequence[int]) -> list[float]:
    """The best non-decreasing fit at each score: pool adjacent violators, equal scores first."""
    blocks: list[tuple[float, int, list[int]]] = []
    for score in sorted(set(scores)):
        members = [i for i, s in enumerate(scores) if s == score]
        blocks.append((sum(marks[i] for i in members), len(members), members))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            (s1, n1, m1), (s2, n2, m2) = blocks.pop(-2), blocks.pop()
            blocks.append((s1 + s2, n1 + n2, m1 + m2))
    fitted = [0.0] * len(scores)
    for total, count, members in blocks:
        for i in members:
            fitted[i] = total / count
    return fitted


def histogram(scores: Sequence[float], marks: Sequence[int], bins: int) -> list[float]:
    """The share of marks in each bin of equal width, its middle where there is none."""
    shares = []
    for b in range(bins):
        inside = [
            mark
            for score, mark in zip(scores, marks, strict=True)
            if b / bins < score <= (b + 1) / bins or (b == 0 and score == 0)
        ]
        shares.append(sum(inside) / len(inside) if inside else (2 * b + 1) / (2 * bins))
    return shares


def aurc(scores: Sequence[float], wrong: Sequence[bool]) -> float:
    """Mean over all coverages of the risk of the surest; scores all different."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    return sum(sum(wrong[i] for i in order[:n]) / n for n in range(1, len(order) + 1)) / len(order)


def logit_normalized(row: Sequence[float], p: float) -> float:
    mean = sum(row) / len(row)
    centred = [z - mean for z in row]
    norm = max(map(abs, centred)) if p == math.inf else sum(abs(z) ** p for z in centred) ** (1 / p)
    return max(centred) / norm
