"""Generalized cross entropy."""

from torch import Tensor

from softtargets import losses
from softtargets._spec import Fraction
from softtargets.objectives.context import Batch
from softtargets.objectives.objective import Objective, objective


@objective("generalized_cross_entropy")
class GeneralizedCrossEntropy(Objective):
    """GCE (L_q loss): from cross entropy at q = 0 to mean absolute error at q = 1."""

    q: Fraction = 0.7

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return losses.generalized_cross_entropy(logits, batch.labels, q=self.q)
