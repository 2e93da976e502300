"""What a measure of a finished run is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from softtargets.runs.record import Predictions, Record


@dataclass(frozen=True)
class Measure:
    """What a number is called and shown in.

    Args:
        label: for people.
        unit: "percent" is a fraction, shown times 100; "factor" is what something is multiplied or divided by.
        describes: one sentence.
        of: (record) -> the value, or None where it is not defined (no flipped labels, say).
    """

    label: str
    unit: Literal["percent", "fraction", "nats", "logits", "factor", "epochs"]
    describes: str
    of: Callable[[Record], float | None]


def predicted(value: Callable[[Predictions], float | None]) -> Callable[[Record], float | None]:
    """Return a measure of a run's predictions alone as one of its record."""
    return lambda record: value(record.predictions)
