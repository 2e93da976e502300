"""The registry of measures. Each measure is registered in the file that defines it by one of the decorators below."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from softtargets._errors import fail
from softtargets.measures.subject import Subject
from softtargets.runs.record import Record

Unit = Literal["percent", "fraction", "nats", "logits", "factor", "epochs", "bleu", "count"]
OfRecord = Callable[[Record], float | None]
OfGroup = Callable[[Subject], dict[str, float]]
OfEpochs = Callable[[Subject], list[tuple[int, float]]]


@dataclass(frozen=True)
class Measure:
    """One number of a finished run, or of each of its epochs.

    Args:
        name: its name in studies and results.
        label: its name on pages.
        unit: "percent" is stored as a fraction and shown times 100; "factor" and "count" have no unit; "bleu" is from 0
            to 100.
        describes: its definition, one sentence or more.
        of: (record) -> value, or None where it is not defined (for example without mislabelled examples). None if the
            measure needs the network.
        group: name in `GROUPS` of the function that computes it from the network; None if it needs only the record.
        needs_classes: whether it is measured on three classes, which the scale of a study names.
        bounds: smallest and largest value that it can take; None: unbounded, or [0, 1] for percent.
        of_tokens: whether it is defined for the records of networks that write rows of tokens, and for no others.
    """

    name: str
    label: str
    unit: Unit
    describes: str
    of: OfRecord | None = None
    group: str | None = None
    needs_classes: bool = False
    bounds: tuple[float, float] | None = None
    of_tokens: bool = False

    @property
    def span(self) -> float | None:
        """Difference between the largest and the smallest possible value; None if unbounded."""
        low, high = self.bounds or ((0.0, 1.0) if self.unit == "percent" else (-math.inf, math.inf))
        return high - low if math.isfinite(high - low) else None


# Measures by name, one number for each run: those of the record first, then those of the network.
MEASURES: dict[str, Measure] = {}
# Functions of a trained network, by name. Each computes several measures; values that are not finite are omitted.
GROUPS: dict[str, OfGroup] = {}
# Numbers by epoch, by name: columns of the history, and those of `NETWORK_TRACES`.
TRACES: dict[str, Measure] = {}
# Functions of a run that return its numbers by epoch: (subject) -> (epoch, value) pairs.
NETWORK_TRACES: dict[str, OfEpochs] = {}


def measure(
    name: str,
    *,
    label: str,
    unit: Unit,
    describes: str | None = None,
    bounds: tuple[float, float] | None = None,
    of_tokens: bool = False,
) -> Callable[[OfRecord], OfRecord]:
    """Register a function (record) -> value or None as a measure that is computed for every finished run.

    Args:
        name: unique name of the measure.
        label: its name on pages.
        unit: see :class:`Measure`.
        describes: its definition. Default: the function's docstring.
        bounds: see :class:`Measure`.
        of_tokens: see :class:`Measure`.
    """

    def register(compute: OfRecord) -> OfRecord:
        text = describes or " ".join((inspect.getdoc(compute) or "").split())
        _add(MEASURES, Measure(name, label, unit, text, of=compute, bounds=bounds, of_tokens=of_tokens))
        return compute

    return register


def network_measures(group: str, *measures: Measure, needs_classes: bool = False) -> Callable[[OfGroup], OfGroup]:
    """Register a function (subject) -> {name: value} for measures that are computed only if a study names one.

    Args:
        group: unique name of the function.
        measures: the measures that it returns.
        needs_classes: whether they are measured on three classes.
    """

    def register(compute: OfGroup) -> OfGroup:
        for each in measures:
            _add(MEASURES, replace(each, group=group, needs_classes=needs_classes))
        GROUPS[group] = compute
        return compute

    return register


def history_traces(*measures: Measure) -> None:
    """Register columns of a run's history as numbers by epoch."""
    for each in measures:
        _add(TRACES, each)


def network_trace(name: str) -> Callable[[OfEpochs], OfEpochs]:
    """Register a function (subject) -> (epoch, value) pairs for a measure of the network by epoch."""

    def register(compute: OfEpochs) -> OfEpochs:
        _add(TRACES, MEASURES[name])
        NETWORK_TRACES[name] = compute
        return compute

    return register


def _add(registry: dict[str, Measure], measure: Measure) -> None:
    if measure.name in registry:
        raise fail("measure", "a name that is not registered yet", f"'{measure.name}'", "choose another name")
    registry[measure.name] = measure
