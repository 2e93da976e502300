"""Measuring a finished run; what was computed before is kept in the store's `derived`."""

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from softtargets._errors import InputError, InputTypeError
from softtargets._spec import Classes
from softtargets.measures.registry import GROUPS, MEASURES, SNAPSHOT_TRACES
from softtargets.measures.subject import Subject, opened
from softtargets.runs.record import read_history, read_record
from softtargets.runs.spec import ResolvedRun, canonical_json
from softtargets.runs.store import RunStore

# Raised by hand when a change alters a measure of the record, or one of the network; numbers that were kept by an older
# version are computed again.
MEASURES_VERSION = 6
ANALYSES_VERSION = 1

# What may go wrong with one run: its data are gone, a file of it is, or it is of no use to a measure.
FAILURES = (InputError, InputTypeError, OSError, RuntimeError)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Measured:
    """Measures of a run.

    Args:
        values: by name; those that are not defined for the run are left out.
        problems: why others could not be computed.
    """

    values: dict[str, float]
    problems: tuple[str, ...] = ()


def measure_run(
    resolved: ResolvedRun, store: RunStore, wanted: Collection[str] = (), classes: Classes | None = None
) -> Measured:
    """Compute every measure of a finished run's record, and those of its network that are wanted.

    Args:
        resolved: a finished run.
        store: that has it.
        wanted: names of measures; those of the record are computed in any case.
        classes: two that are alike, and a third, for what is of three classes.

    Raises:
        OSError: where the store has no such run.
        InputError: where the record of a teacher is gone or damaged.
    """
    of_record = measure_record(store, resolved.identity)
    names = [name for name in wanted if MEASURES[name].group is not None]
    of_network = measure_network(resolved, store, names, classes)
    return Measured(of_record | of_network.values, of_network.problems)


def measure_record(store: RunStore, identity: str) -> dict[str, float]:
    """Return every measure of a finished run's record that is defined for it.

    Raises:
        OSError: where the store has no such run.
        InputError: where the record of a teacher is gone or damaged.
    """
    measures = {name: measure.of for name, measure in MEASURES.items() if measure.of is not None}

    def compute() -> dict[str, float]:
        record = read_record(store, identity)
        values = {name: of(record) for name, of in measures.items()}
        return {name: value for name, value in values.items() if value is not None}

    key = canonical_json({"measures": sorted(measures), "version": MEASURES_VERSION})
    known = _kept(store, identity, key, compute)
    return {name: known[name] for name in measures if name in known}


def measure_network(
    resolved: ResolvedRun, store: RunStore, names: Collection[str], classes: Classes | None = None
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


def _group(resolved: ResolvedRun, store: RunStore, group: str, classes: Classes | None) -> dict[str, float]:
    def compute(subject: Subject) -> dict[str, float]:
        # what is not defined, such as angles of classes that share a mean, is left out
        return {name: value for name, value in GROUPS[group](subject).items() if math.isfinite(value)}

    return kept(resolved, store, {"group": group, "classes": classes}, compute, classes)


def trace_run(resolved: ResolvedRun, store: RunStore, name: str, classes: Classes | None = None) -> dict[int, float]:
    """Return a number through the training of a finished run, one of `TRACES`, by epoch.

    Raises:
        InputError: where it needs weights through training that the run did not keep, or classes that are not there.
    """
    if name in SNAPSHOT_TRACES:
        return dict(kept(resolved, store, {"figure": name, "classes": classes}, SNAPSHOT_TRACES[name], classes))
    history = read_history(store.path(resolved.identity))
    return {row["epoch"]: row[name] for row in history if name in row}


def kept(
    resolved: ResolvedRun,
    store: RunStore,
    what: dict[str, Any],
    compute: Callable[[Subject], Value],
    classes: Classes | None,
) -> Value:
    """Return what was computed before of a run and its network, or open it, compute and keep it.

    Args:
        resolved: a finished run.
        store: that has it.
        what: all that the value depends on besides the run and the version of the analyses; JSON data.
        compute: (subject) -> JSON data.
        classes: of the subject.
    """

    def of_subject() -> Value:
        with opened(resolved, store, classes) as subject:
            return compute(subject)

    return _kept(store, resolved.identity, canonical_json({"analysis": what, "version": ANALYSES_VERSION}), of_subject)


def _kept(store: RunStore, identity: str, key: str, compute: Callable[[], Value]) -> Value:
    known = store.derived(identity, key)
    if known is None:
        known = compute()
        # only a cache: on a full disk the page is still written
        with suppress(OSError):
            store.put_derived(identity, key, known)
    return known
