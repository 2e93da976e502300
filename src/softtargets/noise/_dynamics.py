"""What a training history says of each example's label."""

import math

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_fraction, check_labels, check_num_classes, first_bad
from softtargets._errors import fail

__all__ = ["TrainingDynamics"]


class TrainingDynamics:
    """Margins, forgetting and early agreement of every example's observed label, over the epochs of one training.

    area_under_margin = mean over epochs of z_y - max_{k != y} z_k        # Pleiss et al. 2020
    forgetting = number of epochs whose prediction is wrong after one that was right        # Toneva et al. 2019
    early_agreement = share of the first epochs whose prediction is the label        # after Liu et al. 2020

    Each example is observed once an epoch, with the logits it has at that moment of training.

    Args:
        num_examples: rows of the data set; `ids` index them.
        num_classes: K, at least 2.
        early_epochs: how many epochs are early, at least 1.

    Special cases:
        a label that is predicted in every epoch has forgetting 0 and early_agreement 1.

    Notes:
        low area_under_margin and early_agreement are suspect, high forgetting is. An example that was never predicted
        right is forgotten most: it counts the epochs it was observed in, which no number of events reaches. An example
        that was never observed has NaN, and forgetting 0. A tie of the label with another class is not right.

    Complexity:
        27 bytes an example in host memory; O(N K) an epoch. Each process keeps what it observed itself.

    When to use:
        a training on the observed labels is under way anyway: no held-out predictions are needed.

    Limitations:
        it follows one training: long ones learn wrong labels by heart, and the first epochs say more than the last; how
        hard an example is and how wrong its label show alike.

    Example:
        >>> dynamics = TrainingDynamics(2, 2)
        >>> for margin in (1.0, -3.0):
        ...     dynamics.observe(torch.tensor([0]), torch.tensor([[margin, 0.0]]), torch.tensor([0]))
        ...     dynamics.end_epoch()
        >>> dynamics.area_under_margin.tolist(), dynamics.forgetting.tolist()
        ([-1.0, nan], [1, 0])
    """

    def __init__(self, num_examples: int, num_classes: int, *, early_epochs: int = 10) -> None:
        check_num_classes(num_classes)
        check_fraction("num_examples", num_examples, low=1, high=math.inf, remedy="give the rows of the data set")
        check_fraction("early_epochs", early_epochs, low=1, high=math.inf, remedy="choose 1 or more")
        self.num_classes, self.early_epochs = num_classes, early_epochs
        self.epoch = 0
        self._margins = torch.zeros(num_examples, dtype=torch.float64)
        self._observed, self._early, self._agreed, self._forgotten = (
            torch.zeros(num_examples, dtype=torch.int32) for _ in range(4)
        )
        self._right, self._learned = (torch.zeros(num_examples, dtype=torch.bool) for _ in range(2))
        self._seen = torch.zeros(num_examples, dtype=torch.bool)

    def observe(self, ids: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count (N, K) logits of the examples (N,) `ids`, with their (N,) observed labels, towards this epoch."""
        check_floating("logits", logits)
        check_labels("ids", ids, len(self._seen))
        check_labels("labels", labels, self.num_classes)
        if logits.shape != (*ids.shape, self.num_classes) or labels.shape != ids.shape or ids.ndim != 1:
            got = f"{tuple(ids.shape)}, {tuple(logits.shape)} and {tuple(labels.shape)}"
            raise fail("logits", f"ids (N,), logits (N, {self.num_classes}), labels (N,)", got, "give one row an id")
        ids, logits, labels = ids.long().cpu(), logits.detach().float(), labels.long()[:, None]
        self._mark(ids)
        others = logits.scatter(1, labels, -torch.inf).amax(1)
        margin = (logits.gather(1, labels)[:, 0] - others).cpu()
        right = margin > 0
        self._margins[ids] += margin.double()
        self._observed[ids] += 1
        self._forgotten[ids] += (self._right[ids] & ~right).int()
        self._right[ids] = right
        self._learned[ids] |= right
        if self.epoch < self.early_epochs:
            self._early[ids] += 1
            self._agreed[ids] += right.int()

    def end_epoch(self) -> None:
        """Let every example be observed once more."""
        self.epoch += 1
        self._seen.zero_()

    @property
    def area_under_margin(self) -> Tensor:
        """(N,) float64, in logits; low is suspect."""
        return self._margins / self._observed

    @property
    def forgetting(self) -> Tensor:
        """(N,) int64; high is suspect."""
        return torch.where(self._learned, self._forgotten, self._observed).long()

    @property
    def early_agreement(self) -> Tensor:
        """(N,) float64 in [0, 1]; low is suspect."""
        return self._agreed.double() / self._early

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, as tensors."""
        return {"epoch": torch.tensor(self.epoch), **{name: getattr(self, f"_{name}").clone() for name in STATE}}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a state of :meth:`state_dict`."""
        self.epoch = int(state["epoch"])
        for name in STATE:
            getattr(self, f"_{name}").copy_(state[name])

    def _mark(self, ids: Tensor) -> None:
        again = self._seen[ids]
        times = torch.bincount(ids)[ids] > 1
        if (index := first_bad(again | times)) is not None:
            got = f"example {int(ids[index])} again at row {index[0]}"
            raise fail("ids", "each example once an epoch", got, "call end_epoch() between epochs")
        self._seen[ids] = True


STATE = ("margins", "observed", "early", "agreed", "forgotten", "right", "learned", "seen")
