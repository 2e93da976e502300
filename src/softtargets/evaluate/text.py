"""Numbers of an evaluation as text."""

import math

from softtargets.evaluate.values import IntervalEnds
from softtargets.report import numbers


def text_of(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Return a value with its unit.

    Example:
        >>> text_of(0.8219, "percent"), text_of(float("inf"), "nats"), text_of(-0.01, "percent", signed=True)
        ('82.19 %', '∞', '−1.00 %')
    """
    if value is None:
        return numbers.NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return numbers.number(value, unit, signed=signed) + (" %" if unit == "percent" else "")


def range_of(interval: IntervalEnds | None, unit: str, *, signed: bool = False) -> str:
    """Return the ends of an interval without their unit; empty text if there is none."""
    if interval is None:
        return ""
    if signed and all(map(math.isfinite, interval)):
        return " to ".join(numbers.ends(*interval, unit, signed=True))
    return " to ".join(text_of(end, unit, signed=signed).removesuffix(" %") for end in interval)


def points_of(difference: float | None, unit: str) -> str:
    """Return a difference with its sign and unit, which is points for percent."""
    text = text_of(difference, unit, signed=True).removesuffix(" %")
    named = numbers.difference_unit(unit)
    return f"{text} {named}" if named and difference is not None and math.isfinite(difference) else text


def temperatures_of(temperatures: tuple[float, ...]) -> str:
    """Return the smallest and the largest temperature of the folds, or one number if they are equal."""
    ends = min(temperatures), max(temperatures)
    least, greatest = (f"{end:.3g}" if end < 999.5 else f"{end:,.0f}" for end in ends)
    return least if least == greatest else f"{least} to {greatest}"
