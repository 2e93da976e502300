"""Labels and units of measures, and summaries of runs as text."""

from collections.abc import Iterable
from typing import NamedTuple

from softtargets.measures import MEASURES, TRACES
from softtargets.report.numbers import number
from softtargets.studies.records import Summary

# Shown instead of an interval that is wider than all values that are possible.
NOT_ENOUGH_SEEDS = "not enough seeds"
_HEADING_UNITS = {"percent": " (%)", "fraction": "", "nats": " (nats)", "logits": " (logits)", "epochs": " (epochs)"}


class Shown(NamedTuple):
    """Label and unit of a metric."""

    label: str
    unit: str


def measure(metric: str) -> Shown:
    """Return the label and unit of a metric. A metric without a description is labelled by its name."""
    known = MEASURES.get(metric) or TRACES.get(metric)
    if known is None:
        return Shown(metric, "fraction")
    # a symbol, such as γ, stays in lower case
    symbol = known.label[1:2] == " "
    return Shown(known.label if symbol else known.label[:1].upper() + known.label[1:], known.unit)


def span(terms: Iterable[tuple[str, float]]) -> float | None:
    """Return the width of the range of a weighted sum of metrics; None if a metric is unbounded.

    Example:
        >>> span([("test.accuracy", 1.0), ("test.accuracy", -1.0)])  # from -100 to 100 points
        2.0
    """
    total = 0.0
    for metric, weight in terms:
        known = MEASURES.get(metric)
        if known is None or known.span is None:
            return None
        total += abs(weight) * known.span
    return total


def heading(metric: str) -> str:
    """Return the label of a metric with its unit, for the head of a column or the title of an axis."""
    label, unit = measure(metric)
    return label + _HEADING_UNITS.get(unit, "")


def spread(summary: Summary, unit: str) -> str:
    """Return ``± sd``; empty text for a single seed."""
    return f"± {number(summary.sd, unit, beside=summary.mean)}" if summary.n > 1 else ""


def summary_text(summary: Summary, unit: str) -> str:
    """Return ``mean ± sd (n)`` on one line.

    Example:
        >>> summary_text(Summary(0.8122, 0.0031, 5, 0.808, 0.816), "percent")
        '81.22 ± 0.31 (5)'
    """
    parts = [number(summary.mean, unit), spread(summary, unit), f"({summary.n})"]
    return " ".join(part for part in parts if part)
