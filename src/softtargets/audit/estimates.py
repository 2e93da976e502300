"""Estimated numbers with their intervals."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IntervalEstimate:
    """An estimated rate or count with the ends of its interval."""

    estimate: float
    low: float
    high: float
