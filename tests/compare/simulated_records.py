"""Simulated predictions of several methods and seeds, whose true differences are known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets.compare.training import RunOutputs
from softtargets.runs.streams import derived_seed

CLASSES = 3


@dataclass(frozen=True)
class World:
    """A data set, and how the networks of a method see it.

    The logit of the label has a margin that differs between examples. Every network adds noise: a part that all
    networks share, one that the networks of a method share, one that the methods of a seed share, and one of its own.
    So some examples suit some methods, as in reality, and no method is better unless it is given a gain.

    Args:
        seed: of all draws.
        rows: test rows.
        validation: validation rows.
        margin: mean margin of the label.
    """

    seed: int
    rows: int = 400
    validation: int = 150
    margin: float = 2.2

    def _noise(self, *key: object) -> Tensor:
        stream = torch.Generator().manual_seed(derived_seed(":".join(map(str, key)), self.seed))
        return torch.randn(self.validation + self.rows, CLASSES, generator=stream, dtype=torch.float64)

    def outputs(self, method: str, seed: int, *, gain: float = 0.0, sharpness: float = 1.0) -> RunOutputs:
        """Return the predictions of one network.

        Args:
            method: name of the method.
            seed: the repetition.
            gain: added to the margin of every example.
            sharpness: factor of all logits: above 1 the network is over-confident.
        """
        labels = self._noise("labels").argmax(1)
        spread, run = self._noise("difficulty")[:, :1], self._noise("run", method, seed)[0]
        margin = self.margin + gain + 1.2 * spread + 0.04 * run[0]
        logits = 0.6 * (
            self._noise("all") + self._noise("of", method) + self._noise("seed", seed) + self._noise(method, seed)
        )
        logits = logits.scatter_add(1, labels[:, None], margin) * sharpness * float(1 + 0.05 * run[1])
        cut = self.validation
        return RunOutputs(logits[:cut].float(), labels[:cut], logits[cut:].float(), labels[cut:], 1.0)
