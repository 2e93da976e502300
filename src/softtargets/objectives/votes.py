"""Human soft labels: the votes of several annotators for each example."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import torch
from pydantic import model_validator

from softtargets import targets
from softtargets._errors import fail
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import objective
from softtargets.objectives.target_rules import TargetRule


@objective("votes")
class Votes(TargetRule):
    """Cross entropy against annotators' votes, which may be smoothed or replaced by their majority.

    The votes are those of `data.votes`, `data.annotators` or `data.votes_file`. With `aggregation` "shares", the target
    is the share of votes for each class, after `pseudo_count` is added to each number; without a pseudo-count it is
    that of `cross_entropy`. With "majority" it is the most frequent class; of several, the first. In a data set without
    votes, each row has one vote for its label.
    """

    pages: ClassVar[Mapping[str, str]] = {"annotator-votes": "pseudo_count = 0.1"}

    aggregation: Literal["shares", "majority"] = "shares"
    pseudo_count: NonNegative = 0.0

    @model_validator(mode="after")
    def _counts_are_of_shares(self) -> Self:
        if self.aggregation == "majority" and self.pseudo_count:
            raise fail("pseudo_count", "0 with aggregation = 'majority'", f"{self.pseudo_count:g}", "drop one of them")
        return self

    @property
    def takes_votes(self) -> bool:
        return True

    def targets_of(self, batch: Batch, generator: torch.Generator) -> targets.Targets:
        if self.aggregation == "majority":
            return targets.hard(batch.labels)
        counts = batch.votes
        if counts is None:
            counts = torch.nn.functional.one_hot(batch.labels, self._context.num_classes).float()
        return targets.votes(counts + self.pseudo_count)
