"""Smooth calibration error from its definition: every example's kernel, an integral by the midpoint rule."""

import math


def error_at(confidence: list[float], residual: list[float], width: float, points: int = 500) -> float:
    """The integral over [0, 1] of |mean of reflected Gaussians times residuals|."""
    total = 0.0
    for point in range(points):
        t = (point + 0.5) / points
        smoothed = 0.0
        for place, value in zip(confidence, residual, strict=True):
            for period in (-2, 0, 2):
                for image in (place, -place):
                    smoothed += value * math.exp(-(((t - period - image) / width) ** 2) / 2)
        total += abs(smoothed) / (math.sqrt(2 * math.pi) * width * len(confidence))
    return total / points


def smooth_ece(confidence: list[float], residual: list[float]) -> float:
    """The smallest width that is at least the error at it."""
    low, high = 0.0, 1.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if error_at(confidence, residual, middle) <= middle else (middle, high)
    return high
