"""How a measure is called, and how the mean of its runs is written."""

from typing import NamedTuple

from softtargets.measures import MEASURES, TRACES
from softtargets.report.numbers import number
from softtargets.studies.records import Summary

_HEADING_UNITS = {"percent": " (%)", "fraction": "", "nats": " (nats)", "logits": " (logits)", "epochs": " (epochs)"}


class Shown(NamedTuple):
    """How a metric is called and in which unit it is shown."""

    label: str
    unit: str


def measure(metric: str) -> Shown:
    """Return how a metric is shown; one that nobody described is called by its name."""
    known = MEASURES.get(metric) or TRACES.get(metric)
    if known is None:
        return Shown(metric, "fraction")
    # a symbol, such as γ, stays as it is
    symbol = known.label[1:2] == " "
    return Shown(known.label if symbol else known.label[:1].upper() + known.label[1:], known.unit)


def heading(metric: str) -> str:
    """Return the label of a metric with its unit, as it heads a column or an axis."""
    label, unit = measure(metric)
    return label + _HEADING_UNITS.get(unit, "")


def spread(summary: Summary, unit: str) -> str:
    """Return ``± sd``; nothing where one seed cannot show a deviation."""
    return f"± {number(summary.sd, unit, beside=summary.mean)}" if summary.n > 1 else ""


def summary_text(summary: Summary, unit: str) -> str:
    """Return ``mean ± sd (n)`` on one line.

    Example:
        >>> summary_text(Summary(0.8122, 0.0031, 5), "percent")
        '81.22 ± 0.31 (5)'
    """
    parts = [number(summary.mean, unit), spread(summary, unit), f"({summary.n})"]
    return " ".join(part for part in parts if part)
