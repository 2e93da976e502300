"""Losses that are robust to wrong labels at unknown rates."""

from typing import Literal

import torch
from pydantic import PrivateAttr
from torch import Tensor

from softtargets import losses
from softtargets._spec import Fraction, NonNegative
from softtargets.losses import reduce
from softtargets.objectives.context import Batch
from softtargets.objectives.floor import floored_log_probs, mean_over_labels
from softtargets.objectives.objective import Objective, objective
from softtargets.objectives.schedules import Ramped


@objective("active_passive")
class ActivePassive(Objective):
    """APL: normalised plus reverse cross entropy; weights 1 and 1 on CIFAR-10, 10 and 0.1 on CIFAR-100."""

    active_weight: NonNegative = 1.0
    passive_weight: NonNegative = 1.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.active_passive_loss(
            logits, batch.labels, active_weight=self.active_weight, passive_weight=self.passive_weight
        )


# weights of the label in Reed et al. 2015
WEIGHTS = {"soft": 0.95, "hard": 0.8}


@objective("bootstrapping")
class Bootstrapping(Objective):
    """Bootstrapping: targets that mix the label with the prediction itself, as probabilities or as the predicted class.

    Without `weight` the label has weight 0.95 for "soft" and 0.8 for "hard".
    """

    kind: Literal["soft", "hard"] = "soft"
    weight: Fraction | None = None

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        weight = WEIGHTS[self.kind] if self.weight is None else self.weight
        return losses.bootstrapped_cross_entropy(logits, batch.labels, weight=weight, kind=self.kind)


@objective("cores")
class Cores(Ramped):
    """CORES: cross entropy minus a growing multiple of the mean loss over all labels (Cheng et al. 2021).

    From the share `sieve_from` of training on (1 for never) a sieve drops examples that look mislabelled.
    """

    weight: NonNegative = 2.0
    sieve_from: Fraction = 0.3
    _kept: Tensor | None = PrivateAttr(default=None)

    def observe(self, batch: Batch, logits: Tensor) -> None:
        sieving = self.share >= self.sieve_from
        floored = floored_log_probs(logits, self.floor) if sieving else logits
        self._kept = losses.cores_sieve(floored, batch.labels).float() if sieving else None

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        own, of_all = losses.cross_entropy(logits, batch.labels), mean_over_labels(logits, self.floor)
        return own - self.current_weight * of_all

    def risk(self, losses: Tensor) -> Tensor:
        return reduce(losses, weight=self._kept)


@objective("generalized_cross_entropy")
class GeneralizedCrossEntropy(Objective):
    """GCE (L_q loss): from cross entropy at q = 0 to mean absolute error at q = 1."""

    q: Fraction = 0.7

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.generalized_cross_entropy(logits, batch.labels, q=self.q)


@objective("mean_absolute_error")
class MeanAbsoluteError(Objective):
    """Mean absolute error, 1 - p_label."""

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.mean_absolute_error(logits, batch.labels)


@objective("peer")
class Peer(Ramped):
    """Peer loss: cross entropy minus that of inputs and labels of the batch paired at random (Liu & Guo 2020).

    The weight is full after a tenth of the training, as in CIFAR-10N's code.
    """

    ramp_to: Fraction = 0.1
    _generator: torch.Generator | None = PrivateAttr(default=None)

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        # The pairs are drawn with the losses, from whose logits they are made.
        self._generator = generator
        return batch

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        pool = (floored_log_probs(logits, self.floor), batch.labels)
        return losses.peer_loss(logits, batch.labels, weight=self.current_weight, generator=self._generator, pool=pool)


@objective("symmetric_cross_entropy")
class SymmetricCrossEntropy(Objective):
    """SCE: cross entropy plus reverse cross entropy; weights 0.1 and 1 on CIFAR-10, 6 and 0.1 on CIFAR-100."""

    cross_entropy_weight: NonNegative = 0.1
    reverse_weight: NonNegative = 1.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.symmetric_cross_entropy(
            logits,
            batch.labels,
            cross_entropy_weight=self.cross_entropy_weight,
            reverse_weight=self.reverse_weight,
        )
