"""CORES: confidence regularisation with a sample sieve."""

from pydantic import PrivateAttr
from torch import Tensor

from softtargets import losses
from softtargets._spec import Fraction, NonNegative
from softtargets.losses import reduce
from softtargets.objectives.context import Batch
from softtargets.objectives.floor import floored_log_probs, mean_over_labels
from softtargets.objectives.objective import objective
from softtargets.objectives.schedules import Ramped


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
