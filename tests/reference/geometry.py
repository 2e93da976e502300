"""Geometry of features, slowly: every pair of examples, and matrices of full size."""

import numpy as np


def cosine_distances(features: list[list[float]], labels: list[int]) -> tuple[float, float]:
    """Return d_within and d_total of Kornblith et al. 2021, sums over all pairs with the denominators as printed."""
    classes = sorted(set(labels))
    rows = {name: [np.array(x) for x, y in zip(features, labels, strict=True) if y == name] for name in classes}

    def summed(left: int, right: int) -> float:
        return sum(1 - float(x @ z / (np.linalg.norm(x) * np.linalg.norm(z))) for x in rows[left] for z in rows[right])

    count = len(classes)
    within = sum(summed(k, k) / (count * len(rows[k]) ** 2) for k in classes)
    total = sum(summed(j, k) / (count**2 * len(rows[j]) * len(rows[k])) for j in classes for k in classes)
    return within, total


def neural_collapse(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray
) -> tuple[float, float, float, float, float]:
    """Return NC1, the two of NC2, NC3 and NC4 of Papyan et al. 2020, from covariances and one example at a time."""
    count, classes = len(features), range(len(weight))
    means = [features[labels == k].mean(0) for k in classes]
    overall = sum(means) / len(means)
    within = sum(np.outer(x - means[y], x - means[y]) for x, y in zip(features, labels, strict=True)) / count
    between = sum(np.outer(mean - overall, mean - overall) for mean in means) / len(means)
    # below the K - 1 eigenvalues that can differ from 0, nothing but rounding
    variation = np.trace(within @ np.linalg.pinv(between, rcond=1e-10, hermitian=True)) / len(means)
    centered = [mean - overall for mean in means]
    norms = [np.linalg.norm(mean) for mean in centered]
    cosines = [centered[k] @ centered[j] / (norms[k] * norms[j]) for k in classes for j in classes if j != k]
    angles = np.mean([abs(cosine + 1 / (len(means) - 1)) for cosine in cosines])
    dual = weight / np.linalg.norm(weight) - np.array(centered) / np.linalg.norm(centered)
    wrong = 0
    for x in features:
        nearest = min(classes, key=lambda k: np.linalg.norm(x - means[k]))
        wrong += int(nearest != np.argmax(weight @ x + bias))
    return (
        variation,
        float(np.std(norms, ddof=1) / np.mean(norms)),
        float(angles),
        float((dual**2).sum()),
        wrong / count,
    )
