"""Reliability bins, risk curves, histograms and class tables from the accumulated metrics."""

import math

import torch

from softtargets.evaluate.counts import CELLS
from softtargets.evaluate.curves import ConfidenceHistogram, ReliabilityBin, ReliabilityDiagram, RiskCurve, SmoothCurve
from softtargets.evaluate.results import ClassEvaluation
from softtargets.evaluate.suite import LEVEL, MetricSuite
from softtargets.evaluate.values import IntervalEnds
from softtargets.metrics import ECE, Bins, SelectiveRisk, SmoothECE
from softtargets.metrics.statistics import surely_below, wilson

CLASSES_RULE = (
    "A class is called significantly worse if a one-sided Fisher’s exact test finds its recall below that of all other "
    f"rows, at a level of {100 * LEVEL:g} %, Holm-adjusted over the classes."
)
NO_CLASSES_RULE = "Classes are not tested, since the tokens of a sequence depend on each other."
# Points of a curve, for drawing.
_POINTS = 256
_LEAST_DENSITY = 1e-3


def reliability_of(suite: MetricSuite) -> ReliabilityDiagram:
    """Return the reliability diagram in the bins of the metrics."""
    # if many confidences are equal, bins of equal mass can be empty and have no width
    # intervals of independent rows would be too narrow for the tokens of a sequence
    with_intervals = not suite.tokens
    width = _bins(suite.of("ece", ECE).reliability(), with_intervals)
    mass = _bins(suite.of("ece_mass", ECE).reliability(), with_intervals)
    return ReliabilityDiagram(
        width, tuple(entry for entry in mass if entry.count), _smooth(suite.of("smooth_ece", SmoothECE))
    )


def _bins(table: Bins, with_intervals: bool) -> tuple[ReliabilityBin, ...]:
    edges, sums = table.edges.tolist(), (table.count, table.confidence, table.correct)
    rows = zip(edges, edges[1:], *(column.tolist() for column in sums), strict=False)
    return tuple(
        ReliabilityBin(
            low,
            high,
            count,
            confidence / count,
            correct / count,
            _wilson(correct, count) if with_intervals else None,
        )
        if count
        else ReliabilityBin(low, high, 0)
        for low, high, count, confidence, correct in rows
    )


def _wilson(count: int, total: int) -> IntervalEnds:
    return IntervalEnds(*wilson(count, total, LEVEL))


def _smooth(smooth: SmoothECE) -> SmoothCurve:
    curve = smooth.curve()
    # without rows nearby, the curve is a quotient of two numbers near 0
    places = (curve.density > _LEAST_DENSITY).nonzero()[:, 0]
    places = places[:: math.ceil(len(places) / _POINTS)]
    # smoothing can exceed the range of fractions slightly at both ends
    accuracy = curve.accuracy[places].clamp(0, 1)
    return SmoothCurve(
        tuple(curve.confidence[places].tolist()), tuple(accuracy.tolist()), tuple(curve.density[places].tolist())
    )


def risk_curve_of(suite: MetricSuite) -> RiskCurve:
    """Return the risk-coverage curve at about evenly spaced coverages, including the first and the last point."""
    curve = suite.of("aurc", SelectiveRisk).curve()
    wanted = torch.linspace(0, 1, _POINTS, dtype=torch.float64)
    places = torch.searchsorted(curve.coverage, wanted).clamp(max=len(curve.coverage) - 1).unique()
    return RiskCurve(tuple(curve.coverage[places].tolist()), tuple(curve.risk[places].tolist()))


def histogram_of(suite: MetricSuite) -> ConfidenceHistogram:
    """Return the numbers of right and of wrong rows by confidence."""
    counts = suite.counts.total("histogram").long().tolist()
    edges = tuple(edge / CELLS for edge in range(CELLS + 1))
    return ConfidenceHistogram(edges, tuple(counts[CELLS:]), tuple(counts[:CELLS]))


def classes_of(suite: MetricSuite) -> tuple[ClassEvaluation, ...]:
    """Return the evaluation of each class."""
    counts, table = suite.counts, suite.of("ece_classwise", ECE).reliability()
    labels, predicted, right = (counts.total(name).long().tolist() for name in ("labels", "predicted", "right"))
    confidence = counts.total("confidence").tolist()
    below = [False] * len(labels) if suite.tokens else surely_below(labels, right, LEVEL)
    errors = ((table.correct - table.confidence).abs().sum(1) / counts.count).tolist()
    return tuple(
        ClassEvaluation(
            labels=labels[k],
            predicted=predicted[k],
            right=right[k],
            recall=right[k] / labels[k] if labels[k] else None,
            recall_interval=_wilson(right[k], labels[k]) if labels[k] and not suite.tokens else None,
            confidence=confidence[k] / predicted[k] if predicted[k] else None,
            ece=errors[k],
            significantly_worse=below[k],
        )
        for k in range(len(labels))
    )
