"""The result of an evaluation against votes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from softtargets.evaluate.values import IntervalEnds, MetricValue

_SINGLE, _SEVERAL = ("ids", "labels", "share", "entropy"), ("predicted", "agreement", "nll")


@dataclass(frozen=True)
class VoteScores:
    """Expected scores against a label drawn from the votes of each row.

    Args:
        metrics: accuracy, NLL, Brier score and ECE.
        divergence: NLL minus the mean entropy of the votes, the mean Kullback-Leibler divergence in nats; can be
            infinite.
        divergence_interval: None if there is none.
    """

    metrics: tuple[MetricValue, ...]
    divergence: float
    divergence_interval: IntervalEnds | None

    def metric(self, name: str) -> MetricValue:
        """Return a metric."""
        return next(metric for metric in self.metrics if metric.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, with the metrics by name."""
        ends = None if self.divergence_interval is None else list(self.divergence_interval)
        metrics = {metric.name: metric.to_dict() for metric in self.metrics}
        return {"metrics": metrics, "divergence": self.divergence, "divergence_interval": ends}


@dataclass(frozen=True)
class ScaledVoteScores:
    """Scores after temperature scaling. Each fold is scaled by a temperature fitted on the other folds.

    Args:
        temperatures: one for each fold.
        scores: after scaling.
    """

    temperatures: tuple[float, ...]
    scores: VoteScores

    def to_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return {"temperatures": list(self.temperatures), **self.scores.to_dict()}


@dataclass(frozen=True)
class VoteEvaluation:
    """The evaluation of one model against votes.

    Args:
        rows: number of rows.
        ties: number of rows in which several classes have the most votes.
        unanimous: number of rows in which one class has all votes.
        entropies: number of rows by entropy, in cells of equal width from 0 to log K.
        least: the best value that any predictions can reach, for each of the metrics.
        scores: of the predictions as given.
        by_votes: after a temperature fitted on the votes; None if none was fitted.
        by_majority: after a temperature fitted on the most frequent class of each row; None if none was fitted.
    """

    rows: int
    ties: int
    unanimous: int
    entropies: tuple[int, ...]
    least: dict[str, float]
    scores: VoteScores
    by_votes: ScaledVoteScores | None = None
    by_majority: ScaledVoteScores | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields."""
        scaled = {name: getattr(self, name) for name in ("by_votes", "by_majority")}
        plain = asdict(self) | {"entropies": list(self.entropies), "scores": self.scores.to_dict()}
        return plain | {name: None if one is None else one.to_dict() for name, one in scaled.items()}


@dataclass(frozen=True, eq=False)
class VoteRows:
    """What the file ``votes.csv`` lists for each row.

    Args:
        ids: (n,) int64, index of the row.
        labels: (n,) int64, the most frequent class.
        share: (n,) float64, its share of the votes.
        entropy: (n,) float64, entropy of the votes in nats.
        predicted: (n,) int64 for each model, the most likely class.
        agreement: (n,) float64 for each model, the share of votes for that class.
        nll: (n,) float64 for each model, expected NLL.
        complete: whether all rows are listed.
    """

    ids: Tensor
    labels: Tensor
    share: Tensor
    entropy: Tensor
    predicted: tuple[Tensor, ...]
    agreement: tuple[Tensor, ...]
    nll: tuple[Tensor, ...]
    complete: bool

    @classmethod
    def joined(cls, parts: Sequence[Self], *, complete: bool) -> Self:
        """Return the rows of several parts as one."""
        ids, labels, share, entropy = (torch.cat([getattr(part, name) for part in parts]) for name in _SINGLE)
        predicted, agreement, nll = (
            tuple(torch.cat(columns) for columns in zip(*(getattr(part, name) for part in parts), strict=True))
            for name in _SEVERAL
        )
        return cls(ids, labels, share, entropy, predicted, agreement, nll, complete)
