"""From the run store to what is known of a study; nothing is trained here."""

from collections.abc import Collection
from dataclasses import replace

from softtargets._errors import InputError
from softtargets._spec import Classes
from softtargets.measures import measure_run
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.studies.exact_gaussians import figure5
from softtargets.studies.expand import PlannedRun
from softtargets.studies.gather_figures import Figures
from softtargets.studies.gather_plan import StudyPlan
from softtargets.studies.results import CellKey, CellRecord, StudyResults
from softtargets.studies.verdicts import judge


def gather(plan: StudyPlan, store: RunStore) -> StudyResults:
    """Read the runs of a plan, analyse them as far as its outputs and claims ask for it, and judge its claims."""
    wanted: dict[CellKey, dict[str, None]] = {}
    for key, metric in plan.numbers():
        wanted.setdefault(key, {})[metric] = None
    cells = tuple(
        _record(planned, resolved, store, wanted.get(planned.key, ()), plan.classes) for planned, resolved in plan.runs
    )
    figures = Figures(plan, cells, store)
    shown = {
        "densities": figures.densities(),
        "diagrams": figures.diagrams(),
        "curves": figures.curves(),
        "projections": figures.projections(),
        "class_means": figures.class_means(),
        "traces": figures.traces(),
    }
    return StudyResults(
        study=plan.study,
        scale=plan.scale,
        outputs=plan.outputs,
        command=plan.command,
        data=plan.data,
        differs=plan.differs,
        cells=tuple(_with_problems(record, figures.problems.get(record.run_id, [])) for record in cells),
        verdicts=judge(plan.study, plan.scale, plan.outputs, cells),
        reported=plan.reported,
        separators=figure5() if plan.shown("separators") else (),
        **shown,
    )


def _record(
    planned: PlannedRun,
    resolved: ResolvedRun,
    store: RunStore,
    wanted: Collection[str],
    classes: Classes | None,
) -> CellRecord:
    identity = resolved.identity
    specification = resolved.model_dump(mode="json")
    result = store.result(identity)
    if result is not None:
        try:
            measured = measure_run(resolved, store, wanted, classes)
        except InputError as error:
            # one run that cannot be measured may not cost the page of all others
            return CellRecord(planned.key, planned.seed, identity, "failed", reason=f"not measurable: {error}")
        return CellRecord(
            key=planned.key,
            seed=planned.seed,
            run_id=identity,
            status="complete",
            metrics=measured.values,
            reason="; ".join(measured.problems),
            seconds=result["seconds"],
            specification=specification,
            environment=result["environment"],
        )
    failure = store.failure(identity)
    return CellRecord(
        key=planned.key,
        seed=planned.seed,
        run_id=identity,
        status="missing" if failure is None else "failed",
        reason="not trained yet" if failure is None else failure.message,
        specification=specification,
    )


def _with_problems(record: CellRecord, problems: list[str]) -> CellRecord:
    """Say of a complete run what could not be shown of it."""
    reasons = dict.fromkeys(filter(None, [record.reason, *problems]))
    return replace(record, reason="; ".join(reasons)) if problems else record
