"""The results of a study, as shown by the page, the JSON file, the command line and the Python API."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from softtargets.report.encoding import finite
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

SCHEMA_VERSION = 3
# Fields of a verdict, in addition to those of its claim, and of a run in results.json.
_FOUND = ("estimate", "low", "high", "p", "confidence", "n", "reason", "family")
_OF_RUN = ("seed", "run_id", "status", "reason", "seconds", "metrics")


@dataclass(frozen=True, eq=False, repr=False)
class StudyResults:
    """The results of a study.

    Args:
        study: the study.
        scale: smoke, desk or paper.
        outputs: names of the selected outputs.
        command: repeats the study.
        data: the data sets of the runs; empty if nothing is trained.
        differs: differences from the paper.
        cells: the runs, and the combinations of runs.
        verdicts: verdicts of the claims of these outputs, in the order of the study.
        reported: the numbers of the paper.
        shown: the data of each output by name: an instance of a subclass of
            :class:`softtargets.studies.outputs.kind.OutputKind`.
        answer: answer to the question of the study; None without a question, or if none of its claims was judged.
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
        return f"<StudyResults of {self.study.name} at {self.scale} scale: {len(self.runs)} runs; claims: {claims}>"

    @property
    def runs(self) -> tuple[CellRecord, ...]:
        """The runs, without the combinations of runs."""
        return tuple(cell for cell in self.cells if not cell.members)

    @property
    def counts(self) -> dict[VerdictName, int]:
        """Number of claims by verdict."""
        return {name: sum(verdict.name == name for verdict in self.verdicts) for name in VERDICTS}

    @property
    def failures(self) -> dict[str, CellRecord]:
        """The failed runs by identity."""
        return {cell.run_id: cell for cell in self.runs if cell.status == "failed"}

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``results.json``: verdicts, a summary of each cell, and all runs, as plain data.

        Numbers that are not finite are None.
        """
        data = {
            "schema_version": SCHEMA_VERSION,
            "study": self.study.name,
            "title": self.study.title,
            "scale": self.scale,
            "outputs": list(self.outputs),
            "command": self.command,
            "data": [asdict(data) for data in self.data],
            "verdicts": [_verdict_data(verdict) for verdict in self.verdicts],
            "cells": [self._cell_data(key) for key in dict.fromkeys(record.key for record in self.cells)],
            "reported": [{**asdict(number), "key": number.key._asdict()} for number in self.reported],
        }
        return finite(data)

    def _cell_data(self, key: CellKey) -> dict[str, Any]:
        records = self.records(key)
        names = sorted({name for record in records for name in record.metrics})
        summaries = {name: summary for name in names if (summary := self.summary(key, name)) is not None}
        return {
            **key._asdict(),
            "summaries": {name: asdict(summary) for name, summary in summaries.items()},
            "runs": [{name: getattr(record, name) for name in _OF_RUN} for record in records],
        }

    def records(self, key: CellKey) -> list[CellRecord]:
        """Return the runs of a cell, ordered by seed."""
        return sorted((cell for cell in self.cells if cell.key == key), key=lambda cell: cell.seed)

    def summary(self, key: CellKey, metric: str) -> Summary | None:
        """Summarise a metric over the complete runs of a cell; None if there are none or one lacks the metric."""
        complete = [cell for cell in self.records(key) if cell.status == "complete"]
        if not complete or any(metric not in cell.metrics for cell in complete):
            return None
        values = [cell.metrics[metric] for cell in complete]
        mean = sum(values) / len(values)
        spread = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0
        return Summary(mean, spread, len(values), min(values), max(values))

    def find_reported(self, output: str, key: CellKey, metric: str) -> list[Reported]:
        """Return the numbers of the paper for a cell of an output, one for each data set and model."""
        return [r for r in self.reported if (r.output, r.key, r.metric) == (output, key, metric)]


def _verdict_data(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    told = {"claim": claim.id, "quote": claim.quote, "where": claim.where, "output": claim.output}
    return {**told, "verdict": verdict.name, **{name: getattr(verdict, name) for name in _FOUND}}
