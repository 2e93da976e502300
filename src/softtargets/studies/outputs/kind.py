"""What a kind of output is. Its subclasses are found where they are defined, in this package or a study's module."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from types import ModuleType
from typing import ClassVar, Self, TypeVar

from softtargets.measures import MEASURES
from softtargets.report.drawing import Drawing
from softtargets.report.plain import PlainTable
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output, Study


class OutputKind(ABC):
    """A kind of output. An instance holds the data of one output of a study.

    Subclasses are frozen dataclasses whose fields have defaults: without arguments they show nothing.

    Attributes:
        kind: the name that ``study.toml`` calls it by, set by :func:`output_kind`.
        metrics: what an output of this kind may name as metrics.
        per_run: whether its metrics are one number per run, to be measured and shown as a table too.
        takes_splits: whether it is of splits of the data.
        takes_x: whether it has a metric along its axis, which it then must name.
        needs_classes: what of it needs three classes, in words; empty: nothing.
    """

    kind: ClassVar[str]
    metrics: ClassVar[Collection[str]] = MEASURES
    per_run: ClassVar[bool] = True
    takes_splits: ClassVar[bool] = False
    takes_x: ClassVar[bool] = False
    needs_classes: ClassVar[str] = ""

    @classmethod
    def check(cls, place: str, output: Output, study: Study) -> None:
        """Require what only this kind requires of an output; `place` names the output in errors."""

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        """Return what an output shows beside the metrics of its cells."""
        return cls()

    @abstractmethod
    def draw(self, results: StudyResults, output: Output) -> Drawing | None:
        """Draw the output; None where it is no figure."""

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the numbers of the figure that are none of the runs' metrics; None where there are none."""
        return None


Kind = TypeVar("Kind", bound=type[OutputKind])


def output_kind(name: str) -> Callable[[Kind], Kind]:
    """Return a decorator that gives an output kind its name."""

    def register(kind: Kind) -> Kind:
        kind.kind = name
        return kind

    return register


def kinds_in(module: ModuleType) -> dict[str, type[OutputKind]]:
    """Return the output kinds that a module has, by name."""
    classes = [found for found in vars(module).values() if isinstance(found, type) and issubclass(found, OutputKind)]
    return {found.kind: found for found in classes if "kind" in vars(found)}
