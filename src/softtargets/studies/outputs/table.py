"""A table of the metrics of its cells, without a drawing."""

from dataclasses import dataclass

from softtargets.report.drawing import Drawing
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output


@output_kind("table")
@dataclass(frozen=True)
class TableOutput(OutputKind):
    """Metrics of the runs as a table. The page lays it out, as for every kind with metrics."""

    def draw(self, results: StudyResults, output: Output) -> Drawing | None:
        return None
