"""From the run store to what is known of a study; nothing is trained here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from softtargets._errors import InputError
from softtargets.runs.measures import gaps_of, measure, read_predictions
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.studies.exact import loss_curves
from softtargets.studies.expand import PlannedRun, cell
from softtargets.studies.results import CellKey, CellRecord, Curve, DataSummary, Density, Reported, StudyResults
from softtargets.studies.schema import Study
from softtargets.studies.verdicts import judge

if TYPE_CHECKING:
    from torch import Tensor

BINS = 40
SAMPLE = 1_000_000


@dataclass(frozen=True)
class StudyPlan:
    """A study as it was asked for, with every run resolved; `runs` pairs them with their places."""

    study: Study
    scale: str
    outputs: tuple[str, ...]
    command: str
    data: DataSummary
    differs: tuple[str, ...]
    reported: tuple[Reported, ...]
    runs: tuple[tuple[PlannedRun, ResolvedRun], ...]


def gather(plan: StudyPlan, store: RunStore) -> StudyResults:
    """Read the runs of a plan and judge its claims."""
    cells = tuple(_record(planned, resolved, store) for planned, resolved in plan.runs)
    return StudyResults(
        study=plan.study,
        scale=plan.scale,
        outputs=plan.outputs,
        command=plan.command,
        data=plan.data,
        differs=plan.differs,
        cells=cells,
        verdicts=judge(plan.study, plan.scale, plan.outputs, cells),
        reported=plan.reported,
        densities=_densities(plan, cells, store),
        curves=_curves(plan),
    )


def _record(planned: PlannedRun, resolved: ResolvedRun, store: RunStore) -> CellRecord:
    identity = resolved.identity
    specification = resolved.model_dump(mode="json")
    result = store.result(identity)
    if result is not None:
        try:
            metrics = measure(store, identity)
        except InputError as error:
            # one run that cannot be measured may not cost the page of all others
            return CellRecord(planned.key, planned.seed, identity, "failed", reason=f"not measurable: {error}")
        return CellRecord(
            key=planned.key,
            seed=planned.seed,
            run_id=identity,
            status="complete",
            metrics=metrics,
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


def _curves(plan: StudyPlan) -> tuple[Curve, ...]:
    outputs = [plan.study.outputs[name] for name in plan.outputs]
    drawn = [output.noise for output in outputs if output.kind == "curves"]
    # the study holds rates alone where curves are drawn
    return tuple(curve for noise in drawn for curve in loss_curves(tuple(map(float, noise))))


def _densities(plan: StudyPlan, cells: Sequence[CellRecord], store: RunStore) -> tuple[Density, ...]:
    """Histograms over the pooled seeds of each cell."""
    found: list[Density] = []
    for name in plan.outputs:
        output = plan.study.outputs[name]
        if output.kind != "density":
            continue
        levels = plan.study.levels(output.levels, plan.scale)
        keys = [
            cell(plan.study, arm, level, noise) for noise in output.noise for arm in output.arms for level in levels
        ]
        for metric in output.metrics:
            pooled = {key: _pooled(key, metric, cells, store) for key in dict.fromkeys(keys)}
            found += [_histogram(key, metric, gaps) for key, gaps in pooled.items() if gaps is not None]
    return tuple(found)


def _pooled(key: CellKey, metric: str, cells: Sequence[CellRecord], store: RunStore) -> "Tensor | None":
    import torch

    ids = [record.run_id for record in cells if record.key == key and record.status == "complete"]
    labels = metric.removeprefix("gap.")
    parts = [gaps_of(read_predictions(store.path(run_id)), labels) for run_id in ids]
    gaps = torch.cat(parts) if parts else None
    return None if gaps is None or len(gaps) == 0 else gaps.double()


def _histogram(key: CellKey, metric: str, gaps: "Tensor") -> Density:
    """Bin the middle 99 % of the gaps: an unbounded loss sends a few logits too far to draw."""
    import torch

    sample = gaps[:: max(1, len(gaps) // SAMPLE)]
    low, high = torch.quantile(sample, sample.new_tensor([0.005, 0.995])).tolist()
    high = high if high > low else low + 1.0
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    inside = gaps[(gaps >= low) & (gaps <= high)]
    counts = torch.bincount(torch.bucketize(inside, edges[1:-1]), minlength=BINS).double()
    density = counts / len(gaps) * BINS / (high - low)
    return Density(key, metric, tuple(edges.tolist()), tuple(density.tolist()), float(gaps.mean()), len(gaps))
