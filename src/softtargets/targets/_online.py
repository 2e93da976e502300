"""Targets that are learned while training goes on: state per class (OLS) and per example (ELR)."""

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_labels, check_num_classes
from softtargets._errors import fail
from softtargets.targets._rules import from_table, hard, mix
from softtargets.targets._targets import Targets


class OnlineSmoothing:
    """Class-wise soft labels from the model's own right predictions of the last epoch (OLS; Zhang et al. 2021).

    t = (1 - weight) * onehot(label) + weight * table[label]

    `table[y]` is the mean probability over the last epoch's correctly classified examples of class y; a class with
    none gets the uniform row, as at first and as in the authors' code. Sums are kept in float64.

    Args:
        num_classes: K.
        weight: share of the soft label, in [0, 1]; 0.5 in the paper.
    """

    def __init__(self, num_classes: int, *, weight: float = 0.5) -> None:
        check_num_classes(num_classes)
        check_fraction("weight", weight)
        self.weight = weight
        self.table = torch.full((num_classes, num_classes), 1 / num_classes)
        self._sums = torch.zeros(num_classes, num_classes, dtype=torch.float64)
        self._counts = torch.zeros(num_classes, dtype=torch.int64)

    def targets(self, labels: Tensor) -> Targets:
        """Return the targets of (N,) labels under the table of the last epoch."""
        return mix(hard(labels), from_table(self.table.to(labels.device), labels), 1 - self.weight)

    def observe(self, probs: Tensor, labels: Tensor) -> None:
        """Count (N, K) probabilities of (N,) labels towards the next epoch's table, where the prediction is right."""
        probs = probs.detach()
        right = probs.argmax(-1) == labels
        rows = labels[right].cpu()
        self._sums.index_add_(0, rows, probs[right].double().cpu())
        self._counts += torch.bincount(rows, minlength=len(self._counts))

    def end_epoch(self) -> None:
        """Make the sums of this epoch the table of the next."""
        seen = self._counts > 0
        self.table.fill_(1 / len(self.table))
        self.table[seen] = (self._sums[seen] / self._counts[seen, None]).to(self.table.dtype)
        self._sums.zero_()
        self._counts.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, as tensors."""
        return {"table": self.table, "sums": self._sums, "counts": self._counts}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a state of :meth:`state_dict`."""
        self.table.copy_(state["table"])
        self._sums.copy_(state["sums"])
        self._counts.copy_(state["counts"])


class RunningTargets:
    """A running mean of the model's probabilities for every example (ELR; Liu et al. 2020, Eq. 9).

    t_i <- momentum * t_i + (1 - momentum) * p_i, from t_i = 0

    Args:
        num_examples: rows of the data set; `ids` index them.
        num_classes: K.
        momentum: their beta, in [0, 1).
    """

    def __init__(self, num_examples: int, num_classes: int, *, momentum: float = 0.7) -> None:
        check_num_classes(num_classes)
        check_fraction("momentum", momentum)
        if momentum == 1:
            raise fail("momentum", "below 1", momentum, "at 1 nothing is ever learned")
        self.momentum = momentum
        self.values = torch.zeros(num_examples, num_classes)

    def observe(self, ids: Tensor, probs: Tensor) -> None:
        """Move the targets of the examples (N,) `ids` towards (N, K) `probs`."""
        check_labels("ids", ids, len(self.values))
        if probs.shape != (*ids.shape, self.values.shape[1]):
            required = f"shape {(*ids.shape, self.values.shape[1])}"
            raise fail("probs", required, tuple(probs.shape), "give one row of K per id")
        ids, probs = ids.long().cpu(), probs.detach().float().cpu()
        self.values[ids] = self.momentum * self.values[ids] + (1 - self.momentum) * probs

    def of(self, ids: Tensor) -> Tensor:
        """Return the (N, K) float32 running targets of (N,) `ids`, on their device."""
        return self.values[ids.long().cpu()].to(ids.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, as tensors."""
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a state of :meth:`state_dict`."""
        self.values.copy_(state["values"])
