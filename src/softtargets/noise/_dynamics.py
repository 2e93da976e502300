"""Label quality from the history of a training run."""

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_int, check_num_classes, first_bad, read_ids, read_labels
from softtargets._errors import fail
from softtargets._rows import classes_last, refuse_swapped

__all__ = ["TrainingDynamics"]


class TrainingDynamics:
    """Margins, forgetting events and early agreement of every example's observed label, over one training run.

    area_under_margin = mean over epochs of z_y - max_{k != y} z_k        # Pleiss et al. 2020
    forgetting = number of epochs whose prediction is wrong after a right one        # Toneva et al. 2019
    early_agreement = fraction of the first epochs whose prediction is the label        # after Liu et al. 2020

    Each example is observed once per epoch, with the logits that it has at that moment of training.

    Args:
        num_examples: number of rows of the data set; `ids` index them.
        num_classes: K, at least 2.
        early_epochs: number of early epochs, at least 1.

    Special cases:
        a label that is predicted in every epoch has forgetting 0 and early_agreement 1.

    Notes:
        Low area_under_margin, low early_agreement and high forgetting are suspect. If an example was never predicted
        correctly, its forgetting is the number of epochs in which it was observed, which is more than any number of
        events. An example that was never observed has forgetting 0 and NaN for the other two. A tie of the label with
        another class does not count as right.

    Complexity:
        27 bytes per example in host memory; O(N K) per epoch. Each process stores only its own observations.

    When to use:
        A model is being trained on the observed labels anyway: no out-of-sample predictions are needed.

    Limitations:
        It follows one training run. Long runs memorise wrong labels, so the first epochs are more informative than the
        last. Hard examples cannot be distinguished from wrong labels.

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
        check_int("num_examples", num_examples, least=1, remedy="pass the number of rows of the data set")
        check_int("early_epochs", early_epochs, least=1, remedy="choose 1 or more")
        self.num_classes, self.early_epochs = int(num_classes), int(early_epochs)
        self.epoch = 0
        self._margins = torch.zeros(num_examples, dtype=torch.float64)
        self._observed, self._early, self._agreed, self._forgotten = (
            torch.zeros(num_examples, dtype=torch.int32) for _ in range(4)
        )
        self._right, self._learned = (torch.zeros(num_examples, dtype=torch.bool) for _ in range(2))
        self._seen = torch.zeros(num_examples, dtype=torch.bool)

    def __repr__(self) -> str:
        return f"TrainingDynamics({len(self._seen):,} examples, {self.num_classes} classes, epoch {self.epoch})"

    @array_function
    def observe(
        self,
        ids: ArrayLike,
        logits: ArrayLike,
        labels: ArrayLike,
        *,
        class_dim: int = -1,
        ignore_index: int = -100,
        mask: ArrayLike | None = None,
    ) -> None:
        """Add the logits of some examples to this epoch.

        Args:
            ids: (N,) integers in [0, num_examples), each at most once per epoch.
            logits: (N, K) float.
            labels: (N,) integer observed labels in [0, K).
            class_dim: axis of the classes in logits.
            ignore_index: label of examples to leave out.
            mask: (N,) bool, False for examples to leave out; None: include all.
        """
        refuse_swapped("logits", logits, labels)
        logits = classes_last("logits", logits, class_dim)
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            required = f"shape (N, {self.num_classes})"
            raise fail("logits", required, tuple(logits.shape), "pass one row of K logits per id")
        ids = read_ids("ids", ids, len(self._seen), shape=logits.shape[:1]).cpu()
        labels, left_out = read_labels(
            "labels",
            labels,
            num_classes=self.num_classes,
            shape=logits.shape[:1],
            ignore_index=ignore_index,
            mask=mask,
        )
        logits, labels = logits.detach().float(), labels.to(logits.device)
        if left_out is not None:
            kept = ~left_out.to(logits.device)
            ids, logits, labels = ids[kept.cpu()], logits[kept], labels[kept]
        self._mark(ids)
        others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        margin = (logits.gather(1, labels[:, None])[:, 0] - others).cpu()
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
        """End the epoch: every example may be observed once more."""
        self.epoch += 1
        self._seen.zero_()

    @property
    def area_under_margin(self) -> Tensor:
        """(N,) float64, in logits; low is suspect. NaN for an example that was never observed."""
        return self._margins / self._observed

    @property
    def forgetting(self) -> Tensor:
        """(N,) int64; high is suspect."""
        return torch.where(self._learned, self._forgotten, self._observed).long()

    @property
    def early_agreement(self) -> Tensor:
        """(N,) float64 in [0, 1]; low is suspect. NaN for an example that was not observed in the early epochs."""
        return self._agreed.double() / self._early

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, as tensors."""
        return {"epoch": torch.tensor(self.epoch), **{name: getattr(self, f"_{name}").clone() for name in STATE}}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore a state of :meth:`state_dict`, of the same number of examples."""
        if missing := sorted({"epoch", *STATE} - set(state)):
            raise fail("state", "a state of state_dict()", f"one without '{missing[0]}'", "pass an unchanged state")
        if state["seen"].shape != self._seen.shape:
            got = f"{len(state['seen'])} examples"
            raise fail("state", f"{len(self._seen)} examples", got, "construct TrainingDynamics with that number")
        self.epoch = int(state["epoch"])
        for name in STATE:
            getattr(self, f"_{name}").copy_(state[name])

    def _mark(self, ids: Tensor) -> None:
        again = self._seen[ids]
        times = torch.bincount(ids)[ids] > 1
        if (index := first_bad(again | times)) is not None:
            got = f"example {int(ids[index])} again at row {index[0]}"
            raise fail("ids", "each example once per epoch", got, "call end_epoch() between epochs")
        self._seen[ids] = True


STATE = ("margins", "observed", "early", "agreed", "forgotten", "right", "learned", "seen")
