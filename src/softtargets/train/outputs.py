"""What a network returns for rows that are not trained on: checks, accuracy and NLL."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets.losses import cross_entropy


class DivergedError(RuntimeError):
    """A number was not finite. Training the same specification again would end in the same way."""

    @classmethod
    def of(cls, what: str, got: str) -> "DivergedError":
        """Build the error from what should be finite and what it was."""
        return cls(f"{what}: finite; got {got}; lower the learning rate or clip gradients")


def accuracy_and_nll(batches: Iterable[tuple[Tensor, Tensor]], split: str, steps: int) -> tuple[float, float]:
    """Return accuracy and NLL of at least one batch of logits and labels, in one pass over each.

    Raises:
        DivergedError: if the NLL is not finite.
    """
    rows, correct, total = 0, torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.float64)
    for logits, labels in batches:
        rows += len(labels)
        correct = correct.to(logits.device) + (logits.argmax(1) == labels).sum()
        total = total.to(logits.device) + cross_entropy(logits.double(), labels, reduction="sum")
    nll = float(total) / rows
    if not math.isfinite(nll):
        raise DivergedError.of("outputs", f"{nll} as the NLL of the {split} split after step {steps}")
    return int(correct) / rows, nll


def check_outputs(logits: Tensor, split: str, steps: int) -> Tensor:
    """Return the logits of a split; require finite numbers.

    The loss of the last step was computed before its update of the weights.

    Raises:
        DivergedError: naming the first example.
    """
    bad = first_bad(~torch.isfinite(logits))
    if bad is not None:
        got = f"{float(logits[bad])} for example {bad[0]} of the {split} split after step {steps}"
        raise DivergedError.of("outputs", got)
    return logits
