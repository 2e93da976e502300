"""All metrics of one model, accumulated together, and their differences between two models on the same rows."""

import math
from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from torch import Tensor

from softtargets import metrics
from softtargets.evaluate.catalog import BINS, METRICS, Grouping, Make
from softtargets.evaluate.counts import RowCounts
from softtargets.evaluate.exact import ConfidenceList
from softtargets.evaluate.values import IntervalEnds, MetricValue
from softtargets.metrics import Accumulator, Interval, SelectiveRisk, SmoothECE
from softtargets.metrics.arguments import Kind
from softtargets.metrics.bootstrap import Bootstrap
from softtargets.metrics.statistics import wilson

# Confidence of the intervals, and level of the tests: a difference is significant if its adjusted p-value is below it.
CONFIDENCE, LEVEL = 0.95, 0.05
DRAWS = 1000
# Smallest number of rows for an interval.
LEAST = 20
# Their intervals are known even if no draw can differ, because all rows are right or all are wrong.
SHARES = ("accuracy", "top5_accuracy")

Kept = TypeVar("Kept", bound=Accumulator)


class MetricSuite:
    """Accumulators of all metrics; each row is read once.

    Args:
        num_classes: K.
        seed: seed of the groups and of the draws.
        draws: number of bootstrap draws for each interval.
        tokens: whether the rows are tokens of sequences. The ids are then those of the sequences, which are resampled
            as a whole.
        names: metrics to compute, besides those that share an accumulator with them; None: all metrics and `counts`.
    """

    def __init__(
        self,
        num_classes: int,
        seed: int,
        *,
        draws: int = DRAWS,
        tokens: bool = False,
        names: Collection[str] | None = None,
    ) -> None:
        self.num_classes, self.seed, self.draws, self.tokens = num_classes, seed, draws, tokens
        made: dict[Make, tuple[str, ...]] = {}
        for name, metric in METRICS.items():
            if num_classes >= metric.least_classes and (tokens or not metric.of_tokens):
                made[metric.make] = (*made.get(metric.make, ()), name)
        grouping = Grouping(seed, num_classes)
        self._accumulators: dict[tuple[str, ...], Accumulator] = {
            own: make(grouping) for make, own in made.items() if names is None or not set(own).isdisjoint(names)
        }
        self.counts, self._listed = RowCounts(), ConfidenceList()
        self._exact: dict[str, float] | None = None
        # the number of rows, or of sequences if the rows are their tokens
        self.units, self._last_unit = 0, -1
        self._bootstraps: dict[int, Bootstrap] = {}
        counted: dict[str, Accumulator] = {"counts": self.counts} if names is None else {}
        if names is None or "aurc" in names:
            counted["listed"] = self._listed
        self._all = metrics.Collection({" ".join(names): one for names, one in self._accumulators.items()} | counted)

    def of(self, name: str, kind: type[Kept]) -> Kept:
        """Return the accumulator of a metric, which is of this kind."""
        found = next(accumulator for names, accumulator in self._accumulators.items() if name in names)
        assert isinstance(found, kind)
        return found

    def update(self, values: Tensor, kind: Kind, labels: Tensor, ids: Tensor) -> None:
        """Add (n, K) rows with (n,) labels and ids; ids never decrease, also from one call to the next."""
        self._bootstraps.clear()
        self._exact = None
        found = ids.unique_consecutive()
        self.units += len(found) - int(found[0] == self._last_unit)
        self._last_unit = int(found[-1])
        if kind == "probs":
            self._all.update(values, labels, ids=ids)
        else:
            self._all.update(logits=values, labels=labels, ids=ids)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.of("accuracy", Accumulator).count

    def values(self) -> tuple[MetricValue, ...]:
        """Return every metric with its interval, in the order of `METRICS`."""
        found: dict[str, MetricValue] = {}
        alike = self._alike()
        for names, accumulator in self._accumulators.items():
            why = self._no_interval(accumulator) or alike
            made = None if why else self._bootstrap(self.draws).interval(accumulator)
            values = accumulator.compute() if made is None else made.estimate
            bounds = self._bounds(names, accumulator)
            for place, (name, value) in enumerate(zip(names, values.reshape(-1).tolist(), strict=True)):
                ends = None if made is None else _ends(made, place)
                found[name] = self._corrected(_metric(name, value, ends, why, bounds[place]))
                if name in SHARES and value in (0, 1) and accumulator.count >= LEAST and not self.tokens:
                    share = wilson(round(value * accumulator.count), accumulator.count, LEVEL)
                    found[name] = MetricValue(name, value, IntervalEnds(*share))
        return tuple(found[name] for name in METRICS if name in found)

    def minus(self, other: "MetricSuite", *, draws: int | None = None) -> tuple[MetricValue, ...]:
        """Return the core metrics here minus there, on the same rows, in the order of `METRICS`."""
        found: dict[str, MetricValue] = {}
        ours, theirs = (suite._bootstrap(draws or self.draws) for suite in (self, other))
        for names, accumulator in self._accumulators.items():
            if not _is_core(names):
                continue
            beside, why = other._accumulators[names], self._no_interval(accumulator)
            values = (accumulator.compute() - beside.compute()).reshape(-1).tolist()
            made = None
            if not why:
                made = ours.difference(accumulator, theirs, beside)
            bounds = map(sum, zip(self._bounds(names, accumulator), other._bounds(names, beside), strict=True))
            for place, (name, value, bound) in enumerate(zip(names, values, bounds, strict=True)):
                change = replace(_change(name, value, made, why, place), bound=bound)
                found[name] = self._corrected(change, other)
        return tuple(found[name] for name, metric in METRICS.items() if name in found and metric.core)

    def exact(self) -> dict[str, float]:
        """Return the exact values of metrics that are accumulated in sketches; none if there are too many rows."""
        if self._exact is None:
            self._exact = self._listed.exact(BINS)
        return self._exact

    def _corrected(self, found: MetricValue, other: "MetricSuite | None" = None) -> MetricValue:
        """Return a metric, or its difference from another suite, with its exact value if it is known.

        The interval is moved by as much as the value: it describes sampling, which the sketch hardly changes.
        """
        known = [self.exact(), *([] if other is None else [other.exact()])]
        if found.value is None or not all(found.name in values for values in known):
            return found
        exact = known[0][found.name] - sum(values[found.name] for values in known[1:])
        moved = exact - found.value
        ends = None if found.interval is None else IntervalEnds(*(end + moved for end in found.interval))
        return replace(found, value=exact, interval=ends, bound=0.0)

    def _alike(self) -> str:
        """Return why there is no interval if all rows have the same outcome; else empty text."""
        share = float(self.of("accuracy", Accumulator).compute())
        if 0 < share < 1:
            return ""
        outcome, other = ("right", "wrong") if share else ("wrong", "right")
        return f"No interval: every row is {outcome}, so resampling cannot estimate how many rows would be {other}."

    def interval(self, name: str, confidence: float) -> IntervalEnds | None:
        """Return the interval of a metric at another confidence; None if there is none."""
        accumulator = self.of(name, Accumulator)
        if self._no_interval(accumulator) or self._alike():
            return None
        made = Bootstrap([accumulator], n_draws=self.draws, confidence=confidence, seed=self.seed)
        return _ends(made.interval(accumulator), 0)

    def _bounds(self, names: tuple[str, ...], accumulator: Accumulator) -> list[float]:
        """Return the largest error of each value: 0 for metrics that are computed from sums instead of a sketch."""
        # an ECE of equal width is exact up to rounding
        is_sketch = isinstance(accumulator, SmoothECE | SelectiveRisk) or "ece_mass" in names
        return accumulator.bound().reshape(-1).tolist() if is_sketch else [0.0] * len(names)  # pyright: ignore[reportAttributeAccessIssue]

    def _no_interval(self, accumulator: Accumulator) -> str:
        """Return why there is no interval; empty text if there is one."""
        if self.units < LEAST:
            return f"No interval: there are fewer than {LEAST} {'sequences' if self.tokens else 'rows'}."
        if accumulator.groups == 1:
            return "No interval: with this many classes bins are not stored for each group."
        return ""

    def _bootstrap(self, draws: int) -> Bootstrap:
        """Return the intervals from this number of draws, which are the same for all metrics and models."""
        if draws not in self._bootstraps:
            # more draws are used for differences only
            used = [one for names, one in self._accumulators.items() if draws == self.draws or _is_core(names)]
            self._bootstraps[draws] = Bootstrap(used, n_draws=draws, confidence=CONFIDENCE, seed=self.seed)
        return self._bootstraps[draws]


def _is_core(names: tuple[str, ...]) -> bool:
    return any(METRICS[name].core for name in names)


def _metric(name: str, value: float, ends: IntervalEnds | None, why: str, bound: float) -> MetricValue:
    if math.isnan(value):
        return MetricValue(name, None, why=f"{METRICS[name].label} requires both right and wrong rows.")
    if math.isinf(value):
        return MetricValue(name, value, why="No interval: a label has probability 0, which makes the value infinite.")
    return MetricValue(name, value, ends, why, bound)


def _change(name: str, value: float, made: Interval | None, why: str, place: int) -> MetricValue:
    if not math.isfinite(value):
        reason = f"{METRICS[name].label} is infinite for at least one of the two, so the difference has no interval."
        return MetricValue(name, None if math.isnan(value) else value, why=reason)
    if made is None or made.p_value is None:
        return MetricValue(name, value, why=why)
    return MetricValue(name, value, _ends(made, place), p=float(made.p_value.reshape(-1)[place]))


def _ends(made: Interval, place: int) -> IntervalEnds:
    return IntervalEnds(float(made.low.reshape(-1)[place]), float(made.high.reshape(-1)[place]))
