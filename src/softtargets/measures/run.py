"""Measuring a finished run. Values are cached in the store's `derived` folder."""

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from softtargets._errors import InputError, InputTypeError
from softtargets._spec import Classes
from softtargets.measures.combined import CombinedRuns
from softtargets.measures.registry import GROUPS, MEASURES, NETWORK_TRACES
from softtargets.measures.subject import Subject, opened
from softtargets.runs.record import Record, read_history, read_record
from softtargets.runs.spec import ResolvedRun, canonical_json
from softtargets.runs.store import RunStore

# Increase by hand when a change alters a measure of the record, or one of the network. Values that were cached by an
# older version are computed again.
MEASURES_VERSION = 7
ANALYSES_VERSION = 1

# Errors of single runs: missing data or files, or a run for which a measure is not defined.
FAILURES = (InputError, InputTypeError, OSError, RuntimeError)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Measured:
    """Measures of a run.

    Args:
        values: by name, without those that are not defined for the run.
        problems: why other measures could not be computed.
    """

    values: dict[str, float]
    problems: tuple[str, ...] = ()


def measure_run(
    resolved: ResolvedRun | CombinedRuns, store: RunStore, wanted: Collection[str] = (), classes: Classes | None = None
) -> Measured:
    """Compute all measures of a finished run's record, and the wanted measures of its network.

    Args:
        resolved: a finished run, or several that are combined.
        store: the store that contains it.
        wanted: names of measures; those of the record are computed in any case.
        classes: two similar classes and a different one, for measures on three classes.

    Raises:
        OSError: the store has no such run.
        InputError: the record of a teacher is missing or damaged.
    """
    if isinstance(resolved, CombinedRuns):
        of_record = _measured(store, resolved.identity, lambda: resolved.record(store))
    else:
        of_record = measure_record(store, resolved.identity)
    names = [name for name in wanted if MEASURES[name].group is not None]
    of_network = measure_network(resolved, store, names, classes)
    return Measured(of_record | of_network.values, of_network.problems)


def measure_record(store: RunStore, identity: str) -> dict[str, float]:
    """Return all measures of a finished run's record that are defined for it.

    Raises:
        OSError: the store has no such run.
        InputError: the record of a teacher is missing or damaged.
    """
    return _measured(store, identity, lambda: read_record(store, identity))


def _measured(store: RunStore, identity: str, read: Callable[[], Record]) -> dict[str, float]:
    """Return all measures of a record that are defined for it; it is read unless they are cached."""
    measures = {name: measure for name, measure in MEASURES.items() if measure.of is not None}

    def compute() -> dict[str, float]:
        record = read()
        own = [measure for measure in measures.values() if measure.of_tokens == record.of_tokens]
        values = {measure.name: measure.of(record) for measure in own if measure.of is not None}
        return {name: value for name, value in values.items() if value is not None}

    key = canonical_json({"measures": sorted(measures), "version": MEASURES_VERSION})
    known = _kept(store, identity, key, compute)
    return {name: known[name] for name in measures if name in known}


def measure_network(
    resolved: ResolvedRun | CombinedRuns, store: RunStore, names: Collection[str], classes: Classes | None = None
) -> Measured:
    """Compute measures of a finished run that need its network."""
    found: dict[str, float] = {}
    problems: list[str] = []
    for group in dict.fromkeys(MEASURES[name].group for name in names):
        try:
            found.update(_group(resolved, store, str(group), classes))
        except FAILURES as error:
            problems.append(f"{group} not computed: {error}")
    return Measured({name: found[name] for name in names if name in found}, tuple(problems))


def _group(
    resolved: ResolvedRun | CombinedRuns, store: RunStore, group: str, classes: Classes | None
) -> dict[str, float]:
    def compute(subject: Subject) -> dict[str, float]:
        # undefined values, such as angles between equal class means, are omitted
        return {name: value for name, value in GROUPS[group](subject).items() if math.isfinite(value)}

    return kept(resolved, store, {"group": group, "classes": classes}, compute, classes)


def trace_run(resolved: ResolvedRun, store: RunStore, name: str, classes: Classes | None = None) -> dict[int, float]:
    """Return one of `TRACES` of a finished run, by epoch.

    Raises:
        InputError: it needs weights that the run did not save, or classes that the data do not have.
    """
    if name in NETWORK_TRACES:
        return dict(kept(resolved, store, {"figure": name, "classes": classes}, NETWORK_TRACES[name], classes))
    history = read_history(store.path(resolved.identity))
    return {row["epoch"]: row[name] for row in history if name in row}


def kept(
    resolved: ResolvedRun | CombinedRuns,
    store: RunStore,
    what: dict[str, Any],
    compute: Callable[[Subject], Value],
    classes: Classes | None,
) -> Value:
    """Return a cached value of a run and its network, or compute and cache it.

    Args:
        resolved: a finished run, or several that are combined.
        store: the store that contains it.
        what: everything besides the run and the version of the analyses that the value depends on; JSON data.
        compute: (subject) -> JSON data.
        classes: classes of the subject.
    """

    def of_subject() -> Value:
        if isinstance(resolved, CombinedRuns):
            with resolved.opened(store, classes) as subject:
                return compute(subject)
        with opened(resolved, store, classes) as subject:
            return compute(subject)

    return _kept(store, resolved.identity, canonical_json({"analysis": what, "version": ANALYSES_VERSION}), of_subject)


def _kept(store: RunStore, identity: str, key: str, compute: Callable[[], Value]) -> Value:
    known = store.derived(identity, key)
    if known is None:
        known = compute()
        # only a cache: if the disk is full, the page is still written
        with suppress(OSError):
            store.put_derived(identity, key, known)
    return known
