"""Running and reporting a study: load -> plan -> schedule -> execute -> measure -> judge -> results -> page."""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from softtargets._errors import InputError, fail
from softtargets.runs.store import RunStore
from softtargets.studies.answer import answer
from softtargets.studies.judge import judge
from softtargets.studies.measure import gather_outputs, measure_runs
from softtargets.studies.page import files
from softtargets.studies.plan import StudyPlan, make_plan, recorded_plan
from softtargets.studies.records import CellRecord
from softtargets.studies.request import StudyOptions, StudyRequest
from softtargets.studies.results import StudyResults
from softtargets.train.execute import CHECKPOINT_SECONDS
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all


@dataclass(frozen=True, repr=False)
class StudyOutcome:
    """What came of a study.

    Args:
        page: path of its page; ``results.json`` and ``results.csv`` lie beside it.
        results: everything that the page shows.
        trained: number of runs that were trained.
        present: number of runs that were there already.
        failed: number of runs that failed.
        seconds: time that it took.
    """

    page: Path
    results: StudyResults
    trained: int
    present: int
    failed: int
    seconds: float

    def __repr__(self) -> str:
        claims = ", ".join(f"{count} {name}" for name, count in self.results.counts.items() if count) or "none"
        return (
            f"<{self.results.study.name} at {self.results.scale} scale: {self.trained} runs trained, "
            f"{self.present} present, {self.failed} failed; claims: {claims}; page: {self.page}>"
        )


def run_study(
    study: str | Path,
    output: str | None = None,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
    **options: Unpack[StudyOptions],
) -> StudyOutcome:
    """Train what is missing of a study and write its page.

    Args:
        study: name of a shipped study, or a folder with a ``study.toml``. Its ``study.py``, if it has one, is run.
        output: one table or figure, or a setting; None: all outputs that belong to no setting.
        workers: number of worker processes; None: as many as there are cores for their intra-op threads.
        on_progress: called about twice a second while runs are trained, from a thread of its own.
        **options: scale, seeds, data, label, places, runs and reports, as of
            :class:`softtargets.studies.request.StudyRequest`.

    Returns:
        The path of the page, its results, and how many runs were trained, present and failed.

    Raises:
        InputError: for a bad argument, study or data set, before anything is trained.
        OSError: where the page cannot be written; every finished run is kept.
    """
    return run(StudyRequest.of(study, output, options), workers=workers, on_progress=on_progress)


def report_study(study: str | Path, output: str | None = None, **options: Unpack[StudyOptions]) -> StudyOutcome:
    """Write the page of a study from what is recorded; nothing is trained.

    Runs are looked for as this machine and the data at hand would make them. Where there is none of those, or the data
    are gone, runs of the same specifications that were made elsewhere (on a GPU, say) are shown.

    Args:
        study, output, options: as of :func:`run_study`.

    Returns:
        As of :func:`run_study`.

    Raises:
        InputError: where neither the data nor any run is there.
    """
    return report(StudyRequest.of(study, output, options))


def run(
    request: StudyRequest,
    *,
    workers: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> StudyOutcome:
    """Run what was requested; see :func:`run_study`.

    Args:
        request: what the user asked for.
        workers: number of worker processes.
        checkpoint_seconds: least time between a run's checkpoints; it changes no result.
        on_progress: called while runs are trained.
    """
    started = time.monotonic()
    store = RunStore(request.runs)
    plan = make_plan(request, store)
    outcomes = train_all(
        plan.resolved, store, workers=workers, checkpoint_seconds=checkpoint_seconds, on_progress=on_progress
    )
    count = Counter(outcome.status for outcome in outcomes)
    seconds = time.monotonic() - started
    unrecorded = {outcome.identity: outcome.message for outcome in outcomes if outcome.status == "failed"}
    results = conclude(plan, store, unrecorded)
    page = files.write(results, page_folder(request, plan))
    return StudyOutcome(page, results, count["trained"], count["present"], count["failed"], seconds)


def report(request: StudyRequest) -> StudyOutcome:
    """Report what was requested; see :func:`report_study`."""
    started = time.monotonic()
    store = RunStore(request.runs)
    try:
        plan, problem = make_plan(request, store), None
    except InputError as error:
        plan, problem = None, error
    if plan is None or not any(store.result(run.identity) for run in plan.resolved):
        plan = recorded_plan(request, store) or plan
    if plan is None:
        raise problem or fail("runs", "a record of this study", "none", "run the study first")
    results = conclude(plan, store)
    count = Counter(cell.status for cell in results.cells)
    page = files.write(results, page_folder(request, plan))
    return StudyOutcome(page, results, 0, count["complete"], count["failed"], time.monotonic() - started)


def conclude(plan: StudyPlan, store: RunStore, unrecorded: Mapping[str, str] | None = None) -> StudyResults:
    """Measure the runs of a plan, judge its claims and answer its question.

    Args:
        plan: of the study.
        store: that has its runs.
        unrecorded: why runs failed that could not even record it (a full disk), by their identity.
    """
    cells = measure_runs(plan, store)
    shown, cells = gather_outputs(plan, cells, store)
    study, scale, outputs, loaded = plan.study, plan.request.scale, plan.outputs, plan.loaded
    verdicts = judge(study, scale, outputs, cells, exact=loaded.extension.exact)
    return StudyResults(
        study=study,
        scale=scale,
        outputs=outputs,
        command=plan.request.command,
        data=plan.data,
        differs=plan.differs,
        cells=tuple(_with_failure(cell, unrecorded or {}) for cell in cells),
        verdicts=verdicts,
        reported=loaded.reported,
        shown=shown,
        answer=answer(study, scale, outputs, plan.data, verdicts),
    )


def _with_failure(cell: CellRecord, unrecorded: Mapping[str, str]) -> CellRecord:
    if cell.status == "missing" and cell.run_id in unrecorded:
        return replace(cell, status="failed", reason=unrecorded[cell.run_id])
    return cell


def page_folder(request: StudyRequest, plan: StudyPlan) -> Path:
    """Return where a page goes: the desk page of a study under its name, others beside it, none in another's place."""
    parts = [plan.study.name]
    parts += [request.scale] if request.scale != "desk" else []
    if request.data is not None:
        parts += [part for data in plan.data for part in (data.name, data.fingerprint[:6])]
        parts += [request.label] if request.label else []
    parts += [request.output] if request.output is not None else []
    parts += [f"{request.seeds}-seeds"] if request.seeds is not None else []
    return request.reports / re.sub(r"[^\w.-]+", "_", "-".join(parts)).lstrip(".")
