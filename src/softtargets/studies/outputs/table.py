"""A table: the metrics of its cells, and nothing drawn."""

from dataclasses import dataclass

from softtargets.report.drawing import Drawing
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output


@output_kind("table")
@dataclass(frozen=True)
class TableOutput(OutputKind):
    """Numbers of the runs as a table, which the page lays out for every kind that has metrics."""

    def draw(self, results: StudyResults, output: Output) -> Drawing | None:
        return None
