"""What `softtargets run` and `softtargets report` do."""

import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from softtargets._errors import InputError, fail
from softtargets.data import fingerprint
from softtargets.data.sources import load_cached
from softtargets.data.spec import DataSpec
from softtargets.runs.spec import RECIPE, ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.studies import files
from softtargets.studies.catalog import find, read_reported, read_study
from softtargets.studies.checks import check_study
from softtargets.studies.expand import (
    DataChoice,
    PlannedRun,
    check_scale,
    differences,
    expand,
    select_outputs,
    without_augmentation,
)
from softtargets.studies.gather import gather
from softtargets.studies.gather_plan import StudyPlan
from softtargets.studies.results import DataSummary, Reported, StudyResults
from softtargets.studies.schema import Study
from softtargets.train.execute import CHECKPOINT_SECONDS, resolve
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all

TABLE = "No augmentation: the data are a table."


@dataclass(frozen=True)
class StudyRequest:
    """What the user asked for.

    Args:
        study: a name, or a folder with a study.toml.
        output: one output; None: all.
        scale: smoke, desk or paper.
        seeds: how many; None: as the scale says.
        data: a data set of the user's instead of the study's.
        places: where data sets of the study lie, as pairs of the study's name for one and its path.
        runs: the run store's folder.
        reports: where pages go.
    """

    study: str
    output: str | None = None
    scale: str = "desk"
    seeds: int | None = None
    data: DataChoice | None = None
    places: tuple[tuple[str, str], ...] = ()
    runs: Path = Path("runs")
    reports: Path = Path("reports")

    @property
    def command(self) -> str:
        """The command that does this again."""
        words = ["softtargets", "run", self.study, *([self.output] if self.output else []), "--scale", self.scale]
        words += ["--seeds", str(self.seeds)] if self.seeds is not None else []
        if self.data is not None:
            words += ["--data", self.data.name]
            words += ["--label", self.data.label] if self.data.label is not None else []
        for name, place in self.places:
            words += ["--at", f"{name}={place}"]
        return shlex.join(words)


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
    check_folders(request)
    study, reported, outputs, planned = expand_request(request)
    store = RunStore(request.runs)
    data = {spec: summarise(spec, store) for spec in dict.fromkeys(item.run.data for item in planned)}
    differs = differences(study, request.scale, request.data)
    tables = [spec for spec, summary in data.items() if len(summary.input_shape) == 1]
    if any(item.run.augmentation.active and item.run.data in tables for item in planned):
        planned, differs = _as_tables(planned, tables), (*differs, TABLE)
    return StudyPlan(
        study=study,
        scale=request.scale,
        outputs=outputs,
        command=request.command,
        data=tuple(data.values()),
        differs=differs,
        reported=reported,
        runs=tuple(zip(planned, resolve_all([item.run for item in planned], store), strict=True)),
    )


def _as_tables(planned: list[PlannedRun], tables: Collection[DataSpec]) -> list[PlannedRun]:
    """Return the runs, those on these data without augmentation."""
    return [without_augmentation([item])[0] if item.run.data in tables else item for item in planned]


def expand_request(request: StudyRequest) -> tuple[Study, tuple[Reported, ...], tuple[str, ...], list[PlannedRun]]:
    """Read a study and its reported numbers, and expand what was asked for; no data are touched."""
    folder = find(request.study)
    study = read_study(folder)
    check_study(study, folder)
    outputs = select_outputs(study, request.output)
    study = study.seen_from(request.output)
    check_scale(study, request.scale)
    planned = expand(study, request.scale, outputs, seeds=request.seeds, data=request.data, places=dict(request.places))
    return study, read_reported(folder, study), outputs, planned


def check_folders(request: StudyRequest) -> None:
    """Require that runs and reports can be folders, before hours are spent on what goes there."""
    for argument, folder in (("--runs", request.runs), ("--reports", request.reports)):
        if folder.exists() and not folder.is_dir():
            raise fail(argument, "a folder", f"the file '{folder}'", "name another place")


def resolve_all(runs: Sequence[RunSpec], store: RunStore) -> list[ResolvedRun]:
    """Resolve runs, reading each data set once."""
    prints = {data: fingerprint(data, cache=store.cache) for data in {run.data: None for run in runs}}
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
    page = files.write(results, page_folder(request, made))
    return StudyOutcome(page, results, count["trained"], count["present"], count["failed"], seconds)


def report_study(request: StudyRequest) -> StudyOutcome:
    """Write the page from what is recorded; nothing is trained.

    Runs are looked for as this machine and the data at hand would make them. Where there is none of those, or the data
    are gone, runs of the same specifications that were made elsewhere (on a GPU, say) are shown.

    Raises:
        InputError: where neither the data nor any run is there.
    """
    started = time.monotonic()
    store = RunStore(request.runs)
    try:
        made, problem = plan(request), None
    except InputError as error:
        made, problem = None, error
    if made is None or not any(store.result(run.identity) for _, run in made.runs):
        made = _recorded_plan(request, store) or made
    if made is None:
        raise problem or fail("runs", "a record of this study", "none", "run the study first")
    results = gather(made, store)
    present = sum(cell.status == "complete" for cell in results.cells)
    failed = sum(cell.status == "failed" for cell in results.cells)
    page = files.write(results, page_folder(request, made))
    return StudyOutcome(page, results, trained=0, present=present, failed=failed, seconds=time.monotonic() - started)


def _recorded_plan(request: StudyRequest, store: RunStore) -> StudyPlan | None:
    """Plan a report by the specifications of finished runs, wherever and from whichever copy of the data they came."""
    study, reported, outputs, planned = expand_request(request)
    recorded = {run.run: run for run in store.recorded() if run.recipe == RECIPE}
    differs = differences(study, request.scale, request.data)
    bare = dict.fromkeys(item.run.data for item in without_augmentation(planned) if item.run in recorded)
    whole = dict.fromkeys(item.run.data for item in planned if item.run in recorded)
    tables = [spec for spec in bare if spec not in whole]
    if tables:
        planned, differs = _as_tables(planned, tables), (*differs, TABLE)
    known = [recorded[item.run] for item in planned if item.run in recorded]
    if not known:
        return None
    data: dict[DataSpec, DataSummary] = {}
    for run in known:
        if run.run.data not in data and (result := store.result(run.identity)) is not None:
            data[run.run.data] = _recorded_summary(result["data"], run.fingerprint)
    if not data:
        return None
    # a run that is not there is looked for on the copy of its data that the others used
    stand_ins = {run.run.data: run for run in reversed(known)}
    return StudyPlan(
        study=study,
        scale=request.scale,
        outputs=outputs,
        command=request.command,
        data=tuple(data.values()),
        differs=differs,
        reported=reported,
        runs=tuple(
            (item, recorded.get(item.run, stand_ins.get(item.run.data, known[0]).changed(run=item.run)))
            for item in planned
        ),
    )


def _recorded_summary(summary: dict[str, Any], fingerprint: str) -> DataSummary:
    """Return what a finished run recorded of its data."""
    return DataSummary(
        name=summary["name"],
        fingerprint=fingerprint,
        num_classes=summary["num_classes"],
        input_shape=tuple(summary["input_shape"]),
        sizes=summary["sizes"],
    )


def page_folder(request: StudyRequest, made: StudyPlan) -> Path:
    """Return where a page goes: the desk page of a study under its name, others beside it, none in another's place."""
    parts = [made.study.name]
    parts += [request.scale] if request.scale != "desk" else []
    if request.data is not None:
        parts += [part for data in made.data for part in (data.name, data.fingerprint[:6])]
        parts += [request.data.label] if request.data.label else []
    parts += [request.output] if request.output is not None else []
    parts += [f"{request.seeds}-seeds"] if request.seeds is not None else []
    return request.reports / re.sub(r"[^\w.-]+", "_", "-".join(parts)).lstrip(".")
