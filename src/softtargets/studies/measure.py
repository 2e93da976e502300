"""Measuring a study: the numbers of its runs, and the data of its outputs. Nothing is trained here."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import TypeVar

from softtargets._errors import InputError
from softtargets._spec import Classes
from softtargets.measures import CombinedRuns, measure_run, trace_run
from softtargets.measures.registry import NETWORK_TRACES
from softtargets.measures.run import FAILURES
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.runs.workers import count_workers, work_on
from softtargets.studies.expand import PlannedRun, cells_of, trained_cells
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind
from softtargets.studies.plan import StudyPlan
from softtargets.studies.records import CellKey, CellRecord
from softtargets.train.progress import Progress, remaining_seconds, reported

# Seconds of measuring after which other processes help, and progress is reported. Most measures are cached.
ALONE = 2.0


@dataclass(frozen=True)
class _Run:
    """A run to measure, with what is wanted of it.

    Args:
        planned, resolved: the run.
        numbers: measures that are one number.
        traces: measures that are one number for each epoch.
    """

    planned: PlannedRun
    resolved: ResolvedRun
    numbers: tuple[str, ...]
    traces: tuple[str, ...]

    @property
    def place(self) -> tuple[CellKey, int]:
        return self.planned.key, self.planned.seed


@dataclass(frozen=True)
class _Combination:
    """Runs to combine and measure, with the measures that are wanted of the combination."""

    key: CellKey
    parts: tuple[CellRecord, ...]
    combined: CombinedRuns
    numbers: tuple[str, ...]

    @property
    def place(self) -> tuple[CellKey, int]:
        return self.key, self.parts[0].seed


_Task = TypeVar("_Task", _Run, _Combination)


@dataclass
class _Count:
    """Counts the records that are measured."""

    total: int
    found: dict[tuple[CellKey, int], CellRecord] = field(default_factory=dict)
    _first: tuple[float, float] | None = None

    def add(self, record: CellRecord) -> None:
        self.found[record.key, record.seed] = record

    def look(self) -> Progress:
        now, count = time.monotonic(), len(self.found)
        share = count / self.total
        if self._first is None:
            # what was cached took no time
            self._first = now, share
        left = remaining_seconds(now - self._first[0], self._first[1], share)
        return Progress(share, left, count, self.total, present=0, failed=0, task="measure")


def measure_runs(
    plan: StudyPlan,
    store: RunStore,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> tuple[CellRecord, ...]:
    """Measure the runs of a plan if its outputs or claims need them, and the combinations of runs, several at a time.

    Args:
        plan: plan of the study.
        store: store of the runs.
        workers: number of processes, with this one; None: number of cores divided by the threads of a run.
        on_progress: called about twice a second, from another thread, if measuring takes more than `ALONE` seconds.

    Returns:
        The records of the runs, in the order of the plan, and of the combinations.
    """
    numbers, traces = _by_cell(plan.numbers()), _by_cell(plan.traces())
    tasks = [
        _Run(planned, resolved, numbers.get(planned.key, ()), traces.get(planned.key, ()))
        for planned, resolved in plan.runs
    ]
    count = count_workers(workers, max((run.run.training.cores for run in plan.resolved), default=1))
    measured = partial(_measured, count=count, on_progress=on_progress)
    runs = measured(tasks, partial(_record, store=store, classes=plan.classes))
    combinations = tuple(_combinations(plan, runs, numbers))
    return (*runs, *measured(combinations, partial(_combination, store=store, classes=plan.classes)))


def gather_outputs(
    plan: StudyPlan, cells: Sequence[CellRecord], store: RunStore
) -> tuple[dict[str, OutputKind], tuple[CellRecord, ...]]:
    """Gather the data of each output.

    Returns:
        The data of each output by name, and the runs, with the reasons why something of them could not be shown.
    """
    evidence = Evidence(plan.study, plan.request.scale, cells, store, plan.resolved)
    available = plan.available()
    shown = {}
    for name in plan.outputs:
        kind = plan.kinds[plan.study.outputs[name].kind]
        shown[name] = kind.gather(available[name], evidence) if name in available else kind()
    return shown, tuple(_with_problems(record, evidence.problems) for record in cells)


def _by_cell(pairs: Iterator[tuple[CellKey, str]]) -> dict[CellKey, tuple[str, ...]]:
    found: dict[CellKey, dict[str, None]] = {}
    for key, metric in pairs:
        found.setdefault(key, {})[metric] = None
    return {key: tuple(names) for key, names in found.items()}


def _measured(
    tasks: Sequence[_Task], record: Callable[[_Task], CellRecord], count: int, on_progress: Callable[[Progress], None]
) -> tuple[CellRecord, ...]:
    """Return the records of tasks, in their order."""
    if not tasks:
        return ()
    counted = _Count(len(tasks))
    with reported(counted.look, on_progress, after=ALONE):
        work_on(tasks, record, counted.add, count, alone=ALONE)
    return tuple(counted.found[task.place] for task in tasks)


def _record(task: _Run, store: RunStore, classes: Classes | None) -> CellRecord:
    planned, resolved = task.planned, task.resolved
    identity = resolved.identity
    missing = CellRecord(planned.key, planned.seed, identity, "missing", reason="not trained yet")
    result, failure = store.result(identity), store.failure(identity)
    if result is None:
        failed = missing if failure is None else replace(missing, status="failed", reason=failure.message)
        return replace(failed, specification=resolved.model_dump(mode="json"))
    try:
        measured = measure_run(resolved, store, task.numbers, classes)
    except InputError as error:
        # the page is written without a run that cannot be measured
        return replace(missing, status="failed", reason=f"not measurable: {error}")
    for name in NETWORK_TRACES.keys() & set(task.traces):
        # cached for the outputs, which report a failure
        with suppress(*FAILURES):
            trace_run(resolved, store, name, classes)
    return replace(
        missing,
        status="complete",
        metrics=measured.values,
        reason="; ".join(measured.problems),
        seconds=result["seconds"],
        specification=resolved.model_dump(mode="json"),
        environment=result["environment"],
    )


def _combinations(
    plan: StudyPlan, runs: Sequence[CellRecord], numbers: Mapping[CellKey, tuple[str, ...]]
) -> Iterator[_Combination]:
    """Yield each cell whose arm has members, at each seed for which the runs of all of them are planned."""
    study = plan.study
    known = {(record.key, record.seed): record for record in runs}
    resolved = {run.identity: run for run in plan.resolved}
    keys = [key for key in cells_of(study, plan.request.scale, plan.outputs) if study.arms[key.arm].members]
    for seed, key in product(dict.fromkeys(record.seed for record in runs), keys):
        parts = tuple(known[one, seed] for one in trained_cells(study, key) if (one, seed) in known)
        if len(parts) == len(study.arms[key.arm].members):
            combined = CombinedRuns(tuple(resolved[part.run_id] for part in parts))
            yield _Combination(key, parts, combined, numbers.get(key, ()))


def _combination(task: _Combination, store: RunStore, classes: Classes | None) -> CellRecord:
    parts, identity = task.parts, task.combined.identity
    members = tuple(part.run_id for part in parts)
    missing = CellRecord(task.key, parts[0].seed, identity, "missing", reason="not trained yet", members=members)
    bad = next((part for part in parts if part.status != "complete"), None)
    if bad is not None:
        return replace(missing, status=bad.status, reason=f"member {bad.run_id[:10]}: {bad.reason}")
    try:
        measured = measure_run(task.combined, store, task.numbers, classes)
    except InputError as error:
        return replace(missing, status="failed", reason=f"not measurable: {error}")
    reason, seconds = "; ".join(measured.problems), math.fsum(part.seconds for part in parts)
    return replace(missing, status="complete", metrics=measured.values, reason=reason, seconds=seconds)


def _with_problems(record: CellRecord, problems: Mapping[str, list[str]]) -> CellRecord:
    """Add to a complete run the reasons why something of it could not be shown."""
    own = problems.get(record.run_id)
    return replace(record, reason="; ".join(dict.fromkeys(filter(None, [record.reason, *own])))) if own else record
