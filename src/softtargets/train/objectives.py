"""What the training loop knows of a method: the objective protocol, and the objectives by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softtargets import losses, noise, targets
from softtargets._spec import Spec, tags
from softtargets.losses import reduce
from softtargets.runs.spec import (
    BackwardSpec,
    CrossEntropySpec,
    EarlyLearningSpec,
    ForwardSpec,
    MixupSpec,
    ObjectiveSpec,
    OnlineSmoothingSpec,
)
from softtargets.targets import Targets


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Args:
        inputs: (N, ...) float, normalised and augmented.
        labels: (N,) int64, observed.
        ids: (N,) int64, rows of the data set.
        targets: made by an objective that mixes or redraws labels; None: the objective goes by `labels`.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    targets: Targets | None = None


@dataclass(frozen=True)
class Problem:
    """What an objective may know of the data when it is made.

    Args:
        num_examples: rows of the whole data set; `ids` are below it.
        num_classes: K.
        device: where batches, and parameters of the objective's own, are.
    """

    num_examples: int
    num_classes: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class Objective(ABC):
    """The protocol. Every hook but `losses` does nothing unless a method needs it.

    A step calls ``prepare``, then on the logits ``observe``, ``losses`` and ``risk``; an epoch ends with ``end_epoch``.
    """

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Change inputs or make targets; `generator` is the stream of the method's own draws."""
        return batch

    def observe(self, batch: Batch, logits: Tensor) -> None:
        """See the (N, K) logits, without gradient, before the losses are taken."""

    @abstractmethod
    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return (N,) losses, with the whole batch in view."""

    def risk(self, losses: Tensor) -> Tensor:
        """Return the scalar that is minimised."""
        return reduce(losses)

    def end_epoch(self, epoch: int) -> None:
        """Take note that an epoch, from 0, is over."""

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield parameters of the method's own, by name; they get optimiser settings by groups like the model's."""
        yield from ()

    def state_dict(self) -> dict[str, Any]:
        """Return all state, for the checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of :meth:`state_dict`."""


class PerExample(Objective):
    """An objective without state: a function of logits and labels."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._loss = loss

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._loss(logits, batch.labels)


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


class Mixup(Objective):
    """Cross entropy on convex combinations of pairs of examples (Zhang et al. 2018), one weight per batch."""

    def __init__(self, concentration: float, smoothing: float) -> None:
        self._concentration = concentration
        self._smoothing = smoothing

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        weight = _beta(self._concentration, generator)
        partner = torch.randperm(len(batch.labels), generator=generator).to(batch.labels.device)
        own = targets.smooth(batch.labels, self._smoothing)
        other = targets.smooth(batch.labels[partner], self._smoothing)
        inputs = weight * batch.inputs + (1 - weight) * batch.inputs[partner]
        return replace(batch, inputs=inputs, targets=targets.mix(own, other, weight))

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, batch.labels if batch.targets is None else batch.targets)


def _beta(concentration: float, generator: torch.Generator) -> float:
    """Draw from the symmetric Beta; torch's own sampler takes no generator, so it seeds one that does."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return float(np.random.default_rng(seed).beta(concentration, concentration))


def _cross_entropy(spec: CrossEntropySpec, problem: Problem) -> Objective:
    if spec.smoothing == 0:
        return PerExample(losses.cross_entropy)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        smoothed = targets.smooth(labels, spec.smoothing, num_classes=problem.num_classes, convention=spec.convention)
        return losses.cross_entropy(logits, smoothed)

    return PerExample(loss)


def _forward(spec: ForwardSpec, problem: Problem) -> Objective:
    transition = noise.symmetric(spec.noise_rate, problem.num_classes, inclusive=spec.inclusive)
    return PerExample(lambda logits, labels: losses.forward_corrected_cross_entropy(logits, labels, transition))


def _backward(spec: BackwardSpec, problem: Problem) -> Objective:
    transition = noise.symmetric(spec.noise_rate, problem.num_classes, inclusive=spec.inclusive)
    inverse = transition.inverse()
    return PerExample(lambda logits, labels: losses.cross_entropy(logits, targets.from_table(inverse, labels)))


def _early_learning(spec: EarlyLearningSpec, problem: Problem) -> Objective:
    running = targets.RunningTargets(problem.num_examples, problem.num_classes, momentum=spec.momentum)
    return EarlyLearning(spec.weight, running)


def _online_smoothing(spec: OnlineSmoothingSpec, problem: Problem) -> Objective:
    return OnlineSmoothing(targets.OnlineSmoothing(problem.num_classes, weight=spec.weight))


def _mixup(spec: MixupSpec, problem: Problem) -> Objective:
    return Mixup(spec.concentration, spec.smoothing)


# name -> how to make it; tested equal to the names that a specification may hold
OBJECTIVES: dict[str, Callable[[Any, Problem], Objective]] = {
    "cross_entropy": _cross_entropy,
    "forward": _forward,
    "backward": _backward,
    "early_learning": _early_learning,
    "online_smoothing": _online_smoothing,
    "mixup": _mixup,
}


def build_objective(spec: Spec, problem: Problem) -> Objective:
    """Make the objective that a specification names."""
    return OBJECTIVES[getattr(spec, "name")](spec, problem)  # noqa: B009  (every member of the union has a name)


def objective_names() -> set[str]:
    """Return the names that a specification may hold."""
    return set(tags(ObjectiveSpec))
