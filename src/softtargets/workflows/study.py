"""What `softtargets run` and `softtargets report` do."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from softtargets import report
from softtargets.data import fingerprint
from softtargets.data.spec import DataSpec
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import DataChoice, check_scale, differences, expand, select_outputs
from softtargets.studies.gather import StudyPlan, gather
from softtargets.studies.results import DataSummary, StudyResults
from softtargets.train.execute import CHECKPOINT_SECONDS, Outcome, execute, load_cached, rehearse, resolve
from softtargets.train.loop import length_of
from softtargets.workflows.progress import Progress, Tracker


@dataclass(frozen=True)
class StudyRequest:
    """What the user asked for.

    Args:
        study: a name, or a folder with a study.toml.
        output: one output; None: all.
        scale: smoke, desk or paper.
        seeds: how many; None: as the scale says.
        data: a data set of the user's instead of the study's.
        runs: the run store's folder.
        reports: where pages go.
    """

    study: str
    output: str | None = None
    scale: str = "desk"
    seeds: int | None = None
    data: DataChoice | None = None
    runs: Path = Path("runs")
    reports: Path = Path("reports")

    @property
    def command(self) -> str:
        """The command that does this again."""
        words = ["softtargets run", self.study, *([self.output] if self.output else []), f"--scale {self.scale}"]
        words += [f"--seeds {self.seeds}"] if self.seeds is not None else []
        if self.data is not None:
            words.append(f"--data {self.data.name}")
            words += [f"--label {self.data.label}"] if self.data.label is not None else []
        return " ".join(words)


@dataclass(frozen=True)
class StudyOutcome:
    """What came of it."""

    page: Path
    results: StudyResults
    trained: int
    present: int
    failed: int
    seconds: float


def plan(request: StudyRequest) -> StudyPlan:
    """Read the study, read its data, and resolve every run.

    Raises:
        InputError: for a bad study, output, scale, data set, column or label, before anything is trained.
    """
    folder = find(request.study)
    study = read_study(folder)
    check_scale(study, request.scale)
    outputs = select_outputs(study, request.output)
    planned = expand(study, request.scale, outputs, seeds=request.seeds, data=request.data)
    store = RunStore(request.runs)
    resolved = resolve_all([item.run for item in planned])
    data = planned[0].run.data if planned else DataSpec(name="digits")
    return StudyPlan(
        folder=folder,
        study=study,
        scale=request.scale,
        outputs=outputs,
        command=request.command,
        data=summarise(data, store),
        differs=differences(study, request.scale, request.data),
        runs=tuple(zip(planned, resolved, strict=True)),
    )


def resolve_all(runs: Sequence[RunSpec]) -> list[ResolvedRun]:
    """Resolve runs, reading each data set once."""
    prints = {data: fingerprint(data) for data in {run.data: None for run in runs}}
    return [resolve(run, prints[run.data]) for run in runs]


def summarise(data: DataSpec, store: RunStore) -> DataSummary:
    """Load a data set, which checks it, and say what it is."""
    dataset = load_cached(data, str(store.cache))  # pyright: ignore[reportArgumentType]
    return DataSummary(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        num_classes=dataset.num_classes,
        input_shape=dataset.input_shape,
        sizes={split: len(rows) for split, rows in dataset.splits.items()},
    )


def run_study(
    request: StudyRequest,
    *,
    workers: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> StudyOutcome:
    """Train what is missing and write the page from everything that is there.

    Args:
        request: what the user asked for.
        workers: processes; None: as many as there are cores for their intra-op threads.
        checkpoint_seconds: least time between a run's checkpoints; it changes no result.
        on_progress: called about twice a second while runs are trained, from a thread of its own.

    Raises:
        InputError: before anything is trained.
        OSError: where the page cannot be written; every finished run is kept.
    """
    started = time.monotonic()
    made = plan(request)
    store = RunStore(request.runs)
    outcomes = train_all(
        [run for _, run in made.runs],
        store,
        train_examples=made.data.sizes["train"],
        workers=workers,
        checkpoint_seconds=checkpoint_seconds,
        on_progress=on_progress,
    )
    count = Counter(outcome.status for outcome in outcomes)
    seconds = time.monotonic() - started
    results = gather(made, store)
    # What could not even be recorded (a full disk) is still said on the page.
    unrecorded = {outcome.identity: outcome.message for outcome in outcomes if outcome.status == "failed"}
    cells = tuple(
        replace(cell, status="failed", reason=unrecorded[cell.run_id])
        if cell.status == "missing" and cell.run_id in unrecorded
        else cell
        for cell in results.cells
    )
    results = replace(results, cells=cells)
    page = report.write(results, page_folder(request))
    return StudyOutcome(page, results, count["trained"], count["present"], count["failed"], seconds)


def report_study(request: StudyRequest) -> StudyOutcome:
    """Write the page from what is recorded; nothing is trained."""
    started = time.monotonic()
    results = gather(plan(request), RunStore(request.runs))
    present = sum(cell.status == "complete" for cell in results.cells)
    failed = sum(cell.status == "failed" for cell in results.cells)
    page = report.write(results, page_folder(request))
    return StudyOutcome(page, results, trained=0, present=present, failed=failed, seconds=time.monotonic() - started)


def page_folder(request: StudyRequest) -> Path:
    """Return where the page of a request goes: the desk page of a study under its name, others beside it."""
    parts = [Path(request.study).name]
    parts += [request.scale] if request.scale != "desk" else []
    parts += [Path(request.data.name).stem] if request.data is not None else []
    parts += [request.output] if request.output is not None else []
    return request.reports / "-".join(parts)


def train_all(
    resolved: Sequence[ResolvedRun],
    store: RunStore,
    *,
    train_examples: int,
    workers: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> list[Outcome]:
    """Execute runs, each once and several at a time; one that another process holds is waited for at the end."""
    by_identity = {run.identity: run for run in resolved}
    present = {identity for identity in by_identity if store.result(identity) is not None}
    outcomes = [Outcome(identity, "present") for identity in present]
    missing = [run for identity, run in by_identity.items() if identity not in present]
    if not missing:
        return outcomes
    rehearse(missing, store)
    steps = {run.identity: length_of(run.run, train_examples).steps for run in missing}
    tracker = Tracker(store, steps, present=len(outcomes))
    settings = {"workers": workers, "checkpoint_seconds": checkpoint_seconds}
    with _reported(tracker, on_progress):
        busy: list[ResolvedRun] = []
        for outcome in _each(missing, store, wait=False, **settings):
            if outcome.status == "busy":
                busy.append(by_identity[outcome.identity])
            else:
                tracker.done(outcome)
                outcomes.append(outcome)
        for outcome in _each(busy, store, wait=True, **settings):
            tracker.done(outcome)
            outcomes.append(outcome)
    return outcomes


def _each(
    runs: Sequence[ResolvedRun], store: RunStore, *, wait: bool, workers: int | None, checkpoint_seconds: float
) -> Iterator[Outcome]:
    if not runs:
        return
    threads = max(run.run.training.threads for run in runs)
    count = min(len(runs), workers if workers is not None else max(1, available_cores() // threads))
    settings = {"wait": wait, "checkpoint_seconds": checkpoint_seconds}
    if count == 1:
        yield from (execute(run, store, **settings) for run in runs)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    parallel = Parallel(n_jobs=count, backend="loky", return_as="generator_unordered", pre_dispatch="2*n_jobs")
    outcomes = parallel(delayed(execute)(run, store, **settings) for run in runs)
    try:
        yield from cast("Iterator[Outcome]", outcomes)
    finally:
        # else the workers, and the memory of torch in each, stay for minutes
        get_reusable_executor(reuse=True).shutdown(wait=True)  # pyright: ignore[reportArgumentType]


def available_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _reported(tracker: Tracker, on_progress: Callable[[Progress], None]) -> Iterator[None]:
    """Report progress from a thread of its own, so that a long run does not silence the display."""
    over = threading.Event()

    def report_often() -> None:
        while not over.wait(0.5):
            on_progress(tracker.look())

    thread = threading.Thread(target=report_often, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        on_progress(tracker.look())
