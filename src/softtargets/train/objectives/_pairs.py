"""Objectives that bring two examples of a batch together."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from softtargets import losses, targets
from softtargets.runs.objectives import MixupSpec, PeerSpec
from softtargets.train.objectives._protocol import Batch, Objective, Problem
from softtargets.train.objectives._schedules import Scheduled, raised, ramp_of


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


class Peer(Scheduled):
    """Cross entropy less that of inputs and labels drawn apart from each other (Liu & Guo 2020)."""

    def __init__(self, spec: PeerSpec, epochs: int) -> None:
        super().__init__(epochs)
        self._weight, self._floor = ramp_of(spec, spec.weight), spec.floor
        self._generator: torch.Generator | None = None

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        # The pairs are drawn with the losses, whose logits they are made of.
        self._generator = generator
        return batch

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        weight, pool = self._weight(self.share), (raised(logits, self._floor), batch.labels)
        return losses.peer(logits, batch.labels, weight=weight, generator=self._generator, pool=pool)


def mixup(spec: MixupSpec, problem: Problem) -> Objective:
    return Mixup(spec.concentration, spec.smoothing)


def peer(spec: PeerSpec, problem: Problem) -> Objective:
    return Peer(spec, problem.epochs)
