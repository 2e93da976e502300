"""Running and reporting a study: load -> plan -> schedule -> execute -> measure -> judge -> results -> page."""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from softtargets._errors import InputError, fail
from softtargets._results import new_axes
from softtargets.report.notebook import NotebookResult
from softtargets.runs.store import RunStore
from softtargets.studies.answer import answer
from softtargets.studies.judge import judge
from softtargets.studies.measure import gather_outputs, measure_runs
from softtargets.studies.page import files
from softtargets.studies.plan import StudyPlan, check_packages, make_plan, recorded_plan
from softtargets.studies.records import CellRecord
from softtargets.studies.request import StudyOptions, StudyRequest
from softtargets.studies.results import StudyResults
from softtargets.train.execute import CHECKPOINT_SECONDS
from softtargets.train.executors import ExecutorSpec, executor_of
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all

_COLOURS = {"reproduced": "tab:green", "contradicted": "tab:red"}


@dataclass(frozen=True, eq=False, repr=False)
class StudyOutcome(NotebookResult):
    """The outcome of running or reporting a study.

    Args:
        page: path of the page; ``results.json`` and ``results.csv`` are in the same folder.
        results: the content of the page.
        trained: number of runs that were trained.
        present: number of runs that were already present.
        failed: number of runs that failed.
        seconds: elapsed time.
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

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row for each claim: its words in the paper, the verdict, the estimate and its interval."""
        return [
            {
                "claim": verdict.claim.id,
                "quote": " ".join(verdict.claim.quote.split()),
                "where": verdict.claim.where,
                "family": verdict.family,
                "verdict": verdict.name,
                "estimate": verdict.estimate,
                "low": verdict.low,
                "high": verdict.high,
                "n": verdict.n,
            }
            for verdict in self.results.verdicts
        ]

    def plot(self, ax: Any = None) -> Any:
        """Plot the interval of every claim that has one, each divided by the distance of its farther end from 0."""
        shown = [verdict for verdict in self.results.verdicts if verdict.low is not None and verdict.high is not None]
        ax = new_axes(ax)
        for place, verdict in enumerate(reversed(shown)):
            assert verdict.low is not None
            assert verdict.high is not None
            assert verdict.estimate is not None
            scale = max(abs(verdict.low), abs(verdict.high)) or 1.0
            ax.plot([verdict.low / scale, verdict.high / scale], [place, place], color="0.4")
            ax.plot(verdict.estimate / scale, place, marker="o", color=_COLOURS.get(verdict.name, "0.4"))
        ax.axvline(0, color="0.6", linestyle="--", linewidth=1)
        ax.set_yticks(range(len(shown)), [f"{one.claim.id}: {one.name}" for one in reversed(shown)], fontsize=7)
        ax.set(xlim=(-1.1, 1.1), xlabel="interval, divided by its farther end", title=self.results.study.name)
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of runs, the time, the path of the page and the results, as plain data."""
        counts = {name: getattr(self, name) for name in ("trained", "present", "failed", "seconds")}
        return {**counts, "page": str(self.page), "results": self.results.to_dict()}


def run_study(
    study: str | Path,
    output: str | None = None,
    *,
    workers: int | None = None,
    executor: str | Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
    **options: Unpack[StudyOptions],
) -> StudyOutcome:
    """Train the missing runs of a study and write its page.

    Args:
        study: name of a shipped study, or a folder with a ``study.toml``. A ``study.py`` in that folder is executed.
        output: one table or figure, or a setting; None: all outputs that are not part of a setting.
        workers: number of worker processes; None: number of cores divided by the threads of a run.
        executor: where runs are trained: "joblib", "dask" or "submitit", or a table with this `name` and settings, such
            as ``{"name": "dask", "address": "tcp://10.0.0.1:8786"}``. Runs are then measured by this process alone.
            None: in processes of this machine.
        on_progress: called about twice a second during training, and while runs are measured if that takes more than
            2 seconds, from another thread.
        **options: scale, seeds, data, label, places, runs and reports; see
            :class:`softtargets.studies.request.StudyRequest`.

    Returns:
        The path of the page, the results, and the numbers of runs that were trained, present and failed.

    Raises:
        InputError: an invalid argument, study or data set, or a missing package; raised before any training.
        OSError: the page cannot be written; finished runs are kept.
    """
    found = None if executor is None else executor_of(executor)
    return run(StudyRequest.of(study, output, options), workers=workers, executor=found, on_progress=on_progress)


def report_study(
    study: str | Path,
    output: str | None = None,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
    **options: Unpack[StudyOptions],
) -> StudyOutcome:
    """Write the page of a study from finished runs, without training.

    Runs of this machine on the available data are used. If there are none, or the data are not available, runs with the
    same specifications from other machines (for example with a GPU) are used.

    Args:
        study, output, options: see :func:`run_study`.
        workers: number of processes that measure runs; None: number of cores divided by the threads of a run.
        on_progress: called about twice a second, from another thread, if runs are measured for more than 2 seconds.

    Returns:
        See :func:`run_study`.

    Raises:
        InputError: neither the data nor any run is available.
    """
    return report(StudyRequest.of(study, output, options), workers=workers, on_progress=on_progress)


def run(
    request: StudyRequest,
    *,
    workers: int | None = None,
    executor: ExecutorSpec | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> StudyOutcome:
    """Run a request; see :func:`run_study`.

    Args:
        request: the validated arguments.
        workers: number of worker processes.
        executor: where runs are trained.
        checkpoint_seconds: shortest time between the checkpoints of a run; it changes no result.
        on_progress: called during training and measuring.
    """
    started = time.monotonic()
    store = RunStore(request.runs)
    plan = make_plan(request, store)
    check_packages(plan)
    settings: dict[str, Any] = {"workers": workers, "executor": executor, "checkpoint_seconds": checkpoint_seconds}
    outcomes = train_all(plan.resolved, store, **settings, on_progress=on_progress)
    count = Counter(outcome.status for outcome in outcomes)
    unrecorded = {outcome.identity: outcome.message for outcome in outcomes if outcome.status == "failed"}
    # the machine that gives runs to a cluster may be one that many people share
    here = workers if executor is None else 1
    results = conclude(plan, store, unrecorded, workers=here, on_progress=on_progress)
    page = files.write(results, page_folder(request, plan))
    seconds = time.monotonic() - started
    return StudyOutcome(page, results, count["trained"], count["present"], count["failed"], seconds)


def report(
    request: StudyRequest,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> StudyOutcome:
    """Report a request; see :func:`report_study`."""
    started = time.monotonic()
    store = RunStore(request.runs)
    try:
        plan, problem = make_plan(request, store), None
    except InputError as error:
        plan, problem = None, error
    if plan is None or not any(store.result(run.identity) for run in plan.resolved):
        plan = recorded_plan(request, store) or plan
    if plan is None:
        raise problem or fail("runs", "finished runs of this study", "none", "run the study first")
    results = conclude(plan, store, workers=workers, on_progress=on_progress)
    count = Counter(cell.status for cell in results.runs)
    page = files.write(results, page_folder(request, plan))
    return StudyOutcome(page, results, 0, count["complete"], count["failed"], time.monotonic() - started)


def conclude(
    plan: StudyPlan,
    store: RunStore,
    unrecorded: Mapping[str, str] | None = None,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> StudyResults:
    """Measure the runs of a plan, judge the claims and answer the question.

    Args:
        plan: plan of the study.
        store: store of the runs.
        unrecorded: reasons of failures that could not be recorded (for example on a full disk), by identity of the run.
        workers, on_progress: see :func:`softtargets.studies.measure.measure_runs`.
    """
    cells = measure_runs(plan, store, workers=workers, on_progress=on_progress)
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
    """Return the folder of the page. Each combination of scale, data, output and seeds has its own folder."""
    parts = [plan.study.name]
    parts += [request.scale] if request.scale != "desk" else []
    if request.data is not None:
        parts += [part for data in plan.data for part in (data.name, data.fingerprint[:6])]
        parts += [request.label] if request.label else []
    parts += [request.output] if request.output is not None else []
    parts += [f"{request.seeds}-seeds"] if request.seeds is not None else []
    return request.reports / re.sub(r"[^\w.-]+", "_", "-".join(parts)).lstrip(".")
