"""Mixup."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from softtargets import losses, targets
from softtargets._spec import Fraction, Positive
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("mixup")
class Mixup(Objective):
    """Mixup: cross entropy on convex combinations of pairs of examples (Zhang et al. 2018).

    Inputs and targets of a batch are mixed with one weight from Beta(concentration, concentration).
    """

    concentration: Positive = 0.2
    smoothing: Fraction = 0.0

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        weight = draw_beta(self.concentration, generator)
        partner = torch.randperm(len(batch.labels), generator=generator).to(batch.labels.device)
        own = targets.smooth(batch.labels, self.smoothing)
        other = targets.smooth(batch.labels[partner], self.smoothing)
        inputs = weight * batch.inputs + (1 - weight) * batch.inputs[partner]
        return replace(batch, inputs=inputs, targets=targets.mix(own, other, weight))

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.cross_entropy(logits, batch.labels if batch.targets is None else batch.targets)


def draw_beta(concentration: float, generator: torch.Generator) -> float:
    """Draw from a symmetric beta distribution, with NumPy, since torch's own sampler takes no generator."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return float(np.random.default_rng(seed).beta(concentration, concentration))
