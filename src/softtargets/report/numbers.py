"""Numbers as text: in the unit of their measure and with no more digits than papers print."""

import math
from typing import NamedTuple

from softtargets.runs.measures import MEASURES
from softtargets.studies.analyses import ANALYSES, TRACES
from softtargets.studies.results import Summary

NOTHING = "—"
_MINUS = "−"
_DECIMALS = {"percent": 2, "fraction": 3, "nats": 3, "logits": 2, "factor": 2, "epochs": 1}
_HEADING_UNITS = {"percent": " (%)", "fraction": "", "nats": " (nats)", "logits": " (logits)", "epochs": " (epochs)"}
_FEW, _MINUTE, _HOUR, _DAY = 10, 60, 3600, 86400
_LARGE = 100.0


class Shown(NamedTuple):
    """How a metric is called and in which unit it is shown."""

    label: str
    unit: str


def measure(metric: str) -> Shown:
    """Return how a metric is shown; one that nobody described is called by its name."""
    known = MEASURES.get(metric) or ANALYSES.get(metric) or TRACES.get(metric)
    if known is None:
        return Shown(metric, "fraction")
    # a symbol, such as γ, stays as it is
    symbol = known.label[1:2] == " "
    return Shown(known.label if symbol else known.label[:1].upper() + known.label[1:], known.unit)


def heading(metric: str) -> str:
    """Return the label of a metric with its unit, as it heads a column or an axis."""
    label, unit = measure(metric)
    return label + _HEADING_UNITS.get(unit, "")


def in_unit(value: float, unit: str) -> float:
    """Return a stored value (a fraction, nats, logits) in the unit that is shown: percent where that is the unit."""
    return 100.0 * value if unit == "percent" else value


def number(value: float | None, unit: str, *, signed: bool = False, beside: float = 0.0) -> str:
    """Return a stored value as text: with the decimals of its unit, and fewer where it is large.

    Args:
        value: as stored; None is shown as a dash.
        unit: of its measure.
        signed: show a plus where it is positive.
        beside: a stored value that it stands beside and whose decimals it shares if that one is larger.

    Example:
        >>> number(0.8122, "percent"), number(0.111, "fraction"), number(-0.0312, "percent", signed=True)
        ('81.22', '0.111', '−3.12')
        >>> number(28138.09, "logits"), number(12.5, "logits", beside=28138.09)
        ('28,138', '12')
    """
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return "not finite"
    decimals = _decimals(max(abs(value), abs(beside)), unit)
    shown = round(in_unit(value, unit), decimals)
    # A value that rounds to zero carries no sign.
    sign = _MINUS if shown < 0 else ("+" if signed and shown > 0 else "")
    return f"{sign}{abs(shown):,.{decimals}f}"


def _decimals(size: float, unit: str) -> int:
    most = _DECIMALS.get(unit, 3)
    shown = in_unit(size, unit)
    if unit == "percent" or not math.isfinite(shown) or shown < _LARGE:
        return most
    return max(0, most + 1 - math.floor(math.log10(shown)))


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


def difference_unit(unit: str) -> str:
    """Return what to write behind a difference of two values of this unit."""
    return {"percent": "points", "nats": "nats", "logits": "logits", "epochs": "epochs"}.get(unit, "")


def value_unit(unit: str) -> str:
    """Return what to write behind a value of this unit."""
    return "%" if unit == "percent" else difference_unit(unit)


def level(value: float) -> str:
    """Return a level as the study writes it."""
    return f"{value:g}".replace("-", _MINUS)


def rate(value: float) -> str:
    """Return a noise rate or a confidence in percent, without digits that say nothing.

    Example:
        >>> rate(0.2), rate(0.998)
        ('20 %', '99.8 %')
    """
    return f"{100 * value:.4g} %"


def small(value: float) -> str:
    """Return a small share in percent, as a power of ten with one digit.

    Example:
        >>> small(1e-6), small(2.34e-7)
        ('1e−4 %', '2e−5 %')
    """
    digit, power = f"{100 * value:.0e}".split("e")
    return f"{digit}e{int(power)} %".replace("-", _MINUS) if value else "0 %"


def p_value(p: float | None) -> str:
    """Return a p-value with two digits that count."""
    if p is None or not math.isfinite(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def duration(seconds: float) -> str:
    """Return a time in the two units that matter.

    Example:
        >>> duration(4.23), duration(59.6), duration(221), duration(7500), duration(200_000)
        ('4.2 s', '1 min 0 s', '3 min 41 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < _FEW:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    return f"{whole} s"


def count(n: int, noun: str) -> str:
    """Return ``1 run`` or ``2 runs``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
