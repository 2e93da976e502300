"""Objectives that keep targets of their own: one for every example, or one for every class."""

from typing import Any

from torch import Tensor

from softtargets import losses, targets
from softtargets.runs.objectives import EarlyLearningSpec, OnlineSmoothingSpec
from softtargets.train.objectives._protocol import Batch, Objective, Problem


class EarlyLearning(Objective):
    """Cross entropy and the early-learning penalty, with a running target for every example (Liu et al. 2020)."""

    def __init__(self, weight: float, running: targets.RunningTargets) -> None:
        self._weight = weight
        self._running = running

    def observe(self, batch: Batch, logits: Tensor) -> None:
        # Before the losses, as in the authors' code: the penalty sees this step's own prediction.
        self._running.observe(batch.ids, logits.float().softmax(-1))

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        penalty = losses.early_learning_penalty(logits, self._running.of(batch.ids))
        return losses.cross_entropy(logits, batch.labels) + self._weight * penalty

    def end_epoch(self, epoch: int) -> None:
        self._running.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        return self._running.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._running.load_state_dict(state)


class OnlineSmoothing(Objective):
    """Cross entropy against the class-wise soft labels of the last epoch (Zhang et al. 2021)."""

    def __init__(self, online: targets.OnlineSmoothing) -> None:
        self._online = online

    def observe(self, batch: Batch, logits: Tensor) -> None:
        self._online.observe(logits.float().softmax(-1), batch.labels)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, self._online.targets(batch.labels))

    def end_epoch(self, epoch: int) -> None:
        self._online.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        return self._online.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._online.load_state_dict(state)


def early_learning(spec: EarlyLearningSpec, problem: Problem) -> Objective:
    running = targets.RunningTargets(problem.num_examples, problem.num_classes, momentum=spec.momentum)
    return EarlyLearning(spec.weight, running)


def online_smoothing(spec: OnlineSmoothingSpec, problem: Problem) -> Objective:
    return OnlineSmoothing(targets.OnlineSmoothing(problem.num_classes, weight=spec.weight))
