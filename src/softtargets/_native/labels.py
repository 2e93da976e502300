"""Losses of rows of logits that depend on the probability of one label per row, as plain tensors and numbers."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from softtargets._native.chunks import EVERYTHING, Index


def _same(*settings: float) -> tuple[float, ...]:
    return settings


@dataclass(frozen=True, slots=True)
class OddsLoss:
    """A loss that is a function of the log-odds of the label.

    Args:
        name: the name of the loss among the kernels.
        formula: the elementwise function, of a tensor of log-odds and one tensor for each setting.
        numbers: returns the numbers that the kernel takes, given the settings.
    """

    name: str
    formula: Callable[..., Tensor]
    numbers: Callable[..., tuple[float, ...]] = _same


ODDS = OddsLoss("odds", lambda odds: odds)


@dataclass(frozen=True, slots=True, eq=False)
class LabelProbability:
    """A loss of (..., K) logits and their labels.

    Args:
        labels: (...) int64, in [0, K) except where they are ignored.
        loss: the function of the log-odds of the label; None: forward correction.
        settings: the settings of that function.
        columns: (K, K) float, forward correction: the weights of the classes for each label.
        ignore_index: label of a row with loss 0 and gradient 0; None: no row is ignored.
    """

    labels: Tensor
    loss: OddsLoss | None
    settings: tuple[float, ...] = ()
    columns: Tensor | None = None
    ignore_index: int | None = None

    def at(self, i: Index) -> "LabelProbability":
        """Return this for a chunk of the rows."""
        return self if i is EVERYTHING else replace(self, labels=self.labels[i])
