"""Targets that are learned while training goes on: state per class (OLS) and per example (ELR)."""

import torch
import torch.distributed as dist
from torch import Tensor

from softtargets._checks import check_entries, check_floating, check_fraction, check_labels, check_num_classes
from softtargets._errors import fail
from softtargets.targets._rules import from_table
from softtargets.targets._targets import Targets

__all__ = ["OnlineSmoothing", "RunningTargets"]


class OnlineSmoothing:
    """Online label smoothing: class-wise soft labels from the correct predictions of the last epoch.

    t = (1 - weight) * onehot(label) + weight * table[label]

    `table[y]` is the mean probability over the last epoch's correctly classified examples of class y; a class with
    none gets the uniform row, as at first and as in the authors' code. Sums are kept in float64. Where
    torch.distributed is initialised every process observes its own examples, and `end_epoch` makes one table of all.

    Args:
        num_classes: K.
        weight: share of the soft label, in [0, 1]; 0.5 in the paper.

    Special cases:
        weight=0 gives hard(labels); before the first epoch ends, it is smooth(labels, weight).

    Notes:
        their loss, alpha times that of labels plus 1 - alpha times that of the table, is this t: weight = 1 - alpha.

    Complexity:
        a K x K table and K x K sums; a batch costs O(N K) to observe and no N x K target.

    When to use:
        classes are alike in ways nobody wrote down, and training is long enough for an epoch to teach them.

    Limitations:
        under label noise the rows are of the examples that the model has learned, right or wrong.

    Aliases:
        OLS

    Topics:
        similar classes, overconfidence

    References:
        Zhang et al. 2021, *Delving Deep into Label Smoothing*, IEEE Transactions on Image Processing

    Example:
        >>> online = OnlineSmoothing(2)
        >>> online.observe(torch.tensor([[0.75, 0.25]]), torch.tensor([0]))
        >>> online.end_epoch()
        >>> online.targets(torch.tensor([0, 1])).to_dense().tolist()
        [[0.875, 0.125], [0.25, 0.75]]
    """

    def __init__(self, num_classes: int, *, weight: float = 0.5) -> None:
        check_num_classes(num_classes)
        check_fraction("weight", weight)
        self.weight = weight
        self.table = torch.full((num_classes, num_classes), 1 / num_classes)
        self._sums = torch.zeros(num_classes, num_classes, dtype=torch.float64)
        self._counts = torch.zeros(num_classes, dtype=torch.int64)
        self._blend()

    def targets(self, labels: Tensor, *, ignore_index: int | None = None) -> Targets:
        """Return the targets of (...) labels under the table of the last epoch; none for those to be ignored."""
        self._blended = self._blended.to(labels.device)
        return from_table(self._blended, labels, ignore_index=ignore_index)

    def observe(self, probs: Tensor, labels: Tensor) -> None:
        """Count (N, K) probabilities of (N,) labels towards the next epoch's table, where the prediction is right."""
        check_labels("labels", labels, len(self.table))
        _check_rows(probs, labels.shape, len(self.table), "label")
        probs = probs.detach()
        right = probs.argmax(-1) == labels
        rows = labels[right].long().cpu()
        self._sums.index_add_(0, rows, probs[right].cpu().double())
        self._counts += torch.bincount(rows, minlength=len(self._counts))

    def end_epoch(self, group: "dist.ProcessGroup | None" = None) -> None:
        """Make the sums of this epoch, of all processes in `group`, the table of the next.

        Every process of the group has to call it. None: all there are.
        """
        sums, counts = _summed(self._sums, group), _summed(self._counts, group)
        seen = counts > 0
        self.table.fill_(1 / len(self.table))
        self.table[seen] = (sums[seen] / counts[seen, None]).to(self.table.dtype)
        self._sums.zero_()
        self._counts.zero_()
        self._blend()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, as tensors: every process's after `end_epoch`, in the middle of an epoch each one's own."""
        return {"table": self.table.clone(), "sums": self._sums.clone(), "counts": self._counts.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a state of :meth:`state_dict`."""
        self.table.copy_(state["table"])
        self._sums.copy_(state["sums"])
        self._counts.copy_(state["counts"])
        self._blend()

    def _blend(self) -> None:
        self._blended = self.weight * self.table + (1 - self.weight) * torch.eye(len(self.table))


class RunningTargets:
    """A running mean of the model's probabilities for every example (ELR; Liu et al. 2020, Eq. 9).

    t_i <- momentum * t_i + (1 - momentum) * p_i, from t_i = 0

    Where torch.distributed is initialised every process observes its own examples, and `end_epoch` merges them: a row
    that processes observed since the last merge becomes the mean of theirs, others stay.

    Args:
        num_examples: rows of the data set; `ids` index them.
        num_classes: K.
        momentum: their beta, in [0, 1).

    Special cases:
        momentum=0 gives the last probabilities observed.

    Notes:
        beta of the paper, 0.7 on CIFAR-10 and 0.9 on CIFAR-100.

    Complexity:
        num_examples x K float32 in host memory; a merge sends as much.

    When to use:
        labels are wrong and the early epochs are to be trusted: see ``losses.elr_penalty``.

    Limitations:
        an example seen once per epoch moves slowly, and memory grows with the data set.

    Example:
        >>> running = RunningTargets(3, 2, momentum=0.5)
        >>> running.observe(torch.tensor([2]), torch.tensor([[0.75, 0.25]]))
        >>> running.of(torch.tensor([2, 0])).tolist()
        [[0.375, 0.125], [0.0, 0.0]]
    """

    def __init__(self, num_examples: int, num_classes: int, *, momentum: float = 0.7) -> None:
        check_num_classes(num_classes)
        check_fraction("momentum", momentum)
        if momentum == 1:
            raise fail("momentum", "below 1", momentum, "at 1 nothing is ever learned")
        self.momentum = momentum
        self.values = torch.zeros(num_examples, num_classes)
        self._observed = torch.zeros(num_examples, dtype=torch.bool)

    def observe(self, ids: Tensor, probs: Tensor) -> None:
        """Move the targets of the examples (N,) `ids` towards (N, K) `probs`."""
        check_labels("ids", ids, len(self.values))
        _check_rows(probs, ids.shape, self.values.shape[1], "id")
        ids, probs = ids.long().cpu(), probs.detach().float().cpu()
        self.values[ids] = self.momentum * self.values[ids] + (1 - self.momentum) * probs
        self._observed[ids] = True

    def end_epoch(self, group: "dist.ProcessGroup | None" = None) -> None:
        """Merge what the processes in `group` have observed; on one process there is nothing to merge.

        Every process of the group has to call it. None: all there are.
        """
        if _is_shared(group):
            observers = _summed(self._observed.float(), group)
            sums = _summed(self.values * self._observed[:, None], group)
            merged = observers > 0
            self.values[merged] = sums[merged] / observers[merged, None]
        self._observed.zero_()

    def of(self, ids: Tensor) -> Tensor:
        """Return the (N, K) float32 running targets of (N,) `ids`, on their device."""
        check_labels("ids", ids, len(self.values))
        return self.values[ids.long().cpu()].to(ids.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, as tensors: every process's after `end_epoch`, in the middle of an epoch each one's own."""
        return {"values": self.values.clone(), "observed": self._observed.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a state of :meth:`state_dict`."""
        self.values.copy_(state["values"])
        self._observed.copy_(state["observed"])


def _check_rows(probs: Tensor, shape: torch.Size, num_classes: int, per: str) -> None:
    check_floating("probs", probs)
    if probs.shape != (*shape, num_classes):
        required = f"shape {(*shape, num_classes)}"
        raise fail("probs", required, tuple(probs.shape), f"give one row of K per {per}")
    required, remedy = "probabilities, in [0, 1]", "take logits.softmax(-1)"
    check_entries("probs", probs, lambda p: (p >= 0) & (p <= 1), required, remedy)


def _is_shared(group: "dist.ProcessGroup | None") -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1


def _summed(tensor: Tensor, group: "dist.ProcessGroup | None") -> Tensor:
    """Return the sum over the processes; NCCL adds what is on its GPU alone."""
    if not _is_shared(group):
        return tensor
    total = tensor.to("cuda") if dist.get_backend(group) == "nccl" else tensor.clone()
    dist.all_reduce(total, group=group)
    return total.to(tensor.device)
