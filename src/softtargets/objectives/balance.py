"""What keeps pseudo-labels from favouring a few classes: state that follows the predictions of unlabelled rows."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

from softtargets import targets
from softtargets.objectives.context import ObjectiveContext

# Weight of earlier batches in the running mean of predictions, which then covers about 100 batches; ReMixMatch has 128.
MOMENTUM = 0.99

Name = Literal["alignment", "thresholds"]


class Balance(ABC):
    """State that changes predictions of unlabelled rows, or the thresholds that they are compared with."""

    @abstractmethod
    def observe(self, probs: Tensor, ids: Tensor, unlabelled: Tensor) -> None:
        """Update the state from the predictions of a batch.

        Args:
            probs: (N, K) predicted probabilities, without gradient.
            ids: (N,) int64 rows of the data set.
            unlabelled: (N,) bool.
        """

    def probs(self, probs: Tensor) -> Tensor:
        """Return (N, K) balanced probabilities."""
        return probs

    def threshold(self, threshold: float) -> float | Tensor:
        """Return the threshold, or (K,) that of each class."""
        return threshold

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the state, which is changed in place."""


class Alignment(Balance):
    """Distribution alignment by a running mean of predictions; :func:`softtargets.targets.align_distribution`."""

    def __init__(self, context: ObjectiveContext) -> None:
        counts = context.require_data("balance = 'alignment'").class_counts.double()
        self._prior = (counts / counts.sum()).float().to(context.device)
        self._sum = torch.zeros(context.num_classes, device=context.device)
        self._weight = torch.zeros((), device=context.device)

    def observe(self, probs: Tensor, ids: Tensor, unlabelled: Tensor) -> None:
        share = unlabelled.to(probs.dtype)
        count = share.sum()
        there = (count > 0).to(probs.dtype)  # a batch without such rows changes nothing
        momentum = 1 - (1 - MOMENTUM) * there
        mean = (share[:, None] * probs).sum(0) / count.clamp(min=1)
        self._sum.mul_(momentum).add_((1 - momentum) * mean)
        self._weight.mul_(momentum).add_(1 - momentum)

    def probs(self, probs: Tensor) -> Tensor:
        uniform = torch.full_like(self._sum, 1 / len(self._sum))
        running = torch.where(self._weight > 0, self._sum / self._weight.clamp(min=1e-12), uniform)
        return targets.align_distribution(probs, running / running.sum(), prior=self._prior)

    def tensors(self) -> dict[str, Tensor]:
        return {"sum": self._sum, "weight": self._weight}


class Thresholds(Balance):
    """Thresholds by class, from the last prediction of each row; :func:`softtargets.targets.class_thresholds`."""

    def __init__(self, context: ObjectiveContext, threshold: float) -> None:
        self._least = threshold
        data = context.require_data("balance = 'thresholds'")
        # of the K classes, and of the rows that are not predicted with confidence yet
        self._counts = torch.zeros(context.num_classes + 1, device=context.device)
        self._counts[-1] = len(data.train) - len(data.labelled_train)
        self._last = torch.full((context.num_examples,), context.num_classes, device=context.device)

    def observe(self, probs: Tensor, ids: Tensor, unlabelled: Tensor) -> None:
        confidence, predicted = probs.max(-1)
        before = self._last[ids]
        now = torch.where(unlabelled & (confidence >= self._least), predicted, before)
        one = unlabelled.to(self._counts.dtype)
        self._counts.index_add_(0, before, -one).index_add_(0, now, one)
        self._last[ids] = now

    def threshold(self, threshold: float) -> Tensor:
        return targets.class_thresholds(self._counts[:-1].clamp(min=0), maximum=threshold, undecided=self._counts[-1])

    def tensors(self) -> dict[str, Tensor]:
        return {"counts": self._counts, "last": self._last}


def balance_of(name: Name, context: ObjectiveContext, threshold: float) -> Balance:
    """Return the state of a balance at the beginning of training."""
    return Alignment(context) if name == "alignment" else Thresholds(context, threshold)
