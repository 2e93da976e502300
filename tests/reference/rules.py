"""Rules for targets as the equations have them: slow loops over plain floats, independent of the package."""

import math
from collections.abc import Sequence

Vector = Sequence[float]
Matrix = Sequence[Vector]


def reweighted(target: Vector, class_weight: Vector) -> list[float]:
    return [w * t for w, t in zip(class_weight, target, strict=True)]


def example_weight(target: Vector, class_weight: Vector, label: int | None = None) -> float:
    return math.fsum(reweighted(target, class_weight)) if label is None else class_weight[label]


def top_k(probs: Vector, k: int, residual: str, prior: Vector | None = None) -> list[float]:
    """The k largest as they are; what they leave goes to the others, evenly or by the prior, or nowhere."""
    kept = sorted(range(len(probs)), key=lambda j: -probs[j])[:k]
    others = [j for j in range(len(probs)) if j not in kept]
    left = math.fsum(probs[j] for j in others)
    shares = dict.fromkeys(others, 0.0)
    if residual == "uniform":
        shares = {j: left / len(others) for j in others}
    if residual == "prior" and prior is not None and others:
        total = math.fsum(prior[j] for j in others)
        shares = {j: left * prior[j] / total for j in others}
    return [shares.get(j, p) for j, p in enumerate(probs)]


def ghost(probs: Vector, weights: dict[int, float]) -> float:
    """-sum_named t_k log p_k - (1 - sum t) log(1 - sum_named p), the student's p."""
    named = math.fsum(-t * math.log(probs[k]) for k, t in weights.items() if t)
    left = 1 - math.fsum(weights.values())
    others = math.fsum(p for k, p in enumerate(probs) if k not in weights)
    return named - (left * math.log(others) if left > 0 and others > 0 else 0.0)


def tempered(values: Vector, temperature: float) -> list[float]:
    weights = [math.exp(value / temperature) for value in values]
    return [weight / math.fsum(weights) for weight in weights]


def hierarchical(distance: Matrix, sharpness: float) -> list[list[float]]:
    return [tempered([-d for d in row], 1 / sharpness) for row in distance]


def localized(num_classes: int, smoothing: float, width: int) -> list[list[float]]:
    table = []
    for y in range(num_classes):
        near = [k for k in range(num_classes) if k != y and abs(k - y) <= width]
        row = [0.0] * num_classes
        row[y] = 1 - smoothing
        for k in near:
            row[k] = smoothing / len(near)
        table.append(row)
    return table


def confusion(counts: Matrix, smoothing: float) -> list[list[float]]:
    table = []
    for y, row in enumerate(counts):
        others = [n for k, n in enumerate(row) if k != y]
        total, size = sum(others), len(others)
        table.append(
            [1 - smoothing if k == y else smoothing * (n / total if total else 1 / size) for k, n in enumerate(row)]
        )
    return table


def class_tf_idf(documents: Sequence[Sequence[str]]) -> list[dict[str, float]]:
    """Share of the class's words, times log of the number of classes over those that have the word."""
    return [
        {
            word: document.count(word) / len(document) * math.log(len(documents) / sum(word in d for d in documents))
            for word in document
        }
        for document in documents
    ]


def cosine(a: dict[str, float], b: dict[str, float]) -> float:
    lengths = [math.sqrt(math.fsum(w * w for w in v.values())) for v in (a, b)]
    return math.fsum(w * b.get(word, 0.0) for word, w in a.items()) / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def smoothed_by_scores(label: int, scores: Vector, smoothing: float, temperature: float) -> list[float]:
    spread = tempered(scores, temperature)
    return [(1 - smoothing) * (k == label) + smoothing * s for k, s in enumerate(spread)]


def merged(before: Matrix, ranks: Sequence[Matrix], touched: Sequence[Sequence[int]]) -> list[list[float]]:
    """A row that ranks touched is the mean of theirs; another stays."""
    result = []
    for i, row in enumerate(before):
        theirs = [values[i] for values, rows in zip(ranks, touched, strict=True) if i in rows]
        result.append([math.fsum(c) / len(theirs) for c in zip(*theirs, strict=True)] if theirs else list(row))
    return result
