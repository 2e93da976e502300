"""Losses that are robust to wrong labels at unknown rates."""

from collections.abc import Mapping
from typing import ClassVar, Literal

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
    """APL: normalized plus reverse cross entropy; weights 1 and 1 on CIFAR-10, 10 and 0.1 on CIFAR-100."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"active-passive-loss": ""}
    takes_soft_targets: ClassVar[bool] = True

    active_weight: NonNegative = 1.0
    passive_weight: NonNegative = 1.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.active_passive_loss(
            logits, batch.labels_or_targets, active_weight=self.active_weight, passive_weight=self.passive_weight
        )


# weights of the label of Reed et al. 2015
WEIGHTS = {"soft": 0.95, "hard": 0.8}


@objective("bootstrapping")
class Bootstrapping(Objective):
    """Bootstrapping: targets that mix the label with the prediction, as probabilities or as its most probable class.

    The default weight of the label is 0.95 for "soft" and 0.8 for "hard".
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"bootstrapping": ""}
    takes_soft_targets: ClassVar[bool] = True

    kind: Literal["soft", "hard"] = "soft"
    weight: Fraction | None = None

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        weight = WEIGHTS[self.kind] if self.weight is None else self.weight
        return losses.bootstrapped_cross_entropy(logits, batch.labels_or_targets, weight=weight, kind=self.kind)


@objective("cores")
class Cores(Ramped):
    """CORES: cross entropy minus an increasing multiple of the mean loss over all labels (Cheng et al. 2021).

    After the share `sieve_from` of the training (1: never) a sieve drops examples that look mislabelled. The defaults
    are the schedule of the authors' code for 100 epochs, counted from 0: weight 0 until epoch 10, full from epoch 39,
    and the sieve from epoch 31.
    """

    pages: ClassVar[Mapping[str, str]] = {"cores": ""}

    weight: NonNegative = 2.0
    ramp_to: Fraction = 0.39
    sieve_from: Fraction = 0.31
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

    def normalizer(self, batch: Batch) -> float | Tensor:
        return len(batch.labels) if self._kept is None else self._kept.sum()


@objective("generalized_cross_entropy")
class GeneralizedCrossEntropy(Objective):
    """GCE (L_q loss): from cross entropy at q = 0 to mean absolute error at q = 1."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"generalized-cross-entropy": ""}
    takes_soft_targets: ClassVar[bool] = True

    q: Fraction = 0.7

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.generalized_cross_entropy(logits, batch.labels_or_targets, q=self.q)


@objective("mean_absolute_error")
class MeanAbsoluteError(Objective):
    """Mean absolute error: 1 - p_label."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"mean-absolute-error": ""}
    takes_soft_targets: ClassVar[bool] = True

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.mean_absolute_error(logits, batch.labels_or_targets)


@objective("normalized_cross_entropy")
class NormalizedCrossEntropy(Objective):
    """NCE: the loss of the label divided by the sum of the losses of all labels (Ma et al. 2020)."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"normalized-cross-entropy": ""}
    takes_soft_targets: ClassVar[bool] = True

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.normalized_cross_entropy(logits, batch.labels_or_targets)


@objective("peer")
class Peer(Ramped):
    """Peer loss: cross entropy minus that of randomly paired inputs and labels of the batch (Liu & Guo 2020).

    The weight is full after a tenth of the training, as in the code of CIFAR-10N.
    """

    pages: ClassVar[Mapping[str, str]] = {"peer-loss": ""}

    ramp_to: Fraction = 0.1
    _generator: torch.Generator | None = PrivateAttr(default=None)

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        # The pairs are drawn when the losses are computed, since they need the logits.
        self._generator = generator
        return batch

    @property
    def needs_whole_batch(self) -> bool:
        return True

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        pool = (floored_log_probs(logits, self.floor), batch.labels)
        return losses.peer_loss(logits, batch.labels, weight=self.current_weight, generator=self._generator, pool=pool)


@objective("reverse_cross_entropy")
class ReverseCrossEntropy(Objective):
    """RCE: cross entropy with prediction and label exchanged, where log 0 is replaced by -9.21 (Wang et al. 2019)."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"symmetric-cross-entropy": ""}
    takes_soft_targets: ClassVar[bool] = True

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.reverse_cross_entropy(logits, batch.labels_or_targets)


@objective("symmetric_cross_entropy")
class SymmetricCrossEntropy(Objective):
    """SCE: cross entropy plus reverse cross entropy; weights 0.1 and 1 on CIFAR-10, 6 and 0.1 on CIFAR-100."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"symmetric-cross-entropy": ""}
    takes_soft_targets: ClassVar[bool] = True

    cross_entropy_weight: NonNegative = 0.1
    reverse_weight: NonNegative = 1.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.symmetric_cross_entropy(
            logits,
            batch.labels_or_targets,
            cross_entropy_weight=self.cross_entropy_weight,
            reverse_weight=self.reverse_weight,
        )
