"""The regression estimator of a rate from a random sample whose truth is known."""

import math
from statistics import NormalDist

from torch import Tensor


def correct_rate(
    predicted: Tensor, truth: Tensor, *, mean: float, size: int, confidence: float
) -> tuple[float, float, float]:
    """Return the rate, and the ends of its interval.

    Args:
        predicted: (M,) float64, predicted probabilities of the sample.
        truth: (M,) float64, 1 or 0.
        mean: mean of the predicted probabilities of all rows.
        size: number of all rows.
        confidence: of the interval.
    """
    centred = predicted - predicted.mean()
    spread = float((centred * centred).sum())
    slope = 0.0 if spread <= 0 else min(max(float((centred * truth).sum()) / spread, 0.0), 1.0)
    residuals = truth - slope * predicted
    estimate = float(residuals.mean()) + slope * mean
    count = len(truth)
    # two more squared residuals of 1: the interval has a width also if no label of the sample is wrong
    variance = (float((residuals - residuals.mean()).square().sum()) + 2) / count
    share = max(1 - count / size, 0.0)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance * share / count)
    return min(max(estimate, 0.0), 1.0), max(estimate - half, 0.0), min(estimate + half, 1.0)
