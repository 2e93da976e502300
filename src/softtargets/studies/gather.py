"""From the run store to what is known of a study; nothing is trained here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from softtargets._errors import InputError
from softtargets.runs.measures import gaps_of, measure, reliability_of
from softtargets.runs.record import Predictions, read_predictions
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.studies.exact import loss_curves
from softtargets.studies.expand import PlannedRun, cell
from softtargets.studies.results import (
    CellKey,
    CellRecord,
    Curve,
    DataSummary,
    Density,
    Diagram,
    Reported,
    StudyResults,
)
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
        diagrams=_diagrams(plan, cells, store),
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


def _drawn(plan: StudyPlan, kind: str) -> list[tuple[CellKey, str]]:
    """Return every cell and metric that the outputs of a kind show, each once for each output."""
    found: list[tuple[CellKey, str]] = []
    for output in (plan.study.outputs[name] for name in plan.outputs):
        if output.kind == kind:
            levels = plan.study.levels(output.levels, plan.scale)
            places = product(output.noise, output.arms, levels)
            keys = dict.fromkeys(cell(plan.study, arm, level, noise) for noise, arm, level in places)
            found += [(key, metric) for metric in output.metrics for key in keys]
    return found


def _predictions(key: CellKey, cells: Sequence[CellRecord], store: RunStore) -> Iterator[Predictions]:
    """Yield the predictions of the complete runs of a cell, one at a time."""
    for record in cells:
        if record.key == key and record.status == "complete":
            yield read_predictions(store.path(record.run_id))


def _densities(plan: StudyPlan, cells: Sequence[CellRecord], store: RunStore) -> tuple[Density, ...]:
    """Histograms over the pooled seeds of each cell."""
    pooled = ((key, metric, _pooled(key, metric, cells, store)) for key, metric in _drawn(plan, "density"))
    return tuple(_histogram(key, metric, gaps) for key, metric, gaps in pooled if gaps is not None)


def _pooled(key: CellKey, metric: str, cells: Sequence[CellRecord], store: RunStore) -> "Tensor | None":
    import torch

    parts = [gaps_of(predictions, metric.removeprefix("gap.")) for predictions in _predictions(key, cells, store)]
    gaps = torch.cat(parts) if parts else None
    return None if gaps is None or len(gaps) == 0 else gaps.double()


def _diagrams(plan: StudyPlan, cells: Sequence[CellRecord], store: RunStore) -> tuple[Diagram, ...]:
    """Reliability diagrams summed over the seeds of each cell."""
    found = (_diagram(key, metric, cells, store) for key, metric in dict.fromkeys(_drawn(plan, "reliability")))
    return tuple(diagram for diagram in found if diagram is not None)


def _diagram(key: CellKey, metric: str, cells: Sequence[CellRecord], store: RunStore) -> Diagram | None:
    each = [reliability_of(predictions, metric) for predictions in _predictions(key, cells, store)]
    bins = [one for one in each if one is not None]
    if not bins:
        return None
    return Diagram(
        key=key,
        metric=metric,
        edges=tuple(bins[0].edges.tolist()),
        count=_total([one.count for one in bins]),
        confidence=_total([one.confidence for one in bins]),
        correct=_total([one.correct for one in bins]),
        runs=len(bins),
    )


def _total(sums: "list[Tensor]") -> tuple:
    import torch

    return tuple(torch.stack(sums).sum(0).tolist())


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
