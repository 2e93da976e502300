"""Metrics as the equations have them, in loops over plain floats."""

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def predict(row: Sequence[float]) -> int:
    """The largest; ties go to the lowest class."""
    best = 0
    for k in range(len(row)):
        if row[k] > row[best]:
            best = k
    return best


def accuracy(scores: Rows, labels: Sequence[int], top_k: int = 1) -> float:
    """The label is among the first top_k of the classes in order, of equal ones the lowest first."""
    right = 0
    for row, label in zip(scores, labels, strict=True):
        order = sorted(range(len(row)), key=lambda k: (-row[k], k))
        right += label in order[:top_k]
    return right / len(labels)


def nll(log_probs: Rows, labels: Sequence[int]) -> float:
    return -math.fsum(row[label] for row, label in zip(log_probs, labels, strict=True)) / len(labels)


def logit_gap(logits: Sequence[float], label: int) -> float:
    return logits[label] - math.fsum(logits) / len(logits)


def width_bins(probs: Rows, labels: Sequence[int], bins: int) -> list[list[tuple[float, bool]]]:
    """(confidence, right) of every example in bin b where b / B < confidence <= (b + 1) / B; 0 goes into the first."""
    table: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for row, label in zip(probs, labels, strict=True):
        predicted = predict(row)
        for b in range(bins):
            low, high = b / bins, (b + 1) / bins
            if low < row[predicted] <= high or (b == 0 and row[predicted] == 0):
                table[b].append((row[predicted], predicted == label))
    return table


def mass_bins(probs: Rows, labels: Sequence[int], bins: int) -> list[list[tuple[float, bool]]]:
    """Equal counts of distinct confidences in their order: the first ceil(N / B), and so on."""
    ordered = sorted((row[predict(row)], predict(row) == label) for row, label in zip(probs, labels, strict=True))
    ends = [-(-b * len(ordered) // bins) for b in range(bins + 1)]
    return [ordered[ends[b] : ends[b + 1]] for b in range(bins)]


def calibration_error(table: list[list[tuple[float, bool]]], norm: str) -> float:
    total = sum(len(members) for members in table)
    gaps = [
        (len(members) / total, abs(sum(right for _, right in members) - sum(c for c, _ in members)) / len(members))
        for members in table
        if members
    ]
    if norm == "max":
        return max(gap for _, gap in gaps)
    power = {"l1": 1, "l2": 2}[norm]
    return sum(share * gap**power for share, gap in gaps) ** (1 / power)


def brier(probs: Rows, labels: Sequence[int]) -> float:
    total = 0.0
    for row, label in zip(probs, labels, strict=True):
        total += sum((p - (k == label)) ** 2 for k, p in enumerate(row))
    return total / len(labels)


def brier_parts(probs: Rows, labels: Sequence[int], bins: int) -> tuple[float, float, float, float]:
    """Murphy 1973 and the variance and covariance within bins of Stephenson et al. 2008, for each class and summed."""
    number, parts = len(labels), [0.0, 0.0, 0.0, 0.0]
    for k in range(len(probs[0])):
        overall = sum(label == k for label in labels) / number
        parts[2] += overall * (1 - overall)
        for members in class_bins(probs, labels, bins, k):
            if not members:
                continue
            forecast = sum(f for f, _ in members) / len(members)
            frequency = sum(o for _, o in members) / len(members)
            parts[0] += len(members) / number * (forecast - frequency) ** 2
            parts[1] += len(members) / number * (frequency - overall) ** 2
            for f, o in members:
                parts[3] += ((f - forecast) ** 2 - 2 * (f - forecast) * (o - frequency)) / number
    return parts[0], parts[1], parts[2], parts[3]


def class_bins(probs: Rows, labels: Sequence[int], bins: int, k: int) -> list[list[tuple[float, bool]]]:
    """(probability of class k, whether it is the label), in bins of equal width."""
    table: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for row, label in zip(probs, labels, strict=True):
        for b in range(bins):
            if b / bins < row[k] <= (b + 1) / bins or (b == 0 and row[k] == 0):
                table[b].append((row[k], label == k))
    return table


def debiased(table: list[list[tuple[float, bool]]]) -> float:
    """Kumar et al. 2019: the squared gap of each bin less its noise."""
    total = sum(len(members) for members in table)
    error = 0.0
    for members in table:
        n = len(members)
        if n > 1:
            accuracy, confidence = sum(right for _, right in members) / n, sum(c for c, _ in members) / n
            error += n / total * ((accuracy - confidence) ** 2 - accuracy * (1 - accuracy) / (n - 1))
    return max(error, 0.0) ** 0.5
