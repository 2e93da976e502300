"""Numbers as text, in the unit of their measure and with as many digits as papers print."""

import math
from collections.abc import Iterable

NOTHING = "—"
_MINUS = "−"
_DECIMALS = {"percent": 2, "fraction": 3, "nats": 3, "logits": 2, "factor": 2, "epochs": 1, "bleu": 2, "count": 0}
_FEW, _MINUTE, _HOUR, _DAY = 10, 60, 3600, 86400
_LARGE = 100.0


def in_unit(value: float, unit: str) -> float:
    """Return a stored value in the displayed unit: fractions times 100 if the unit is percent."""
    return 100.0 * value if unit == "percent" else value


def number(value: float | None, unit: str, *, signed: bool = False, beside: float = 0.0) -> str:
    """Return a stored value as text, with the decimals of its unit, or fewer if it is large.

    Args:
        value: stored value; None is shown as a dash.
        unit: unit of its measure.
        signed: show a plus sign for positive values.
        beside: stored value shown next to it; if it is larger, it determines the decimals.

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
    # a value that rounds to zero has no sign
    sign = _MINUS if shown < 0 else ("+" if signed and shown > 0 else "")
    return f"{sign}{abs(shown):,.{decimals}f}"


def ends(low: float, high: float, unit: str, *, signed: bool = False, beside: float = 0.0) -> tuple[str, str]:
    """Return the ends of an interval as text, as :func:`number` shows them.

    If the interval excludes 0, an end that would be shown as 0 has one significant digit instead.

    Example:
        >>> ends(0.012, 0.0151, "fraction"), ends(-0.00802, -0.0000537, "fraction"), ends(-0.0001, 0.02, "fraction")
        (('0.012', '0.015'), ('−0.008', '−0.00005'), ('0.000', '0.020'))
    """
    shown = []
    for end in (low, high):
        text, value = number(end, unit, signed=signed, beside=beside), in_unit(end, unit)
        if low * high > 0 and not round(value, _decimals(max(abs(end), abs(beside)), unit)):
            sign = _MINUS if value < 0 else ("+" if signed else "")
            text = f"{sign}{abs(value):.{-math.floor(math.log10(abs(value)))}f}"
        shown.append(text)
    return shown[0], shown[1]


def _decimals(size: float, unit: str) -> int:
    most = _DECIMALS.get(unit, 3)
    shown = in_unit(size, unit)
    if unit == "percent" or not math.isfinite(shown) or shown < _LARGE:
        return most
    return max(0, most + 1 - math.floor(math.log10(shown)))


def difference_unit(unit: str) -> str:
    """Return the unit after a difference of two values."""
    return {"percent": "points", "nats": "nats", "logits": "logits", "epochs": "epochs"}.get(unit, "")


def value_unit(unit: str) -> str:
    """Return the unit after a value."""
    return "%" if unit == "percent" else difference_unit(unit)


def level(value: float) -> str:
    """Return a level as text."""
    return f"{value:g}".replace("-", _MINUS)


def rate(value: float) -> str:
    """Return a noise rate or a confidence in percent, without trailing zeros.

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
    """Return a p-value with two significant digits."""
    if p is None or not math.isfinite(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def duration(seconds: float) -> str:
    """Return a time in its two largest units.

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


def listed(names: Iterable[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``; empty text for no names."""
    *most, last = [*names] or [""]
    return " and ".join(filter(None, [", ".join(most), last]))
