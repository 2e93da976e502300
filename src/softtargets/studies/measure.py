"""Measuring a study: the numbers of its runs, and the data of its outputs. Nothing is trained here."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from softtargets._errors import InputError
from softtargets._spec import Classes
from softtargets.measures import CombinedRuns, measure_run
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.studies.expand import PlannedRun, cells_of, trained_cells
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind
from softtargets.studies.plan import StudyPlan
from softtargets.studies.records import CellKey, CellRecord


def measure_runs(plan: StudyPlan, store: RunStore) -> tuple[CellRecord, ...]:
    """Measure the runs of a plan if its outputs or claims need them, and the combinations of runs."""
    wanted: dict[CellKey, dict[str, None]] = {}
    for key, metric in plan.numbers():
        wanted.setdefault(key, {})[metric] = None
    runs = tuple(
        _record(planned, resolved, store, wanted.get(planned.key, ()), plan.classes) for planned, resolved in plan.runs
    )
    return (*runs, *_combinations(plan, runs, store, wanted))


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


def _record(
    planned: PlannedRun, resolved: ResolvedRun, store: RunStore, wanted: Collection[str], classes: Classes | None
) -> CellRecord:
    identity = resolved.identity
    missing = CellRecord(planned.key, planned.seed, identity, "missing", reason="not trained yet")
    result, failure = store.result(identity), store.failure(identity)
    if result is None:
        failed = missing if failure is None else replace(missing, status="failed", reason=failure.message)
        return replace(failed, specification=resolved.model_dump(mode="json"))
    try:
        measured = measure_run(resolved, store, wanted, classes)
    except InputError as error:
        # the page is written without a run that cannot be measured
        return replace(missing, status="failed", reason=f"not measurable: {error}")
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
    plan: StudyPlan, runs: Sequence[CellRecord], store: RunStore, wanted: Mapping[CellKey, Collection[str]]
) -> Iterator[CellRecord]:
    """Yield a record of each cell whose arm has members, at each seed for which the runs of all of them are planned."""
    study = plan.study
    known = {(record.key, record.seed): record for record in runs}
    resolved = {run.identity: run for run in plan.resolved}
    keys = [key for key in cells_of(study, plan.request.scale, plan.outputs) if study.arms[key.arm].members]
    for seed, key in product(dict.fromkeys(record.seed for record in runs), keys):
        parts = [known[one, seed] for one in trained_cells(study, key) if (one, seed) in known]
        if len(parts) == len(study.arms[key.arm].members):
            combined = CombinedRuns(tuple(resolved[part.run_id] for part in parts))
            yield _combination(key, parts, combined, store, wanted.get(key, ()), plan.classes)


def _combination(
    key: CellKey,
    parts: Sequence[CellRecord],
    combined: CombinedRuns,
    store: RunStore,
    wanted: Collection[str],
    classes: Classes | None,
) -> CellRecord:
    members = tuple(part.run_id for part in parts)
    missing = CellRecord(key, parts[0].seed, combined.identity, "missing", reason="not trained yet", members=members)
    bad = next((part for part in parts if part.status != "complete"), None)
    if bad is not None:
        return replace(missing, status=bad.status, reason=f"member {bad.run_id[:10]}: {bad.reason}")
    try:
        measured = measure_run(combined, store, wanted, classes)
    except InputError as error:
        return replace(missing, status="failed", reason=f"not measurable: {error}")
    reason, seconds = "; ".join(measured.problems), math.fsum(part.seconds for part in parts)
    return replace(missing, status="complete", metrics=measured.values, reason=reason, seconds=seconds)


def _with_problems(record: CellRecord, problems: Mapping[str, list[str]]) -> CellRecord:
    """Add to a complete run the reasons why something of it could not be shown."""
    own = problems.get(record.run_id)
    return replace(record, reason="; ".join(dict.fromkeys(filter(None, [record.reason, *own])))) if own else record
