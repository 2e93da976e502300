"""Focal losses."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from softtargets import losses
from softtargets._spec import Fraction, NonNegative
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("focal")
class Focal(Objective):
    """Focal loss: cross entropy scaled by (1 - p_label)^gamma."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"focal-loss": ""}
    takes_soft_targets: ClassVar[bool] = True

    gamma: NonNegative = 3.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.focal_loss(logits, batch.labels_or_targets, gamma=self.gamma)


@objective("dual_focal")
class DualFocal(Objective):
    """Dual focal loss: focal loss that also widens the gap to the next less probable class (Tao et al. 2023)."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"dual-focal-loss": ""}
    takes_soft_targets: ClassVar[bool] = True

    gamma: NonNegative = 5.0

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.dual_focal_loss(logits, batch.labels_or_targets, gamma=self.gamma)


@objective("sample_dependent_focal")
class SampleDependentFocal(Objective):
    """FLSD: focal loss with `gamma_low` for labels whose probability is below `threshold` (Mukhoti et al. 2020).

    The defaults are FLSD-53.
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"sample-dependent-focal-loss": ""}
    takes_soft_targets: ClassVar[bool] = True

    gamma_low: NonNegative = 5.0
    gamma_high: NonNegative = 3.0
    threshold: Fraction = 0.2

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.sample_dependent_focal_loss(
            logits,
            batch.labels_or_targets,
            gamma_low=self.gamma_low,
            gamma_high=self.gamma_high,
            threshold=self.threshold,
        )
