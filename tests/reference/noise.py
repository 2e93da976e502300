"""Estimators and scores of label noise, in loops over plain floats."""

import math
from collections.abc import Sequence
from itertools import pairwise

Rows = Sequence[Sequence[float]]


def thresholds(probs: Rows, labels: Sequence[int]) -> list[float]:
    """Mean probability of a class among the examples labelled with it; infinite without any."""
    found = []
    for k in range(len(probs[0])):
        own = [row[k] for row, label in zip(probs, labels, strict=True) if label == k]
        found.append(max(sum(own) / len(own), 2e-6) if own else math.inf)
    return found


def confident_class(row: Sequence[float], bounds: Sequence[float]) -> int | None:
    """The class whose threshold the row reaches, the row's largest of several; None without any."""
    reached = [k for k in range(len(row)) if row[k] >= bounds[k] - 1e-6]
    if len(reached) > 1:
        return max(range(len(row)), key=lambda k: row[k])
    return reached[0] if reached else None


def confident_joint(probs: Rows, labels: Sequence[int]) -> list[list[int]]:
    """Counts [clean][observed], at least 1 on the diagonal."""
    size, bounds = len(probs[0]), thresholds(probs, labels)
    counts = [[0] * size for _ in range(size)]
    for row, label in zip(probs, labels, strict=True):
        clean = confident_class(row, bounds)
        if clean is not None:
            counts[clean][label] += 1
    for k in range(size):
        counts[k][k] = max(counts[k][k], 1)
    return counts


def calibrated(counts: Sequence[Sequence[int]], labels: Sequence[int]) -> list[list[float]]:
    """Each column scaled to the number of its labels."""
    size = len(counts)
    totals = [sum(counts[j][o] for j in range(size)) for o in range(size)]
    return [[counts[j][o] * labels.count(o) / totals[o] for o in range(size)] for j in range(size)]


def clean_probabilities(
    observed: Sequence[float], transition: Rows, start: Sequence[float], rounds: int
) -> list[float]:
    """Expectation-maximisation for the weights of a mixture of the transition's rows."""
    size, weights = len(observed), list(start)
    for _ in range(rounds):
        mixed = [sum(weights[k] * transition[k][o] for k in range(size)) for o in range(size)]
        weights = [
            weights[k] * sum(transition[k][o] * observed[o] / mixed[o] for o in range(size) if mixed[o] > 0)
            for k in range(size)
        ]
    return [weight / sum(weights) for weight in weights]


def label_posterior(
    observed: Sequence[float], label: int, transition: Rows, start: Sequence[float], rounds: int
) -> float:
    """Bayes' rule for the clean class, given the observed label."""
    clean = clean_probabilities(observed, transition, start, rounds)
    whole = sum(clean[k] * transition[k][label] for k in range(len(clean)))
    return clean[label] * transition[label][label] / whole if whole > 0 else 0.0


def auroc(scores: Sequence[float], positives: Sequence[bool]) -> float:
    """Share of pairs that are in order, ties one half."""
    above = [s for s, p in zip(scores, positives, strict=True) if p]
    below = [s for s, p in zip(scores, positives, strict=True) if not p]
    return sum((a > b) + (a == b) / 2 for a in above for b in below) / (len(above) * len(below))


def dynamics(margins: Rows, early: int) -> list[tuple[float, int, float]]:
    """Per example, over its margins epoch by epoch: their mean, forgetting, and share of right early epochs."""
    found = []
    for history in margins:
        right = [margin > 0 for margin in history]
        events = sum(before and not after for before, after in pairwise(right))
        forgotten = events if any(right) else len(history)
        found.append((sum(history) / len(history), forgotten, sum(right[:early]) / len(right[:early])))
    return found
