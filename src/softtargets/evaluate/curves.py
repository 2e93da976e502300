"""Reliability bins, confidence histograms and risk curves of one model."""

from dataclasses import dataclass

from softtargets.evaluate.values import IntervalEnds


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram.

    Args:
        low, high: edges, fractions.
        count: number of rows.
        confidence, accuracy: means over the rows; None for an empty bin.
        interval: Wilson interval of the accuracy; None for an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float | None = None
    accuracy: float | None = None
    interval: IntervalEnds | None = None


@dataclass(frozen=True)
class SmoothCurve:
    """A smooth reliability curve on a grid.

    Args:
        confidence: an increasing grid in [0, 1] of at most a few hundred points.
        accuracy: the smoothed accuracy at each point.
        density: density of the rows at each point; it integrates to 1.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    density: tuple[float, ...]


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Bins of equal width and of equal mass, as used by the metrics, and the smooth curve."""

    width: tuple[ReliabilityBin, ...]
    mass: tuple[ReliabilityBin, ...]
    smooth: SmoothCurve | None = None


@dataclass(frozen=True)
class ConfidenceHistogram:
    """Numbers of right and of wrong rows by confidence."""

    edges: tuple[float, ...]
    right: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True)
class RiskCurve:
    """The error (`risk`) of the most confident rows by the share of rows kept (`coverage`); thinned for drawing."""

    coverage: tuple[float, ...]
    risk: tuple[float, ...]
