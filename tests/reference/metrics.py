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


def accuracy(scores: Rows, labels: Sequence[int]) -> float:
    return sum(predict(row) == label for row, label in zip(scores, labels, strict=True)) / len(labels)


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


def calibration_error(table: list[list[tuple[float, bool]]], norm: int | str) -> float:
    total = sum(len(members) for members in table)
    gaps = [
        (len(members) / total, abs(sum(right for _, right in members) - sum(c for c, _ in members)) / len(members))
        for members in table
        if members
    ]
    if norm == "max":
        return max(gap for _, gap in gaps)
    power = int(norm)
    return sum(share * gap**power for share, gap in gaps) ** (1 / power)
