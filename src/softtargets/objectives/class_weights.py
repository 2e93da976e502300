"""Class weights."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import torch
from pydantic import PrivateAttr, model_validator
from torch import Tensor

from softtargets import losses, targets
from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative
from softtargets.losses import reduce
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import Objective, objective


@objective("class_weights")
class ClassWeights(Objective):
    """Weighted cross entropy: each example has the weight of its class.

    `weights` are one number per class; the default is n / (K n_k) for n_k of n training examples in class k, which
    gives all classes the same total weight. The mean over a batch is divided by the sum of its weights. `weighting` is
    "example", which leaves the targets as they are, or "torch", which weights the classes within smoothed targets as
    torch does and changes the minimiser.
    """

    pages: ClassVar[Mapping[str, str]] = {"class-weights": ""}
    takes_soft_targets: ClassVar[bool] = True

    weights: tuple[NonNegative, ...] | None = None
    smoothing: Fraction = 0.0
    weighting: Literal["example", "torch"] = "example"
    _class_weight: Tensor = PrivateAttr()
    _weight: Tensor = PrivateAttr()

    @model_validator(mode="after")
    def _some_class_counts(self) -> Self:
        if self.weights is not None and not any(self.weights):
            raise fail("weights", "a number above 0 for at least one class", list(self.weights), "give one")
        return self

    def begin(self, context: ObjectiveContext) -> None:
        if self.weights is None:
            counts = context.require_data(self.name).class_counts.double()
            # a class without training examples needs no weight
            weights = counts.sum() / (context.num_classes * counts.clamp(min=1)) * (counts > 0)
        elif len(self.weights) != context.num_classes:
            required = f"{context.num_classes} numbers, one for each class"
            raise fail("objective.weights", required, len(self.weights), "give one number for each class")
        else:
            weights = torch.tensor(self.weights, dtype=torch.float64)
        self._class_weight = weights.float().to(context.device)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        self._weight = targets.example_weights(batch.labels_or_targets, self._class_weight)
        smoothed = targets.smooth(batch.labels_or_targets, self.smoothing, num_classes=logits.shape[-1])
        if self.weighting == "torch":
            return losses.cross_entropy(logits, targets.reweight(smoothed, self._class_weight))
        return losses.cross_entropy(logits, smoothed)

    def risk(self, losses: Tensor) -> Tensor:
        if self.weighting == "torch":
            return reduce(losses, normalizer=self._weight.sum())
        return reduce(losses, weight=self._weight)

    def normalizer(self, batch: Batch) -> Tensor:
        return targets.example_weights(batch.labels_or_targets, self._class_weight).sum()
