"""A study as it was asked for, and where in it what is shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from softtargets._spec import Classes
from softtargets.runs.spec import ResolvedRun
from softtargets.studies.expand import PlannedRun, cell, term_cells
from softtargets.studies.results import CellKey, DataSummary, Reported
from softtargets.studies.schema import Output, Study


@dataclass(frozen=True)
class StudyPlan:
    """A study as it was asked for, with every run resolved; `runs` pairs them with their places.

    `data` are the data sets of the runs, each once.
    """

    study: Study
    scale: str
    outputs: tuple[str, ...]
    command: str
    data: tuple[DataSummary, ...]
    differs: tuple[str, ...]
    reported: tuple[Reported, ...]
    runs: tuple[tuple[PlannedRun, ResolvedRun], ...]

    @property
    def classes(self) -> Classes | None:
        """The three classes of the scale: two that are alike, and a third."""
        return self.study.scales[self.scale].classes  # pyright: ignore[reportArgumentType]

    def shown(self, kind: str | None = None) -> list[Output]:
        """Return the outputs asked for, of a kind or of any."""
        outputs = (self.study.outputs[name] for name in self.outputs)
        return [output for output in outputs if output.unavailable is None and kind in (None, output.kind)]

    def cells(self, output: Output) -> list[CellKey]:
        """Return every cell of an output once."""
        levels = {arm: self.study.arm_levels(arm, output, self.scale) for arm in output.arms}
        places = [(noise, arm, level) for noise, arm in product(output.noise, output.arms) for level in levels[arm]]
        return list(dict.fromkeys(cell(self.study, arm, level, noise) for noise, arm, level in places))

    def numbers(self) -> Iterator[tuple[CellKey, str]]:
        """Yield every cell and metric that the outputs and their claims hold as one number per run."""
        for output in self.shown():
            if output.kind != "trace":
                names = [*output.metrics, *([output.x] if output.x is not None else [])]
                yield from product(self.cells(output), names)
        for claim in self.study.claims:
            if claim.output in self.outputs:
                for term in claim.terms:
                    yield from ((key, term.metric) for key in term_cells(self.study, term, self.scale))
