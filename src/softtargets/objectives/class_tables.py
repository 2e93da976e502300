"""Class tables: a soft label for each class, given or computed from what is known about the classes."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from softtargets import targets
from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative
from softtargets.objectives.context import Batch, ObjectiveContext, TrainingData
from softtargets.objectives.files import read_class_table, read_tree, square
from softtargets.objectives.hierarchy import Tree, tree_distances
from softtargets.objectives.objective import objective
from softtargets.objectives.target_rules import TargetRule

Path = Annotated[str, Field(min_length=1)]
# a square table: the path of a file, or its rows
Rows = Path | tuple[tuple[float, ...], ...]


class TableRule(TargetRule):
    """Base class of target rules that replace each label by the soft label of its class."""

    _table: Tensor = PrivateAttr()

    @abstractmethod
    def table_of(self, context: ObjectiveContext, data: TrainingData) -> Tensor:
        """Return the class table, (K, K)."""

    def begin(self, context: ObjectiveContext) -> None:
        table = self.table_of(context, context.require_data(self.name))
        self._table = table.float().to(context.device)

    def targets_of(self, batch: Batch, generator: torch.Generator) -> targets.Targets:
        return targets.from_table(batch.labels, self._table)


def _given(argument: str, given: str | tuple[tuple[float, ...], ...], data: TrainingData) -> Tensor:
    """Return a table from a file or from the specification, (K, K) float64."""
    if isinstance(given, str):
        return read_class_table(argument, given, data.class_names)
    return square(argument, given, data.class_names, "the specification")


def _require(argument: str, table: Tensor, bad: Tensor, required: str, data: TrainingData) -> None:
    index = first_bad(bad)
    if index is not None:
        row = data.class_names[index[0]]
        place = f"the row of '{row}'" + (f", column of '{data.class_names[index[1]]}'" if len(index) > 1 else "")
        raise fail(argument, required, f"{table[index].item():g} in {place}", "fix that row")


@objective("class_table")
class ClassTable(TableRule):
    """Class table: the label is replaced by its row of a table, such as asymmetric or structured smoothing.

    `table` is the path of a file, or K rows of K numbers in the order of the classes. In a CSV or Parquet file the
    columns are named after the classes. Rows are probabilities, unless `strict` is false.
    """

    pages: ClassVar[Mapping[str, str]] = {"class-tables": 'table = "table.csv"'}
    places: ClassVar[tuple[str, ...]] = ("table",)

    table: Rows
    strict: bool = True

    def table_of(self, context: ObjectiveContext, data: TrainingData) -> Tensor:
        argument = "objective.table"
        table = _given(argument, self.table, data)
        if self.strict:
            _require(argument, table, table < 0, "numbers of at least 0, unless strict = false", data)
            sums = table.sum(1)
            _require(argument, sums, (sums - 1).abs() > 1e-5, "rows that sum to 1, unless strict = false", data)
        return table


@objective("hierarchical_smoothing")
class HierarchicalSmoothing(TableRule):
    """Hierarchical smoothing: classes that are closer in a tree get more of the label's mass (Bertinetto et al. 2020).

    `hierarchy` is the path of a .toml or .json file, or nested tables whose innermost values are lists of class names
    or indices. The distance of two classes is the height of their lowest common ancestor divided by the height of the
    tree. Instead of a hierarchy, `distance` gives the distances as a file or as K rows of K numbers.
    """

    pages: ClassVar[Mapping[str, str]] = {"hierarchical-smoothing": 'hierarchy = "tree.toml"'}
    places: ClassVar[tuple[str, ...]] = ("hierarchy", "distance")

    hierarchy: Tree | None = None
    distance: Rows | None = None
    sharpness: NonNegative = 10.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.hierarchy is None) == (self.distance is None):
            got = "neither" if self.hierarchy is None else "both"
            raise fail("hierarchy", "either this or distance", got, "give one of the two")
        return self

    def table_of(self, context: ObjectiveContext, data: TrainingData) -> Tensor:
        if self.distance is not None:
            distance = _given("objective.distance", self.distance, data)
            _require("objective.distance", distance, distance < 0, "distances of at least 0", data)
        elif isinstance(self.hierarchy, str):
            tree = read_tree("objective.hierarchy", self.hierarchy)
            distance = tree_distances("objective.hierarchy", tree, data.class_names, self.hierarchy)
        else:
            distance = tree_distances("objective.hierarchy", self.hierarchy, data.class_names, "the specification")
        return targets.hierarchical_table(distance, sharpness=self.sharpness)


@objective("localized_smoothing")
class LocalizedSmoothing(TableRule):
    """Localized smoothing: for ordered classes, the classes next to the label share the smoothing (our formulation).

    The order is that of the class indices.
    """

    pages: ClassVar[Mapping[str, str]] = {"localized-smoothing": ""}

    smoothing: Fraction = 0.1
    width: Annotated[int, Field(ge=1)] = 1

    def table_of(self, context: ObjectiveContext, data: TrainingData) -> Tensor:
        return targets.localized_table(context.num_classes, smoothing=self.smoothing, width=self.width)


@objective("confusion_smoothing")
class ConfusionSmoothing(TableRule):
    """Confusion smoothing: the classes with which a class is confused share the smoothing (our formulation).

    `counts` is the confusion matrix of a model on held-out data, as a file or as K rows of K numbers: row y, column k
    counts examples of class y that were predicted as class k.
    """

    pages: ClassVar[Mapping[str, str]] = {"confusion-smoothing": 'counts = "confusion.csv"'}
    places: ClassVar[tuple[str, ...]] = ("counts",)

    counts: Rows
    smoothing: Fraction = 0.1

    def table_of(self, context: ObjectiveContext, data: TrainingData) -> Tensor:
        counts = _given("objective.counts", self.counts, data)
        _require("objective.counts", counts, counts < 0, "counts of at least 0", data)
        return targets.confusion_table(counts, smoothing=self.smoothing)
