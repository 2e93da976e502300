"""The measures of a finished run. Each registers in the file that defines it, with one of the decorators below."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from softtargets.measures.subject import Subject
from softtargets.runs.record import Record

Unit = Literal["percent", "fraction", "nats", "logits", "factor", "epochs"]
OfRecord = Callable[[Record], float | None]
OfGroup = Callable[[Subject], dict[str, float]]
OfSnapshots = Callable[[Subject], list[tuple[int, float]]]


@dataclass(frozen=True)
class Measure:
    """One number of a finished run, or of each of its epochs: what it is called, and what it is computed from.

    Args:
        name: of the number in studies and results.
        label: for people.
        unit: "percent" is a fraction, shown times 100; "factor" is what something is multiplied or divided by.
        describes: one sentence or more.
        of: (record) -> the value, or None where it is not defined (no mislabelled examples, say). None where the
            measure needs the network.
        group: name in `GROUPS` of the function that computes it, where it needs the network; else None.
        needs_classes: whether it is of three classes, which the scale of a study names.
    """

    name: str
    label: str
    unit: Unit
    describes: str
    of: OfRecord | None = None
    group: str | None = None
    needs_classes: bool = False


# One number of a run each, by name: first those of its record, then those that need its network.
MEASURES: dict[str, Measure] = {}
# Functions of a trained network, by name. One computes several measures, and those that are not finite are left out.
GROUPS: dict[str, OfGroup] = {}
# Numbers through training, by name: columns of the history, and those of `SNAPSHOT_TRACES`.
TRACES: dict[str, Measure] = {}
# Functions of a run that kept its weights through training: (subject) -> (epoch, value) pairs.
SNAPSHOT_TRACES: dict[str, OfSnapshots] = {}


def measure(name: str, *, label: str, unit: Unit, describes: str | None = None) -> Callable[[OfRecord], OfRecord]:
    """Register a function (record) -> value or None as a measure that every finished run gets.

    Args:
        name: of the measure, unique.
        label: for people.
        unit: as of :class:`Measure`.
        describes: one sentence. Default: the function's docstring.
    """

    def register(compute: OfRecord) -> OfRecord:
        text = describes or " ".join((inspect.getdoc(compute) or "").split())
        _add(MEASURES, Measure(name, label, unit, text, of=compute))
        return compute

    return register


def network_measures(group: str, *measures: Measure, needs_classes: bool = False) -> Callable[[OfGroup], OfGroup]:
    """Register a function (subject) -> value by name for measures that are computed only where a study names one.

    Args:
        group: name of the function, unique.
        measures: that it returns.
        needs_classes: whether they are of three classes.
    """

    def register(compute: OfGroup) -> OfGroup:
        for each in measures:
            _add(MEASURES, replace(each, group=group, needs_classes=needs_classes))
        GROUPS[group] = compute
        return compute

    return register


def history_traces(*measures: Measure) -> None:
    """Register columns of a run's history, by their names, as numbers through training."""
    for each in measures:
        _add(TRACES, each)


def snapshot_trace(name: str) -> Callable[[OfSnapshots], OfSnapshots]:
    """Register a function (subject) -> (epoch, value) pairs as a measure of the network, through training."""

    def register(compute: OfSnapshots) -> OfSnapshots:
        _add(TRACES, MEASURES[name])
        SNAPSHOT_TRACES[name] = compute
        return compute

    return register


def _add(registry: dict[str, Measure], measure: Measure) -> None:
    if measure.name in registry:
        raise ValueError(f"measure '{measure.name}': registered twice")
    registry[measure.name] = measure
