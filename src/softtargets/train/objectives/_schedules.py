"""Objectives that change as training goes on."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from softtargets import losses
from softtargets._numerics import at_least_float32
from softtargets.losses import reduce
from softtargets.runs.objectives import CoresSpec, MaxSuppressionSpec, NegativeSmoothingSpec, Ramped
from softtargets.targets import Ramp
from softtargets.train.objectives._protocol import Batch, Objective, Problem


class Scheduled(Objective):
    """An objective that knows which share of the training is done, in whole epochs."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self._done = epochs, 0

    @property
    def share(self) -> float:
        """Epochs that are over, of all: in [0, 1), and 1 at the end."""
        return self._done / self._epochs

    def end_epoch(self, epoch: int) -> None:
        self._done = epoch + 1

    def state_dict(self) -> dict[str, Any]:
        return {"epochs_done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._done = state["epochs_done"]


class PerExampleInTime(Scheduled):
    """A loss of logits, labels and the share of the training that is done."""

    def __init__(self, loss: Callable[[Tensor, Tensor, float], Tensor], epochs: int) -> None:
        super().__init__(epochs)
        self._loss = loss

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._loss(logits, batch.labels, self.share)


class Cores(Scheduled):
    """Cross entropy less a growing share of all classes' losses, on what a sieve keeps (CORES; Cheng et al. 2021)."""

    def __init__(self, spec: CoresSpec, epochs: int) -> None:
        super().__init__(epochs)
        self._weight, self._sieve_from, self._floor = ramp_of(spec, spec.weight), spec.sieve_from, spec.floor
        self._kept: Tensor | None = None

    def observe(self, batch: Batch, logits: Tensor) -> None:
        sieving = self.share >= self._sieve_from
        self._kept = losses.cores_sieve(raised(logits, self._floor), batch.labels).float() if sieving else None

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        own, of_all = losses.cross_entropy(logits, batch.labels), _mean_over_labels(logits, self._floor)
        return own - self._weight(self.share) * of_all

    def risk(self, losses: Tensor) -> Tensor:
        return reduce(losses, weight=self._kept)


def raised(logits: Tensor, floor: float) -> Tensor:
    """Return log(p + floor), as the authors of CORES, peer loss and NLS have it in the term that they take away.

    Without it a network drives that term, and its own weights, to infinity: what a class is worth less than the floor
    gets no gradient any more.
    """
    log_probs = at_least_float32(logits).log_softmax(-1)
    return torch.logaddexp(log_probs, log_probs.new_tensor(floor).log())


def _mean_over_labels(logits: Tensor, floor: float) -> Tensor:
    return losses.smoothing_regularizer(raised(logits, floor)) / logits.shape[-1]


def ramp_of(spec: Ramped, weight: float) -> Ramp:
    """Return the weight as a function of the share of the training that is done."""
    return Ramp(0.0, weight, first_epoch=spec.ramp_from, last_epoch=spec.ramp_to)


def negative_smoothing(spec: NegativeSmoothingSpec, problem: Problem) -> Objective:
    def loss(logits: Tensor, labels: Tensor, share: float) -> Tensor:
        own = losses.cross_entropy(logits, labels)
        if share < spec.warmup:
            return own
        return (1 - spec.smoothing) * own + spec.smoothing * _mean_over_labels(logits, spec.floor)

    return PerExampleInTime(loss, problem.epochs)


def max_suppression(spec: MaxSuppressionSpec, problem: Problem) -> Objective:
    smoothing = Ramp(spec.smoothing, spec.final_smoothing, first_epoch=0, last_epoch=1)

    def loss(logits: Tensor, labels: Tensor, share: float) -> Tensor:
        return losses.max_suppression(logits, labels, smoothing=smoothing(share))

    return PerExampleInTime(loss, problem.epochs)


def cores(spec: CoresSpec, problem: Problem) -> Objective:
    return Cores(spec, problem.epochs)
