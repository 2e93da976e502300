"""What is known of a study, all of it computed: what the page, the JSON and the command line show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from softtargets.studies.answer import Answered
from softtargets.studies.records import (
    VERDICTS,
    CellKey,
    CellRecord,
    DataSummary,
    Reported,
    Summary,
    Verdict,
    VerdictName,
)
from softtargets.studies.schema import Study


@dataclass(frozen=True)
class StudyResults:
    """The results of a study.

    Args:
        study: as it was written down.
        scale: smoke, desk or paper.
        outputs: names of those asked for.
        command: repeats the study.
        data: the data sets of the runs; none where nothing is trained.
        differs: what is not as in the paper.
        cells: the runs.
        verdicts: of the claims of these outputs, in the order of the study.
        reported: the paper's numbers.
        shown: for each output, by name, what its kind gathered: an instance of a subclass of
            :class:`softtargets.studies.outputs.kind.OutputKind`.
        answer: to the study's question; None where it asks none or no claim of the answer was judged.
    """

    study: Study
    scale: str
    outputs: tuple[str, ...]
    command: str
    data: tuple[DataSummary, ...]
    differs: tuple[str, ...]
    cells: tuple[CellRecord, ...]
    verdicts: tuple[Verdict, ...]
    reported: tuple[Reported, ...]
    shown: Mapping[str, Any] = field(default_factory=dict)
    answer: Answered | None = None

    def __repr__(self) -> str:
        claims = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count) or "none"
        return f"<StudyResults of {self.study.name} at {self.scale} scale: {len(self.cells)} runs; claims: {claims}>"

    @property
    def counts(self) -> dict[VerdictName, int]:
        """How many claims got which verdict."""
        return {name: sum(verdict.name == name for verdict in self.verdicts) for name in VERDICTS}

    @property
    def failures(self) -> dict[str, CellRecord]:
        """The failed runs by their identity."""
        return {cell.run_id: cell for cell in self.cells if cell.status == "failed"}

    def records(self, key: CellKey) -> list[CellRecord]:
        """Return the runs of one cell, by seed."""
        return sorted((cell for cell in self.cells if cell.key == key), key=lambda cell: cell.seed)

    def summary(self, key: CellKey, metric: str) -> Summary | None:
        """Summarise a metric over the complete runs of a cell; None where there is none or one lacks the metric."""
        complete = [cell for cell in self.records(key) if cell.status == "complete"]
        if not complete or any(metric not in cell.metrics for cell in complete):
            return None
        values = [cell.metrics[metric] for cell in complete]
        mean = sum(values) / len(values)
        spread = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0
        return Summary(mean, spread, len(values))

    def find_reported(self, output: str, key: CellKey, metric: str) -> list[Reported]:
        """Return the paper's numbers for a cell of an output, one per data set and model."""
        return [r for r in self.reported if (r.output, r.key, r.metric) == (output, key, metric)]
