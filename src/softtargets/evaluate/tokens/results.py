"""The results of the tokens of sequences: by position, by frequency, and temperatures by position."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from softtargets.evaluate.tokens.ranges import Key
from softtargets.evaluate.values import IntervalEnds, MetricValue

# What the ranges of a table are ranges of, as a title and in a sentence.
TITLES: dict[Key, str] = {
    "position": "By position",
    "predicted": "By frequency of the predicted token",
    "label": "By frequency of the label",
}


def range_text(low: int, high: int) -> str:
    """Return a range of whole numbers in words.

    Example:
        >>> range_text(0, 0), range_text(1000, 9999)
        ('0', '1,000 to 9,999')
    """
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


@dataclass(frozen=True)
class TokenRange:
    """The tokens of a range of positions or frequencies.

    Args:
        low, high: the first and the last position or frequency.
        tokens: number of evaluated tokens.
        sequences: number of sequences that these are from.
        metrics: those of `OF_TOKENS`.
        scaled: the same after temperature scaling; empty without one.
        gap: interval of confidence − accuracy that holds for all ranges of the table together; None without one.
    """

    low: int
    high: int
    tokens: int
    sequences: int
    metrics: tuple[MetricValue, ...]
    scaled: tuple[MetricValue, ...] = ()
    gap: IntervalEnds | None = None

    @property
    def text(self) -> str:
        """The range in words."""
        return range_text(self.low, self.high)

    def metric(self, name: str) -> MetricValue:
        """Return a metric before scaling."""
        return next(metric for metric in self.metrics if metric.name == name)

    def after(self, name: str) -> MetricValue | None:
        """Return a metric after temperature scaling; None without one."""
        return next((metric for metric in self.scaled if metric.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, with the metrics by name."""
        return {
            "low": self.low,
            "high": self.high,
            "tokens": self.tokens,
            "sequences": self.sequences,
            "metrics": _by_name(self.metrics),
            "after_temperature": _by_name(self.scaled),
            "simultaneous_interval_of_overconfidence": None if self.gap is None else list(self.gap),
        }


@dataclass(frozen=True)
class TokenTable:
    """Ranges of one key, in increasing order; only those that have tokens."""

    key: Key
    ranges: tuple[TokenRange, ...]

    @property
    def title(self) -> str:
        """What the ranges are ranges of."""
        return TITLES[self.key]


@dataclass(frozen=True)
class RangeTemperature:
    """The temperatures of one range of positions, one for each fold."""

    low: int
    high: int
    temperatures: tuple[float, ...]

    @property
    def text(self) -> str:
        """The range in words."""
        return range_text(self.low, self.high)


@dataclass(frozen=True)
class TemperatureByPosition:
    """The effect of a temperature for each range of positions instead of one temperature.

    Args:
        ranges: the temperatures. A range with too few tokens has those of all positions.
        metrics: after this scaling.
        changes: minus those after scaling by one temperature.
    """

    ranges: tuple[RangeTemperature, ...]
    metrics: tuple[MetricValue, ...]
    changes: tuple[MetricValue, ...]

    def change(self, name: str) -> MetricValue | None:
        """Return the change of a metric."""
        return next((metric for metric in self.changes if metric.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, with the metrics by name."""
        return {
            "ranges": [
                {"low": one.low, "high": one.high, "temperatures": list(one.temperatures)} for one in self.ranges
            ],
            "metrics": _by_name(self.metrics),
            "changes": _by_name(self.changes),
        }


@dataclass(frozen=True)
class TokenEvaluation:
    """The tokens of the sequences of one model.

    Args:
        sequences: number of sequences with an evaluated token.
        positions: L.
        ignored: number of tokens that are ignored.
        empty: number of sequences without an evaluated token, which are not counted.
        counted_in: where the frequencies are from, in words.
        tables: one for each key.
        by_position: temperatures by position; None if they were not fitted.
    """

    sequences: int
    positions: int
    ignored: int
    empty: int
    counted_in: str
    tables: tuple[TokenTable, ...]
    by_position: TemperatureByPosition | None = None

    def table(self, key: Key) -> TokenTable:
        """Return the table of a key."""
        return next(table for table in self.tables if table.key == key)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, with the tables by key."""
        return {
            "sequences": self.sequences,
            "positions": self.positions,
            "ignored_tokens": self.ignored,
            "empty_sequences": self.empty,
            "frequencies_counted_in": self.counted_in,
            "tables": {table.key: [one.to_dict() for one in table.ranges] for table in self.tables},
            "temperature_by_position": self.by_position and self.by_position.to_dict(),
        }


def _by_name(metrics: Iterable[MetricValue]) -> dict[str, Any]:
    return {metric.name: metric.to_dict() for metric in metrics}
