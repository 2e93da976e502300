"""Provenance of the numbers: the runs of each cell, their common specification and their differences."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from softtargets.report.encoding import pretty
from softtargets.studies.layout import cell_label
from softtargets.studies.records import CellKey, CellRecord
from softtargets.studies.results import StudyResults

_ABSENT = object()
Leaves = dict[tuple[str, ...], Any]


@dataclass(frozen=True)
class CellStory:
    """The runs of a cell, and the part of the specification that differs from the other cells."""

    key: CellKey
    label: str
    records: tuple[CellRecord, ...]
    complete: int
    seconds: float
    changes: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Provenance:
    """The information on the page for reproducing its numbers."""

    common: str
    per_seed: tuple[str, ...]
    cells: tuple[CellStory, ...]
    environments: tuple[tuple[dict[str, str], int], ...]
    seconds: float
    runs: int


def trace(results: StudyResults) -> Provenance:
    """Collect the provenance of the runs."""
    keys = list(dict.fromkeys(record.key for record in results.cells))
    flat = {id(record): flatten(record.specification) for record in results.cells if record.specification}
    common = _shared(flat.values())
    inside = {key: [flat[id(r)] for r in results.records(key) if id(r) in flat] for key in keys}
    per_seed = sorted({path for specs in inside.values() for path in _differing(specs)})
    return Provenance(
        common=pretty(nest(common)) if common else "",
        per_seed=tuple(".".join(path) for path in per_seed),
        cells=tuple(
            _story(results, key, {path: v for path, v in _shared(inside[key]).items() if path not in common})
            for key in keys
        ),
        environments=_environments(results.cells),
        seconds=sum(record.seconds for record in results.runs),
        runs=sum(record.status == "complete" for record in results.runs),
    )


def _story(results: StudyResults, key: CellKey, own: Leaves) -> CellStory:
    records, members = tuple(results.records(key)), results.study.arms[key.arm].members
    if members:
        own = {("members",): members}
    return CellStory(
        key=key,
        label=cell_label(results.study, key),
        records=records,
        complete=sum(record.status == "complete" for record in records),
        seconds=sum(record.seconds for record in records),
        changes=tuple((".".join(path), json.dumps(v, ensure_ascii=False, default=str)) for path, v in own.items()),
        metrics=tuple(sorted({name for record in records for name in record.metrics})),
    )


def flatten(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> Leaves:
    """Return the leaves of nested mappings by path; lists and empty mappings are leaves."""
    leaves: Leaves = {}
    for key, value in data.items():
        here = (*path, str(key))
        leaves.update(flatten(value, here) if isinstance(value, Mapping) and value else {here: value})
    return leaves


def nest(leaves: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return the nested mappings with these leaves."""
    whole: dict[str, Any] = {}
    for path, value in leaves.items():
        inner = whole
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return whole


def _shared(specs: Iterable[Leaves]) -> Leaves:
    specs = list(specs)
    if not specs:
        return {}
    first, *others = specs
    return {path: v for path, v in first.items() if all(other.get(path, _ABSENT) == v for other in others)}


def _differing(specs: list[Leaves]) -> set[tuple[str, ...]]:
    shared = _shared(specs)
    return {path for spec in specs for path in spec if path not in shared}


def _environments(records: Iterable[CellRecord]) -> tuple[tuple[dict[str, str], int], ...]:
    known = [record.environment for record in records if record.environment]
    return tuple((one, known.count(one)) for place, one in enumerate(known) if one not in known[:place])
