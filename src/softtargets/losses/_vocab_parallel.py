"""Cross entropy of classes that are split over processes, for a vocabulary too large for one device.

The processes exchange a few numbers per example, twice: the largest logit, then the sums over their classes. The
gradient of a process's own logits needs nothing more, so the backward pass does not communicate.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils import _pytree

from softtargets._checks import check_num_classes, values_visible
from softtargets._errors import fail, sentence
from softtargets._native.chunks import Index, chunks
from softtargets._numerics import accumulating, times
from softtargets.losses.inputs import LossInputs, check_fit, check_order, moved_last, read_targets
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets

__all__ = ["vocab_parallel_cross_entropy"]

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


def vocab_parallel_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    group: "ProcessGroup | None" = None,
    num_classes: int | None = None,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Vocabulary-parallel cross entropy: the classes are split over the processes of a group.

        sum(t) * logsumexp(z) - <t, z>        gradient of this slice: sum(t) * softmax(z) - t, in this slice

    The value and the gradient are those of :func:`cross_entropy` on all classes. Smoothing is spread over the classes
    of all processes, except those that are masked.

    Args:
        logits: (..., K_local) float, the slice of this process. The slices, in the order of the ranks, are the K
            classes. They may differ in size and be empty.
        targets: (...) integer labels, float probabilities (..., K) over all K classes, or Targets of (...); the same on
            every process.
        group: the processes that share the classes; None: all.
        num_classes: expected K, checked if the targets do not record it; None: not checked.
        class_dim: the dimension of the classes; 1 for (N, K_local, d1, ...).
        ignore_index: label of an example to leave out. Soft targets mark such examples in ``Targets.ignored``.
        mask: (...) bool, True for an example to include; None: include every example that is not ignored.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, the same on every process, 0 for an example that is left out; () with "mean" or
        "sum".

    Raises:
        ValueError: if there is no process group, the slices do not add up to K classes, shapes differ, a label is out
            of range or not valid (first bad index named), or a target requires a gradient.
        TypeError: if logits are not a floating-point tensor, or targets are neither a tensor nor Targets.

    Special cases:
        one process gives cross_entropy; a process without classes returns the same losses as the others.

    Notes:
        Corresponds to Megatron's vocab_parallel_cross_entropy and torch's loss_parallel. Every process computes the
        same scalar from the same losses and calls backward on it: the gradient is the gradient of this one scalar,
        *not* multiplied by the number of processes, so average over data-parallel groups only, never over `group`.

    Complexity:
        Two all-reduces, of 1 and of at most 5 numbers per example (and one of the slice sizes if `valid` masks
        classes), none in the backward pass; O(N K_local) work; the extra memory is the gradient, of the size of the
        slice. It cannot be differentiated twice, nor used in torch.func.

    When to use:
        The last layer is split over the classes (tensor parallel), and N x K logits would not fit on one device. A
        DTensor that is sharded over its classes can be passed to cross_entropy directly.

    Limitations:
        With PyTorch 2.13, loss_parallel refuses smoothing and has wrong gradients for soft targets; Megatron's
        smoothing was wrong over a split vocabulary (its issues 737 and 7464).

    Aliases:
        split vocabulary; tensor-parallel loss; loss_parallel; parallel_cross_entropy

    Topics:
        many classes

    References:
        Shoeybi et al. 2019, *Megatron-LM: Training Multi-Billion Parameter Language Models Using Model Parallelism*,
        arXiv:1909.08053

    Example:
        >>> torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        >>> vocab_parallel_cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp().tolist()
        [4.0]
        >>> torch.distributed.destroy_process_group()
    """
    check_reduction(reduction)
    check_order(logits, targets)
    moved = moved_last(logits, class_dim)
    if num_classes is not None:
        check_num_classes(num_classes)
    ranks = ranks_of(group)
    if isinstance(targets, Tensor) and targets.is_floating_point():
        targets = moved_last(targets, class_dim)
    # the number of classes is known, and the range of labels is checked, once the processes have agreed
    read = read_targets(targets, tuple(moved.shape[:-1]), None, ignore_index=ignore_index, mask=mask)
    batch = LossInputs(moved, *read)
    return batch.finish(losses_of_slice(moved, batch.targets, ranks, num_classes), reduction)


@dataclass(frozen=True)
class Ranks:
    """The processes that the classes are split over, and the rank of this one among them."""

    place: int = 0
    count: int = 1
    group: "ProcessGroup | None" = None

    def largest(self, tensor: Tensor) -> Tensor:
        if self.count > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.group)
        return tensor

    def sum(self, tensor: Tensor) -> Tensor:
        if self.count > 1:
            dist.all_reduce(tensor, dist.ReduceOp.SUM, group=self.group)
        return tensor


def ranks_of(group: "ProcessGroup | None") -> Ranks:
    """Return the processes of a group; None: of the default group."""
    if not dist.is_available() or not dist.is_initialized():
        remedy = "call torch.distributed.init_process_group first, or use cross_entropy on all classes"
        raise fail("group", "an initialised process group", "none", remedy)
    place = dist.get_rank(group)
    if place < 0:
        raise fail(
            "group", "a group that includes this process", "another group", "call it only on the ranks of the group"
        )
    return Ranks(place, dist.get_world_size(group), group)


def losses_of_slice(logits: Tensor, targets: Targets, ranks: Ranks, num_classes: int | None) -> Tensor:
    """Return the losses of (..., K_local) logits against targets over all classes, one per example."""
    learning = [name for name, tensor in targets.tensors().items() if tensor.requires_grad]
    if learning and torch.is_grad_enabled():
        remedy = "detach it, or gather the logits and use cross_entropy"
        required = "targets that do not require a gradient if the classes are split"
        raise fail("targets", required, f"a {learning[0]} that requires one", remedy)
    return _Split.apply(logits, targets, ranks, num_classes)  # pyright: ignore[reportReturnType]


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Targets, ranks: Ranks, num_classes: int | None) -> Tensor:
        top, classes = _agree(logits, targets, ranks, num_classes)
        sums = top.new_zeros((3 if targets.rest is None else 5, *top.shape))
        for i in _chunks(logits):
            z = _masked(logits[i], targets[i], classes) - top[i][..., None]
            sums[(slice(None), *i)] = torch.stack([z.exp().sum(-1), *_Part(z, targets[i], classes).sums()])
        total, product, mass, *spread = ranks.sum(sums)
        log_total = total.log()
        losses = mass * log_total - product  # of shifted logits, so that no large numbers cancel
        if spread:
            rest = _wide(targets.rest, mass)
            losses = losses + rest * (log_total - spread[0] / spread[1])
            mass = mass + rest
        if ctx.needs_input_grad[0]:
            leaves, ctx.structure = _pytree.tree_flatten(targets)
            share = spread[1] if spread else None
            ctx.save_for_backward(logits, classes, top, log_total, mass, share, *leaves)
        return losses if targets.ignored is None else losses.masked_fill(targets.ignored, 0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if torch.is_grad_enabled():  # create_graph
            remedy = "gather the logits and use cross_entropy"
            raise RuntimeError(
                sentence("logits", "only first derivatives if the classes are split", "create_graph=True", remedy)
            )
        logits, classes, top, log_total, mass, share, *leaves = ctx.saved_tensors
        targets = _pytree.tree_unflatten(leaves, ctx.structure)
        gradient = torch.empty_like(logits)
        for i in _chunks(logits):
            z = _masked(logits[i], targets[i], classes) - top[i][..., None]
            part = _Part(z, targets[i], classes)
            work = z.sub_(log_total[i][..., None]).exp_().mul_((mass[i] * grad[i])[..., None])
            part.subtract(work, grad[i], None if share is None else share[i])
            if targets.valid is not None:
                work.masked_fill_(~targets[i].valid.index_select(-1, classes), 0.0)
            if targets.ignored is not None:
                work.masked_fill_(targets.ignored[i][..., None], 0.0)
            gradient[i] = work
        return gradient, None, None, None


class _Part:
    """The part of some targets that falls on the classes of this process, on shifted logits."""

    def __init__(self, z: Tensor, targets: Targets, classes: Tensor) -> None:
        self.prior = None
        if targets.index is not None:
            index = targets.index - classes[0]
            mine = (index >= 0) & (index < len(classes))
            self.index = index.clamp(0, len(classes) - 1)
            self.weights = _wide(targets.value, z).masked_fill(~mine, 0.0)
            self.logits = z.gather(-1, self.index)
            if targets.rest is not None:
                self.rest = _wide(targets.rest, z)
                there = z != -torch.inf
                self.prior = there.to(z.dtype)
                if targets.prior is not None:
                    self.prior = self.prior * targets.prior.index_select(0, classes).to(z.dtype)
                self.spread = (self.prior * z.masked_fill(~there, 0.0)).sum(-1)
            return
        self.index = None
        self.logits = z
        if targets.table is not None and targets.row is not None:
            self.weights = targets.table[targets.row[..., None], classes].to(z.dtype)
        else:
            self.weights = targets.gathered().index_select(-1, classes).to(z.dtype)

    def sums(self) -> list[Tensor]:
        """Return <t, z> and the mass without smoothing; with smoothing also <prior, z> and the sum of the prior."""
        sums = [times(self.weights, self.logits).sum(-1), self.weights.sum(-1)]
        return sums if self.prior is None else [*sums, self.spread, self.prior.sum(-1)]

    def subtract(self, work: Tensor, scale: Tensor, share: Tensor | None) -> None:
        """Subtract ``scale * t``; `share` is the sum of the prior over the classes of all processes."""
        if self.index is None:
            work.sub_(self.weights * scale[..., None])
            return
        work.scatter_add_(-1, self.index, self.weights * -scale[..., None])
        if self.prior is not None and share is not None:
            work.sub_((self.rest * scale / share)[..., None] * self.prior)


def _agree(logits: Tensor, targets: Targets, ranks: Ranks, num_classes: int | None) -> tuple[Tensor, Tensor]:
    """Return the largest logit of every example over all processes, and the classes of this one."""
    top = logits.new_full(logits.shape[:-1], -torch.inf, dtype=accumulating(logits.dtype))
    sizes = top.new_zeros(ranks.count)
    sizes[ranks.place] = logits.shape[-1]
    classes = None
    if targets.valid is not None:  # which columns of the mask belong to this process depends on the other slices
        classes = _mine(ranks.largest(sizes), logits.shape[-1], targets, ranks, num_classes)
    for i in _chunks(logits):
        top[i] = _masked(logits[i], targets[i], classes).amax(-1)
    both = ranks.largest(torch.cat([top.flatten(), sizes]))
    if classes is None:
        classes = _mine(both[-ranks.count :], logits.shape[-1], targets, ranks, num_classes)
    top = both[: -ranks.count].view(top.shape)
    return top.masked_fill(~top.isfinite(), 0.0), classes


def _mine(sizes: Tensor, size: int, targets: Targets, ranks: Ranks, num_classes: int | None) -> Tensor:
    """Return the classes of this process, given how many each process has."""
    sizes = sizes.long()
    if values_visible(sizes):
        each = sizes.tolist()
        known = targets.num_classes if num_classes is None else num_classes
        if known is not None and known != sum(each):
            remedy = "give every process its own slice, or fix num_classes and the targets"
            raise fail("logits", f"slices of {known} classes in all", f"{sum(each)}, of sizes {each}", remedy)
        if sum(each) < 2:
            raise fail("logits", "at least 2 classes in all", f"sizes {each}", "set class_dim")
        check_fit(targets, tuple(targets.shape), sum(each))
    first = sizes[: ranks.place].sum()
    return first + torch.arange(size, device=sizes.device)


def _masked(logits: Tensor, targets: Targets, classes: Tensor | None) -> Tensor:
    """Return a chunk of logits in the accumulating dtype: 0 if ignored, -inf if the class is not valid."""
    z = logits.to(accumulating(logits.dtype))
    if targets.ignored is not None:
        z = z.masked_fill(targets.ignored[..., None], 0.0)
    if targets.valid is not None and classes is not None:
        z = z.masked_fill(~targets.valid.index_select(-1, classes), -torch.inf)
    return z


def _wide(weights: Tensor | None, like: Tensor) -> Tensor:
    assert weights is not None
    return weights.to(like.dtype)


def _chunks(logits: Tensor) -> Iterable[Index]:
    return chunks(logits) if logits.shape[-1] else ()
