"""The training rows of an epoch: all of them, a bootstrap sample, or draws by the weights of boosting."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.dataset import Dataset
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.runs.streams import generator
from softtargets.train.streams import EpochStreams


@dataclass(frozen=True)
class SampledRows:
    """The training rows, and how an epoch takes them.

    Args:
        rows: (n,) int64, with repetitions in a bootstrap sample.
        weights: (n,) float64; an epoch draws rows with replacement by these. None: it takes every row once.
    """

    rows: Tensor
    weights: Tensor | None = None

    @classmethod
    def of(cls, resolved: ResolvedRun, dataset: Dataset, store: Path) -> "SampledRows":
        """Return the rows of a run, from the folder of the run store, which has the runs that it is boosted after.

        Raises:
            InputError: for a run that is boosted on data with rows that have no label.
        """
        rows, run = dataset.splits["train"], resolved.run
        if run.bootstrap is not None:
            stream, labelled = generator("bootstrap", run.bootstrap), dataset.labelled_train
            parts = [part for part in (labelled, rows[~torch.isin(rows, labelled)]) if len(part)]
            return cls(torch.cat([part[torch.randint(len(part), part.shape, generator=stream)] for part in parts]))
        if resolved.boosted_after is None:
            return cls(rows)
        if len(dataset.labelled_train) < len(rows):
            got = f"{len(rows) - len(dataset.labelled_train)} without one"
            raise fail("boosted_after", "training rows that all have a label", got, "drop these rows")
        return cls(rows, boosting_of([*boosted_before(resolved)], RunStore(store)).weights)

    def order(self, streams: EpochStreams) -> Tensor:
        """Return the rows of an epoch in their order, (n,) int64."""
        return streams.order(self.rows) if self.weights is None else streams.drawn(self.rows, self.weights)


@dataclass(frozen=True)
class Boosting:
    """The state of SAMME after some members.

    Args:
        weights: (n,) float64 of the training rows for the next member, with sum 1.
        votes: the weight alpha of each member's vote, at least 0.
        errors: the weighted training error of each member.
    """

    weights: Tensor
    votes: tuple[float, ...]
    errors: tuple[float, ...]


def boosted_before(resolved: ResolvedRun) -> tuple[ResolvedRun, ...]:
    """Return the runs that a run is boosted after, the first member first."""
    before = resolved.boosted_after
    return () if before is None else (*boosted_before(before), before)


def boosting_of(members: Sequence[ResolvedRun], store: RunStore) -> Boosting:
    """Return the state of SAMME after finished members, from what they recorded of the training rows."""
    wrong, num_classes = [], 2
    for member in members:
        recorded = read_predictions(store.path(member.identity))
        logits = recorded["train.logits"]
        num_classes = logits.shape[1]
        wrong.append(logits.argmax(1) != recorded["train.observed"])
    return samme(torch.stack(wrong), num_classes)


def samme(wrong: Tensor, num_classes: int) -> Boosting:
    """SAMME: the weights of examples and votes of boosted classifiers (Zhu et al. 2009).

    err_m = sum_i w_i [wrong_mi],  alpha_m = log((1 - err_m) / err_m) + log(K - 1),  w_i <- w_i exp(alpha_m [wrong_mi])

    The weights begin equal, and are divided by their sum after every member. Networks often have no training errors:
    err_m is taken as at least 1 / (2 n), so that a vote is finite, and the weights then stay as they are. A member with
    err_m >= (K - 1) / K is no better than chance. Its vote is 0, and it does not change the weights.

    Args:
        wrong: (M, n) bool, whether each member predicts another class than the label of each training row.
        num_classes: K.

    Example:
        >>> found = samme(torch.tensor([[True, False, False, False]]), num_classes=3)    # log(3) + log(2)
        >>> round(found.votes[0], 4), [round(weight, 4) for weight in found.weights.tolist()]
        (1.7918, [0.6667, 0.1111, 0.1111, 0.1111])
    """
    rows = wrong.shape[1]
    weights = torch.full((rows,), 1 / rows, dtype=torch.float64)
    votes: list[float] = []
    errors: list[float] = []
    for row in wrong:
        error = float(weights[row].sum())
        floored = max(error, 1 / (2 * rows))
        vote = max(0.0, math.log((1 - floored) / floored) + math.log(num_classes - 1)) if floored < 1 else 0.0
        weights = torch.where(row, weights * math.exp(vote), weights)
        weights = weights / weights.sum()
        votes.append(vote)
        errors.append(error)
    return Boosting(weights, tuple(votes), tuple(errors))
