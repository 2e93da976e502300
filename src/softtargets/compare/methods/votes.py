"""Other targets than the shares of the votes, where labels are votes."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from softtargets.compare.methods.method import ComparedMethod, compared


@compared("majority", place=14)
class MajorityOfVotes(ComparedMethod):
    """Cross entropy against the most frequent class of each row, in place of the shares of votes."""

    label = "cross entropy against the majority"
    objective: ClassVar[Mapping[str, Any]] = {"name": "votes", "aggregation": "majority"}
    of_votes = True


@compared("pseudo_counts", place=15)
class PseudoCountsOfVotes(ComparedMethod):
    """Cross entropy against the shares of votes after a constant is added to the number of each class."""

    label = "pseudo-count"
    objective: ClassVar[Mapping[str, Any]] = {"name": "votes"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"pseudo_count": (0.1, 0.03, 0.3)}
    of_votes = True
