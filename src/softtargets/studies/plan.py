"""The plan of a study: the request expanded into resolved runs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Self

from softtargets._spec import Classes
from softtargets.data import fingerprint
from softtargets.data.sources import forget_changed, load_cached
from softtargets.data.spec import DataSpec
from softtargets.measures.translation import bleu_metric
from softtargets.report.encoding import printable
from softtargets.runs.spec import RECIPE, ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.studies.catalog import find
from softtargets.studies.expand import (
    PlannedRun,
    check_scale,
    differences,
    expand,
    select_outputs,
    term_cells,
    without_augmentation,
)
from softtargets.studies.layout import cells
from softtargets.studies.load import LoadedStudy, load_study
from softtargets.studies.outputs.kind import OutputKind
from softtargets.studies.records import CellKey, DataSummary
from softtargets.studies.request import StudyRequest
from softtargets.studies.schema import Output, Study
from softtargets.train.execute import resolve

TABLE = "No augmentation, because the data are a table."


@dataclass(frozen=True)
class StudyPlan:
    """A request expanded into runs.

    Args:
        request: the validated arguments.
        loaded: files and code of the study.
        study: the study with the scales that apply to the request.
        outputs: names of the selected outputs.
        planned: specifications of the runs.
        differs: differences from the paper.
        data: the data sets of the runs, without duplicates; empty before they are read.
        resolved: the resolved runs; empty before the data are read.
    """

    request: StudyRequest
    loaded: LoadedStudy
    study: Study
    outputs: tuple[str, ...]
    planned: tuple[PlannedRun, ...]
    differs: tuple[str, ...] = ()
    data: tuple[DataSummary, ...] = ()
    resolved: tuple[ResolvedRun, ...] = ()

    @property
    def runs(self) -> list[tuple[PlannedRun, ResolvedRun]]:
        """The specified and the resolved runs."""
        return list(zip(self.planned, self.resolved, strict=True))

    @property
    def kinds(self) -> Mapping[str, type[OutputKind]]:
        """The kinds of output that the study can use."""
        return self.loaded.extension.kinds

    @property
    def classes(self) -> Classes | None:
        """The three classes of the scale: two similar ones and a different one."""
        return self.study.scales[self.request.scale].classes  # pyright: ignore[reportArgumentType]

    def available(self) -> dict[str, Output]:
        """Return the outputs that can be shown, by name."""
        outputs = {name: self.study.outputs[name] for name in self.outputs}
        return {name: output for name, output in outputs.items() if output.unavailable is None}

    def numbers(self) -> Iterator[tuple[CellKey, str]]:
        """Yield all pairs of cell and metric that the outputs and their claims need as one number for each run."""
        for output in self.available().values():
            if self.kinds[output.kind].per_run:
                names = [*output.metrics, *([output.x] if output.x is not None else [])]
                yield from product(cells(self.study, output, self.request.scale), names)
        for claim in self.study.claims:
            if claim.output in self.outputs:
                for term in claim.terms:
                    yield from ((key, term.metric) for key in term_cells(self.study, term, self.request.scale))

    def traces(self) -> Iterator[tuple[CellKey, str]]:
        """Yield all pairs of cell and metric that the outputs need as one number for each epoch of each run."""
        for output in self.available().values():
            if self.kinds[output.kind].per_epoch:
                yield from product(cells(self.study, output, self.request.scale), output.metrics)

    def with_tables(self, tables: Collection[DataSpec]) -> Self:
        """Return the plan without augmentation for the runs on these data, which are tables."""
        planned = tuple(without_augmentation([item])[0] if item.run.data in tables else item for item in self.planned)
        return self if planned == self.planned else replace(self, planned=planned, differs=(*self.differs, TABLE))

    def with_data(self, data: Sequence[DataSummary]) -> Self:
        """Return the plan with summaries of its data, and with three classes that all of the data have.

        Classes of the scale that the data lack are replaced by the first ones that the scale does not name.
        """
        made, size = replace(self, data=tuple(data)), min((one.num_classes for one in data), default=0)
        if self.classes is None or size < len(self.classes) or max(self.classes) < size:
            return made
        kept = [label for label in self.classes if label < size]
        chosen = tuple([*kept, *(label for label in range(size) if label not in kept)][: len(self.classes)])
        scale = self.study.scales[self.request.scale].changed(classes=chosen)  # pyright: ignore[reportArgumentType]
        study = self.study.model_copy(update={"scales": {**self.study.scales, self.request.scale: scale}})
        named = ", ".join(map(str, chosen))
        note = f"The three classes shown are those with the numbers {named}: the data have only {size} classes."
        return replace(made, study=study, differs=(*self.differs, note))


def draft(request: StudyRequest) -> StudyPlan:
    """Load a study and expand the request, without reading data.

    Raises:
        InputError: an invalid study, output or scale.
    """
    loaded = load_study(find(request.study))
    outputs = select_outputs(loaded.study, request.output)
    study = loaded.study.seen_from(request.output)
    check_scale(study, request.scale)
    planned = expand(study, request.scale, outputs, seeds=request.seeds, data=request.choice, places=request.places)
    return StudyPlan(request, loaded, study, outputs, tuple(planned), differences(study, request.scale, request.choice))


def make_plan(request: StudyRequest, store: RunStore) -> StudyPlan:
    """Plan a study on the available data: read them and resolve all runs.

    Raises:
        InputError: an invalid study, output, scale, data set, column or label.
    """
    return on_its_data(draft(request), store)


def on_its_data(made: StudyPlan, store: RunStore) -> StudyPlan:
    """Return a plan with its data, which are read, and its runs, which are resolved.

    Raises:
        InputError: an invalid data set, column or label.
    """
    forget_changed()
    data = {spec: summarise(spec, store) for spec in dict.fromkeys(item.run.data for item in made.planned)}
    made = made.with_tables([spec for spec, summary in data.items() if len(summary.input_shape) == 1])
    resolved = resolve_all([item.run for item in made.planned], store)
    return replace(made.with_data(tuple(data.values())), resolved=tuple(resolved))


def check_packages(made: StudyPlan) -> None:
    """Require the packages without which the runs of a plan could be trained, but not measured.

    Raises:
        InputError: naming the first one that is missing.
    """
    if any(item.run.data.target is not None for item in made.planned):
        bleu_metric()


def recorded_plan(request: StudyRequest, store: RunStore) -> StudyPlan | None:
    """Plan a report from finished runs with the same specifications, of any machine and any copy of the data.

    Returns:
        None if no run of the study is finished.
    """
    made = draft(request)
    recorded = {run.run: run for run in store.recorded() if run.recipe == RECIPE}
    whole = [item.run.data for item in made.planned if item.run in recorded]
    bare = [item.run.data for item in without_augmentation(made.planned) if item.run in recorded]
    made = made.with_tables([data for data in bare if data not in whole])
    known = [recorded[item.run] for item in made.planned if item.run in recorded]
    data: dict[DataSpec, DataSummary] = {}
    for run in known:
        if run.run.data not in data and (result := store.result(run.identity)) is not None:
            told = {
                **result["data"],
                "input_shape": tuple(result["data"]["input_shape"]),
                "fingerprint": run.fingerprint,
            }
            data[run.run.data] = DataSummary(**{field.name: told[field.name] for field in fields(DataSummary)})
    if not data:
        return None
    # missing runs refer to the copy of the data that the other runs used
    stand_ins = {run.run.data: run for run in reversed(known)}
    resolved = (
        recorded.get(item.run, stand_ins.get(item.run.data, known[0]).changed(run=item.run)) for item in made.planned
    )
    return replace(made.with_data(tuple(data.values())), resolved=tuple(resolved))


def resolve_all(runs: Sequence[RunSpec], store: RunStore) -> list[ResolvedRun]:
    """Resolve runs; each data set is read once."""
    data_sets = dict.fromkeys(data for run in runs for data in (run.data, *sorted(run.data_sets(), key=repr)))
    prints = {data: fingerprint(data, cache=store.cache) for data in data_sets}
    return [resolve(run, prints[run.data], prints) for run in runs]


def summarise(data: DataSpec, store: RunStore) -> DataSummary:
    """Load and check a data set, and return its summary."""
    dataset = load_cached(data, str(store.cache))
    return DataSummary(
        name=printable(dataset.name),
        fingerprint=dataset.fingerprint,
        num_classes=dataset.num_classes,
        input_shape=dataset.input_shape,
        sizes={split: len(rows) for split, rows in dataset.splits.items()},
    )
