"""Human soft labels: the votes of several annotators for each example."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from softtargets import targets
from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.files import read_annotators, read_votes
from softtargets.objectives.objective import objective
from softtargets.objectives.target_rules import TargetRule

Columns = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


@objective("votes")
class Votes(TargetRule):
    """Annotator votes: the target of an example is its share of votes for each class (Peterson et al. 2019).

    `file` has one row for each row of the data set's own training part, in its order. A Parquet or CSV file has a
    column of counts or probabilities for each class, named after it or given by `columns` in the order of the classes
    (or `columns` names one column of lists), or `annotators` names one column of labels for each annotator, where -1 is
    no label. A JSON file has a list of lists, or of tables from class names to counts. `pseudo_count` is added to each
    number, which smooths the shares.
    """

    pages: ClassVar[Mapping[str, str]] = {"annotator-votes": 'file = "votes.csv"'}
    places: ClassVar[tuple[str, ...]] = ("file",)

    file: str = Field(min_length=1)
    columns: Columns | None = None
    annotators: Columns | None = None
    pseudo_count: NonNegative = 0.0
    _votes: Tensor = PrivateAttr()

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.columns is not None and self.annotators is not None:
            raise fail("columns", "either this or annotators", "both", "drop one of the two")
        return self

    def begin(self, context: ObjectiveContext) -> None:
        data, argument = context.require_data(self.name), "objective.file"
        if self.annotators is None:
            votes = read_votes(argument, self.file, self.columns, data.class_names)
        else:
            votes = read_annotators(argument, self.file, self.annotators, data.class_names)
        if len(votes) != len(data.source):
            required = f"{len(data.source)} rows, one for each training row of the data set"
            got = f"{len(votes)} in {self.file}"
            raise fail(argument, required, got, "give the votes for this data set, in its order")
        self._check(votes, data.class_names)
        votes = votes + self.pseudo_count
        bare = first_bad(votes.sum(1) == 0)
        if bare is not None:
            got = f"none in {self.file}, row {bare[0]}"
            raise fail(argument, "a vote in every row", got, "add a vote, or set pseudo_count")
        self._votes = torch.zeros(context.num_examples, context.num_classes, device=context.device)
        self._votes[data.source.to(context.device)] = votes.float().to(context.device)

    def _check(self, votes: Tensor, class_names: tuple[str, ...]) -> None:
        bad = first_bad(~(votes.isfinite() & (votes >= 0)))
        if bad is not None:
            got = f"{votes[bad].item():g} in {self.file}, row {bad[0]}, class '{class_names[bad[1]]}'"
            raise fail("objective.file", "finite numbers of at least 0", got, "fix that row")

    def targets_of(self, batch: Batch, generator: torch.Generator) -> targets.Targets:
        return targets.votes(self._votes[batch.ids])
