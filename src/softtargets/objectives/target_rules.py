"""Target rules: cross entropy against targets that are made from the labels of a batch."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Self

import torch
from pydantic import PrivateAttr, model_validator
from torch import Tensor

from softtargets import losses, targets
from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import Objective, objective
from softtargets.targets import Targets


class TargetRule(Objective):
    """Base class of objectives that make the targets of a batch before the forward pass."""

    takes_soft_targets: ClassVar[bool] = True

    @abstractmethod
    def targets_of(self, batch: Batch, generator: torch.Generator) -> Targets:
        """Return the targets of a batch; `generator` is the source of random draws, on the CPU."""

    @property
    def takes_votes(self) -> bool:
        # a rule that does not need one class for each row says so
        return False

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        return replace(batch, targets=self.targets_of(batch, generator))

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        assert batch.targets is not None
        return losses.cross_entropy(logits, batch.targets)


@objective("prior_smoothing")
class PriorSmoothing(TargetRule):
    """Prior (unigram) smoothing: label smoothing towards the class frequencies (Pereyra et al. 2017).

    The frequencies are those of the observed training labels, unless `prior` gives one number per class. Numbers that
    do not sum to 1 are counts, and are divided by their sum.
    """

    pages: ClassVar[Mapping[str, str]] = {"prior-smoothing": ""}

    smoothing: Fraction = 0.1
    prior: tuple[NonNegative, ...] | None = None
    _prior: Tensor = PrivateAttr()

    @property
    def takes_votes(self) -> bool:
        return True

    @model_validator(mode="after")
    def _has_mass(self) -> Self:
        if self.prior is not None and not 0 < sum(self.prior) < float("inf"):
            raise fail("prior", "a sum above 0, finite", f"{sum(self.prior):g}", "give one class a number above 0")
        return self

    def begin(self, context: ObjectiveContext) -> None:
        if self.prior is None:
            counts = context.require_data(self.name).class_counts.double()
        elif len(self.prior) != context.num_classes:
            required = f"{context.num_classes} numbers, one for each class"
            raise fail("objective.prior", required, len(self.prior), "give one number for each class")
        else:
            counts = torch.tensor(self.prior, dtype=torch.float64)
        self._prior = (counts / counts.sum()).float().to(context.device)

    def targets_of(self, batch: Batch, generator: torch.Generator) -> Targets:
        return targets.smooth(batch.labels_or_targets, self.smoothing, prior=self._prior)


@objective("disturb_label")
class DisturbLabel(TargetRule):
    """DisturbLabel: each label is redrawn uniformly with probability `rate` at every step (Xie et al. 2016)."""

    pages: ClassVar[Mapping[str, str]] = {"disturblabel": ""}

    rate: Fraction = 0.1

    def targets_of(self, batch: Batch, generator: torch.Generator) -> Targets:
        # drawn on the CPU, so that the draws do not depend on the device
        labels, num_classes = batch.labels.cpu(), self._context.num_classes
        disturbed = targets.disturb_labels(labels, self.rate, num_classes=num_classes, generator=generator)
        return disturbed.to(batch.labels.device)
