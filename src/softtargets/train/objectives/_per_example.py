"""Objectives without state: each loss is a function of an example's logits and label."""

from collections.abc import Callable

from torch import Tensor

from softtargets import losses, targets
from softtargets.runs.objectives import (
    ActivePassiveSpec,
    BootstrappingSpec,
    ConfidencePenaltySpec,
    CrossEntropySpec,
    FocalSpec,
    GeneralizedCrossEntropySpec,
    MarginPenaltySpec,
    MeanAbsoluteErrorSpec,
    SymmetricCrossEntropySpec,
)
from softtargets.train.objectives._protocol import Batch, Objective, Problem

BOOTSTRAPPING_WEIGHTS = {"soft": 0.95, "hard": 0.8}


class PerExample(Objective):
    """A loss of logits and labels."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._loss = loss

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._loss(logits, batch.labels)


def cross_entropy(spec: CrossEntropySpec, problem: Problem) -> Objective:
    if spec.smoothing == 0:
        return PerExample(losses.cross_entropy)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        smoothed = targets.smooth(labels, spec.smoothing, num_classes=problem.num_classes, convention=spec.convention)
        return losses.cross_entropy(logits, smoothed)

    return PerExample(loss)


def generalized_cross_entropy(spec: GeneralizedCrossEntropySpec, problem: Problem) -> Objective:
    return PerExample(lambda logits, labels: losses.generalized_cross_entropy(logits, labels, q=spec.q))


def symmetric_cross_entropy(spec: SymmetricCrossEntropySpec, problem: Problem) -> Objective:
    return PerExample(
        lambda logits, labels: losses.symmetric_cross_entropy(
            logits, labels, cross_entropy_weight=spec.cross_entropy_weight, reverse_weight=spec.reverse_weight
        )
    )


def active_passive(spec: ActivePassiveSpec, problem: Problem) -> Objective:
    return PerExample(
        lambda logits, labels: losses.active_passive(
            logits, labels, active_weight=spec.active_weight, passive_weight=spec.passive_weight
        )
    )


def mean_absolute_error(spec: MeanAbsoluteErrorSpec, problem: Problem) -> Objective:
    return PerExample(losses.mean_absolute_error)


def focal(spec: FocalSpec, problem: Problem) -> Objective:
    return PerExample(lambda logits, labels: losses.focal(logits, labels, gamma=spec.gamma))


def confidence_penalty(spec: ConfidencePenaltySpec, problem: Problem) -> Objective:
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return losses.cross_entropy(logits, labels) + spec.weight * losses.confidence_penalty(logits)

    return PerExample(loss)


def margin_penalty(spec: MarginPenaltySpec, problem: Problem) -> Objective:
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        penalty = losses.margin_penalty(logits, margin=spec.margin)
        return losses.cross_entropy(logits, labels) + spec.weight * penalty

    return PerExample(loss)


def bootstrapping(spec: BootstrappingSpec, problem: Problem) -> Objective:
    weight = BOOTSTRAPPING_WEIGHTS[spec.kind] if spec.weight is None else spec.weight
    return PerExample(
        lambda logits, labels: losses.bootstrapped_cross_entropy(logits, labels, weight=weight, kind=spec.kind)
    )
