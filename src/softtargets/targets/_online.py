"""Targets that are learned during training: per class (online label smoothing) and per example (ELR)."""

import torch
import torch.distributed as dist
from torch import Tensor

from softtargets._checks import check_count, check_entries, check_num_classes, read_ids, read_labels
from softtargets._errors import fail, fail_type
from softtargets.targets._rules import from_table
from softtargets.targets._targets import Targets
from softtargets.targets.checks import classes_last, fraction

__all__ = ["OnlineSmoothing", "RunningTargets"]


class OnlineSmoothing:
    """Online label smoothing: soft labels per class, from the correct predictions of the last epoch.

    t = (1 - weight) * onehot(label) + weight * table[label]

    `table[y]` is the mean predicted probability over the examples of class y that were classified correctly in the last
    epoch. A class without correct predictions gets a uniform row, as every class does in the first epoch. The authors'
    code does the same. Sums are kept in float64. With torch.distributed each process observes its own examples, and
    `end_epoch` computes one table from all of them.

    Args:
        num_classes: K.
        weight: weight of the soft label, in [0, 1]; 0.5 in the paper.

    Special cases:
        weight=0 gives hard(labels); until the first epoch ends, the targets are smooth(labels, weight).

    Notes:
        The paper's loss, alpha times the loss on the labels plus 1 - alpha times the loss on the table, equals the loss
        on this t with weight = 1 - alpha.

    Complexity:
        A K x K table and K x K sums. Observing a batch costs O(N K); no N x K target is built.

    When to use:
        Similarities between classes are unknown, and training is long enough to learn them within an epoch.

    Limitations:
        With label noise, the rows average over the examples that the model has fitted, including wrong labels.

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
        self.weight = fraction("weight", weight)
        self.table = torch.full((num_classes, num_classes), 1 / num_classes)
        self._sums = torch.zeros(num_classes, num_classes, dtype=torch.float64)
        self._counts = torch.zeros(num_classes, dtype=torch.int64)
        self._blend()

    def targets(self, labels: Tensor, *, ignore_index: int | None = -100) -> Targets:
        """Return the targets of (...) integer labels, from the table of the last epoch.

        Labels equal to `ignore_index` have no target (None: no label is ignored).
        """
        if isinstance(labels, Tensor):
            self._blended = self._blended.to(labels.device)
        return from_table(labels, self._blended, ignore_index=ignore_index)

    def observe(self, probs: Tensor, labels: Tensor, *, class_dim: int = -1, ignore_index: int | None = -100) -> None:
        """Add correctly classified examples to the sums for the next epoch's table.

        Args:
            probs: (..., K) float, the model's probabilities.
            labels: (...) integers in [0, K).
            class_dim: dimension of the classes in `probs`.
            ignore_index: label of an example to leave out; None: no label is ignored.
        """
        size = len(self.table)
        probs = _checked_probs(probs, size, class_dim)
        shape = tuple(probs.shape[:-1])
        labels, ignored = read_labels("labels", labels, num_classes=size, shape=shape, ignore_index=ignore_index)
        right = probs.argmax(-1) == labels
        if ignored is not None:
            right &= ~ignored
        rows = labels[right].cpu()
        self._sums.index_add_(0, rows, probs[right].cpu().double())
        self._counts += torch.bincount(rows, minlength=len(self._counts))

    def end_epoch(self, group: "dist.ProcessGroup | None" = None) -> None:
        """Compute the next epoch's table from this epoch's sums over all processes in `group`, and reset the sums.

        Every process of the group must call it. None: the default group.
        """
        sums, counts = _summed(self._sums, group), _summed(self._counts, group)
        seen = counts > 0
        self.table.fill_(1 / len(self.table))
        self.table[seen] = (sums[seen] / counts[seen, None]).to(self.table.dtype)
        self._sums.zero_()
        self._counts.zero_()
        self._blend()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state as tensors. It is the same in all processes only right after `end_epoch`."""
        return {"table": self.table.clone(), "sums": self._sums.clone(), "counts": self._counts.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore a state returned by :meth:`state_dict`."""
        _check_state(state, self.state_dict())
        self.table.copy_(state["table"])
        self._sums.copy_(state["sums"])
        self._counts.copy_(state["counts"])
        self._blend()

    def _blend(self) -> None:
        self._blended = self.weight * self.table + (1 - self.weight) * torch.eye(len(self.table))


class RunningTargets:
    """Keep a running mean of the model's probabilities for every example (ELR; Liu et al. 2020, Eq. 9).

    t_i <- momentum * t_i + (1 - momentum) * p_i, from t_i = 0

    With torch.distributed each process observes its own examples, and `end_epoch` merges them: a row that several
    processes have observed since the last merge becomes the mean of their values.

    Args:
        num_examples: number of examples in the data set; `ids` index them.
        num_classes: K.
        momentum: beta of the paper, in [0, 1).

    Special cases:
        momentum=0 gives the last observed probabilities.

    Notes:
        beta is 0.7 on CIFAR-10 and 0.9 on CIFAR-100 in the paper. The authors' code clamps and renormalises the
        probabilities before it averages them; do so before :meth:`observe` to match it.

    Complexity:
        num_examples x K float32 numbers in host memory; a merge communicates the same number.

    When to use:
        Labels are noisy and predictions from early epochs are reliable: see ``losses.elr_penalty``.

    Limitations:
        A target changes slowly if its example is seen once per epoch, and memory grows with the data set.

    Example:
        >>> running = RunningTargets(3, 2, momentum=0.5)
        >>> running.observe(torch.tensor([2]), torch.tensor([[0.75, 0.25]]))
        >>> running.of(torch.tensor([2, 0])).tolist()
        [[0.375, 0.125], [0.0, 0.0]]
    """

    def __init__(self, num_examples: int, num_classes: int, *, momentum: float = 0.7) -> None:
        check_count("num_examples", num_examples, remedy="pass the number of examples in the data set")
        check_num_classes(num_classes)
        self.momentum = fraction("momentum", momentum)
        if self.momentum == 1:
            raise fail("momentum", "below 1", "1", "with 1 the targets stay 0")
        self.values = torch.zeros(num_examples, num_classes)
        self._observed = torch.zeros(num_examples, dtype=torch.bool)

    def observe(self, ids: Tensor, probs: Tensor, *, class_dim: int = -1) -> None:
        """Update the targets of some examples.

        Args:
            ids: (...) integers in [0, num_examples).
            probs: (..., K) float, the model's probabilities for them.
            class_dim: dimension of the classes in `probs`.
        """
        _check_ids(ids)
        probs = _checked_probs(probs, self.values.shape[1], class_dim)
        ids = read_ids("ids", ids, len(self.values))
        if probs.shape[:-1] != ids.shape:
            required = f"shape {(*ids.shape, probs.shape[-1])}"
            raise fail("probs", required, tuple(probs.shape), "pass one row of K probabilities per id")
        ids = ids.reshape(-1).cpu()
        rows = probs.float().cpu().reshape(-1, probs.shape[-1])
        self.values[ids] = self.momentum * self.values[ids] + (1 - self.momentum) * rows
        self._observed[ids] = True

    def end_epoch(self, group: "dist.ProcessGroup | None" = None) -> None:
        """Merge the observations of all processes in `group`; does nothing with a single process.

        Every process of the group must call it. None: the default group.
        """
        if _is_shared(group):
            observers = _summed(self._observed.float(), group)
            sums = _summed(self.values * self._observed[:, None], group)
            merged = observers > 0
            self.values[merged] = sums[merged] / observers[merged, None]
        self._observed.zero_()

    def of(self, ids: Tensor) -> Tensor:
        """Return the (..., K) float32 running targets of (...) integer `ids`, on the device of the ids."""
        _check_ids(ids)
        return self.values[read_ids("ids", ids, len(self.values)).cpu()].to(ids.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state as tensors. It is the same in all processes only right after `end_epoch`."""
        return {"values": self.values.clone(), "observed": self._observed.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore a state returned by :meth:`state_dict`."""
        _check_state(state, self.state_dict())
        self.values.copy_(state["values"])
        self._observed.copy_(state["observed"])


def _checked_probs(probs: Tensor, num_classes: int, class_dim: int) -> Tensor:
    """Return probabilities as (..., K), detached."""
    moved = classes_last("probs", probs, class_dim).detach()
    if moved.shape[-1] != num_classes:
        remedy = "pass one probability per class"
        raise fail("probs", f"{num_classes} classes in dimension {class_dim}", tuple(probs.shape), remedy)
    required, remedy = "probabilities, in [0, 1]", "use logits.softmax(-1)"
    check_entries("probs", moved, lambda p: (p >= 0) & (p <= 1), required, remedy)
    return moved


def _check_state(state: object, own: dict[str, Tensor]) -> None:
    """Require a state with the same tensors, of the same shapes."""
    remedy = "pass the state_dict() of an object with the same arguments"
    if not isinstance(state, dict):
        raise fail_type("state", "a dict", type(state).__name__, remedy)
    for name, tensor in own.items():
        if not isinstance(state.get(name), Tensor):
            raise fail("state", f"a tensor '{name}'", f"the keys {sorted(map(str, state))}", remedy)
        if state[name].shape != tensor.shape:
            required = f"'{name}' of shape {tuple(tensor.shape)}"
            raise fail("state", required, tuple(state[name].shape), remedy)


def _check_ids(ids: object) -> None:
    """Refuse a bool mask, which indexing would take for one, and probabilities passed as ids."""
    if isinstance(ids, Tensor) and (ids.is_floating_point() or ids.dtype == torch.bool):
        remedy = "pass the integer ids first; for a mask use mask.nonzero()[:, 0]"
        raise fail_type("ids", "integer ids of examples", f"dtype {ids.dtype}", remedy)


def _is_shared(group: "dist.ProcessGroup | None") -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1


def _summed(tensor: Tensor, group: "dist.ProcessGroup | None") -> Tensor:
    """Return the sum over all processes. NCCL only reduces tensors on the GPU."""
    if not _is_shared(group):
        return tensor
    total = tensor.to("cuda") if dist.get_backend(group) == "nccl" else tensor.clone()
    dist.all_reduce(total, group=group)
    return total.to(tensor.device)
