"""Bins, curves and classes as the page shows them, from what the metrics themselves are made of."""

import math

import torch

from softtargets.evaluate.counts import CELLS
from softtargets.evaluate.gauges import Gauges
from softtargets.evaluate.results import Bin, ClassRow, Histogram, Reliability, RiskCoverage, SmoothCurve
from softtargets.evaluate.statistics import surely_below, wilson
from softtargets.metrics import Bins, SmoothECE

# Of a curve, for drawing.
_POINTS = 256
_LEAST_DENSITY = 1e-3


def reliability_of(gauges: Gauges) -> Reliability:
    """Return the reliability diagram, in the very bins of the metrics."""
    # where many confidences are equal, bins of equal mass can be empty, and have no width
    mass = tuple(entry for entry in _bins(gauges.mass.reliability()) if entry.count)
    return Reliability(_bins(gauges.width.reliability()), mass, _smooth(gauges.smooth))


def _bins(table: Bins) -> tuple[Bin, ...]:
    edges, sums = table.edges.tolist(), (table.count, table.confidence, table.correct)
    rows = zip(edges, edges[1:], *(column.tolist() for column in sums), strict=False)
    return tuple(
        Bin(low, high, count, confidence / count, correct / count, wilson(correct, count))
        if count
        else Bin(low, high, 0)
        for low, high, count, confidence, correct in rows
    )


def _smooth(gathered: SmoothECE) -> SmoothCurve:
    curve = gathered.curve()
    # where hardly any row lies nearby, the quotient of two numbers near 0 says nothing
    places = (curve.density > _LEAST_DENSITY).nonzero()[:, 0]
    places = places[:: math.ceil(len(places) / _POINTS)]
    # smoothing may lead a little out of the fractions at both ends
    accuracy = curve.accuracy[places].clamp(0, 1)
    return SmoothCurve(
        tuple(curve.confidence[places].tolist()), tuple(accuracy.tolist()), tuple(curve.density[places].tolist())
    )


def risk_coverage_of(gauges: Gauges) -> RiskCoverage:
    """Return the risk-coverage curve at shares about evenly apart, the first and the last point among them."""
    curve = gauges.risk.curve()
    wanted = torch.linspace(0, 1, _POINTS, dtype=torch.float64)
    places = torch.searchsorted(curve.coverage, wanted).clamp(max=len(curve.coverage) - 1).unique()
    return RiskCoverage(tuple(curve.coverage[places].tolist()), tuple(curve.risk[places].tolist()))


def histogram_of(gauges: Gauges) -> Histogram:
    """Return how many right and how many wrong rows have which confidence."""
    counts = gauges.tally.total("histogram").long().tolist()
    return Histogram(tuple(edge / CELLS for edge in range(CELLS + 1)), tuple(counts[CELLS:]), tuple(counts[:CELLS]))


def classes_of(gauges: Gauges) -> tuple[ClassRow, ...]:
    """Return what is known of each class."""
    tally, table = gauges.tally, gauges.classwise.reliability()
    labels, predicted, right = (tally.total(name).long().tolist() for name in ("labels", "predicted", "right"))
    confidence = tally.total("confidence").tolist()
    errors = ((table.correct - table.confidence).abs().sum(1) / tally.count).tolist()
    return tuple(
        ClassRow(
            labels=labels[k],
            predicted=predicted[k],
            right=right[k],
            recall=right[k] / labels[k] if labels[k] else None,
            recall_interval=wilson(right[k], labels[k]) if labels[k] else None,
            confidence=confidence[k] / predicted[k] if predicted[k] else None,
            ece=errors[k],
            surely_below=below,
        )
        for k, below in enumerate(surely_below(labels, right))
    )
