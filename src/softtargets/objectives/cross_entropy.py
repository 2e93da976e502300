"""Cross entropy, with or without label smoothing."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import PrivateAttr
from torch import Tensor

from softtargets import losses, nn, targets
from softtargets._spec import Fraction
from softtargets.objectives.context import Batch, ObjectiveContext, Predictions
from softtargets.objectives.objective import Objective, objective


@objective("cross_entropy")
class SmoothedCrossEntropy(Objective):
    """Cross entropy, with label smoothing in the stated convention."""

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {"cross-entropy": "", "label-smoothing": "smoothing = 0.1"}
    takes_soft_targets: ClassVar[bool] = True

    smoothing: Fraction = 0.0
    convention: Literal["all", "others", "classy"] = "all"
    _mean: nn.CrossEntropyLoss = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        self._mean = nn.CrossEntropyLoss(label_smoothing=self.smoothing, convention=self.convention)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        if self.smoothing == 0:
            return losses.cross_entropy(logits, batch.labels_or_targets)
        smoothed = targets.smooth(
            batch.labels_or_targets, self.smoothing, num_classes=logits.shape[-1], convention=self.convention
        )
        return losses.cross_entropy(logits, smoothed)

    def batch_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        if batch.targets is None and batch.votes is None:
            return self._mean(logits, batch.labels)
        return super().batch_loss(logits, batch)

    def equivalent_smoothing(self, predictions: Predictions, teachers: Sequence[Predictions]) -> float | None:
        return self.smoothing if self.convention == "all" and "train.votes" not in predictions else None
