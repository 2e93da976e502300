"""Bootstrapping."""

from typing import Literal

from torch import Tensor

from softtargets import losses
from softtargets._spec import Fraction
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective

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
