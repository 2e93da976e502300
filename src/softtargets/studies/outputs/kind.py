"""The base class of the kinds of output. Subclasses are found in this package and in the module of a study."""

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
    """A kind of output. An instance contains the data of one output of a study.

    Subclasses are frozen dataclasses with defaults for all fields; an instance without arguments shows nothing.

    Attributes:
        kind: the name in ``study.toml``, set by :func:`output_kind`.
        metrics: the metrics that an output of this kind can name.
        per_run: whether the metrics are one number for each run; they are then measured and also shown as a table.
        per_epoch: whether the metrics are one number for each epoch of a run.
        takes_splits: whether outputs name splits of the data.
        takes_x: whether outputs must name a metric for the horizontal axis.
        takes_spread: whether outputs can choose what whiskers and bands show.
        takes_minus: whether outputs can name arms whose values are subtracted.
        needs_classes: what requires three classes, in words; empty text if nothing does.
    """

    kind: ClassVar[str]
    metrics: ClassVar[Collection[str]] = MEASURES
    per_run: ClassVar[bool] = True
    per_epoch: ClassVar[bool] = False
    takes_splits: ClassVar[bool] = False
    takes_x: ClassVar[bool] = False
    takes_spread: ClassVar[bool] = False
    takes_minus: ClassVar[bool] = False
    needs_classes: ClassVar[str] = ""

    @classmethod
    def check(cls, place: str, output: Output, study: Study) -> None:
        """Check requirements of this kind on an output; `place` names the output in errors."""

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        """Return the data that an output shows in addition to the metrics of its cells."""
        return cls()

    @abstractmethod
    def draw(self, results: StudyResults, output: Output) -> Drawing | None:
        """Draw the output; None if it is not a figure."""

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the numbers of the figure that are not metrics of runs; None if there are none."""
        return None


Kind = TypeVar("Kind", bound=type[OutputKind])


def output_kind(name: str) -> Callable[[Kind], Kind]:
    """Return a decorator that sets the name of an output kind."""

    def register(kind: Kind) -> Kind:
        kind.kind = name
        return kind

    return register


def kinds_in(module: ModuleType) -> dict[str, type[OutputKind]]:
    """Return the output kinds in a module, by name."""
    classes = [found for found in vars(module).values() if isinstance(found, type) and issubclass(found, OutputKind)]
    return {found.kind: found for found in classes if "kind" in vars(found)}
