"""Cross entropy where the classes are split over processes: a vocabulary too large for one of them.

What the processes tell one another is a few numbers per example, twice: the largest logit, then the sums over their
classes. The gradient of a process's own logits needs nothing more, so nothing is said in the backward pass.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils import _pytree

from softtargets._checks import check_floating, check_num_classes, values_visible
from softtargets._errors import fail, sentence
from softtargets._numerics import accumulating, times
from softtargets.losses._engine.chunked import chunks
from softtargets.losses._engine.kernel import Index
from softtargets.losses.inputs import as_targets, check_fit, check_shape
from softtargets.targets import Targets

__all__ = ["vocab_parallel_cross_entropy"]

if TYPE_CHECKING:
    from typing import TypeGuard

    from torch.distributed import ProcessGroup
    from torch.distributed.tensor import DTensor


def vocab_parallel_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    group: "ProcessGroup | None" = None,
    num_classes: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Vocabulary-parallel cross entropy: the classes are split over the processes of a group.

        sum(t) * logsumexp(z) - <t, z>        gradient of this slice: sum(t) * softmax(z) - t, in this slice

    The value and the gradient of :func:`cross_entropy` on all classes: smoothing is spread over the classes of all
    processes, less those that are masked on any of them.

    Args:
        logits: (..., K_local) float, this process's slice: the slices in the order of the ranks are the K classes. They
            may differ in size, and be empty.
        targets: Targets over all K classes, or (...) int64 labels; the same on every process.
        group: the processes that share the classes; None: all.
        num_classes: K, if it is to be checked where the targets do not know it.
        class_dim: where the classes are; 1 for (N, K_local, d1, ...).

    Returns:
        (...) float32 or wider, nats, the same on every process; ignored examples 0.

    Raises:
        ValueError: where there is no process group, the slices are not K classes in all, shapes differ, a label is out
            of range or not valid (first bad index named), or a target requires a gradient.
        TypeError: where logits are not floating-point, or targets are a floating-point tensor: say ``targets.dense``.

    Special cases:
        one process gives cross_entropy; a process without classes agrees with the others.

    Notes:
        Megatron's vocab_parallel_cross_entropy, torch's loss_parallel. Every process computes the same scalar from the
        same losses and calls backward on it: the gradient is that of this one scalar, *not* times the number of
        processes, so average over data-parallel groups only, never over `group`.

    Complexity:
        two reductions, of 1 and of at most 5 numbers per example (and one of the slices' sizes where `valid` masks
        classes), none in the backward pass; O(N K_local) work; extra memory is the gradient, of the size of the slice.
        Not differentiable twice, nor inside torch.func.

    When to use:
        the last layer is split over the classes (tensor parallel), and gathering N x K logits would not fit. A DTensor
        that is sharded over its classes goes to cross_entropy as it is.

    Limitations:
        with PyTorch 2.13, loss_parallel refuses smoothing and has wrong gradients for soft targets; Megatron's
        smoothing was wrong over a split vocabulary (its issues 737 and 7464).

    Aliases:
        split vocabulary; tensor-parallel loss

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
    check_floating("logits", logits)
    targets = as_targets(targets)
    if num_classes is not None:
        check_num_classes(num_classes)
    return _losses(logits, targets, _ranks_of(group), num_classes, class_dim)


def is_split(logits: Tensor) -> "TypeGuard[DTensor]":
    """Say whether logits are a DTensor, without importing what only the owner of one has imported."""
    if type(logits) is Tensor:
        return False
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(logits, module.DTensor)


def split_dtensor(logits: "DTensor", targets: Targets | Tensor, class_dim: int) -> "DTensor":
    """Return the cross entropy of a DTensor, a DTensor of losses: sharded as its examples, equal over its classes.

    Args:
        logits: (..., K) float; over each dimension of the mesh replicated, sharded over examples or, over one of them,
            over the classes.
        targets: Targets, or (...) int64 labels, of all examples and classes. Plain tensors are the same on every
            process; DTensors are as their placements say.
        class_dim: where the classes are.
    """
    from torch.distributed.tensor import DTensor, Replicate, Shard

    check_floating("logits", logits)
    mesh, dim = logits.device_mesh, class_dim % logits.ndim
    examples, ranks = [], _Ranks()
    for axis, placement in enumerate(logits.placements):
        if placement.is_replicate():
            examples.append(Replicate())
        elif type(placement) is Shard and placement.dim != dim:
            examples.append(Shard(placement.dim - (placement.dim > dim)))
        elif type(placement) is Shard and ranks.count == 1:
            examples.append(Replicate())
            ranks = _ranks_of(mesh.get_group(axis))
        else:
            required = "a DTensor that is replicated or sharded, over its classes at most once"
            remedy = f"redistribute it first: logits.redistribute(placements=...), Shard({class_dim}) for its classes"
            raise fail("logits", required, f"placements {logits.placements}", remedy)
    size, shape = logits.shape[dim], tuple(logits.shape[:dim] + logits.shape[dim + 1 :])

    def here(tensor: Tensor) -> Tensor:
        if isinstance(tensor, DTensor) or any(placement.is_shard() for placement in examples):
            if not isinstance(tensor, DTensor):
                tensor = DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)
            return tensor.redistribute(placements=examples).to_local()
        return tensor

    if isinstance(targets, Tensor):  # labels are looked at here alone: a look at a DTensor would be a collective
        ours = as_targets(here(targets))
        check_shape(targets, shape)
    else:
        check_shape(targets, shape)
        moved: dict[str, Tensor] = {}
        for name, tensor in targets.tensors().items():
            if name in ("prior", "table") or (name == "valid" and tensor.ndim == 1):
                moved[name] = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            else:
                moved[name] = here(tensor.expand(*shape, -1) if name == "valid" else tensor)
        ours = replace(targets, **moved)
    local = logits.to_local(grad_placements=logits.placements)
    losses = _losses(local, ours, ranks, size, dim)
    stride = torch.empty(shape, device="meta").stride()
    return DTensor.from_local(losses, mesh, examples, run_check=False, shape=torch.Size(shape), stride=stride)


@dataclass(frozen=True)
class _Ranks:
    """The processes that the classes are split over, and this one's place among them."""

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


def _ranks_of(group: "ProcessGroup | None") -> _Ranks:
    if not dist.is_available() or not dist.is_initialized():
        remedy = "call torch.distributed.init_process_group first, or use cross_entropy on all classes"
        raise fail("group", "an initialised process group", "none", remedy)
    place = dist.get_rank(group)
    if place < 0:
        raise fail("group", "a group of which this process is one", "another", "call it on the group's ranks alone")
    return _Ranks(place, dist.get_world_size(group), group)


def _losses(logits: Tensor, targets: Targets, ranks: _Ranks, num_classes: int | None, class_dim: int) -> Tensor:
    logits = logits.movedim(class_dim, -1)
    check_shape(targets, tuple(logits.shape[:-1]))
    learning = [name for name, tensor in targets.tensors().items() if tensor.requires_grad]
    if learning and torch.is_grad_enabled():
        remedy = "detach it, or gather the logits and use cross_entropy"
        raise fail("targets", "without a gradient where the classes are split", f"a {learning[0]} that has one", remedy)
    return _Split.apply(logits, targets, ranks, num_classes)  # pyright: ignore[reportReturnType]


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Targets, ranks: _Ranks, num_classes: int | None) -> Tensor:
        top, classes = _agree(logits, targets, ranks, num_classes)
        sums = top.new_zeros((3 if targets.rest is None else 5, *top.shape))
        for i in _chunks(logits):
            z = _masked(logits[i], targets[i], classes) - top[i][..., None]
            sums[(slice(None), *i)] = torch.stack([z.exp().sum(-1), *_Part(z, targets[i], classes).sums()])
        total, product, mass, *spread = ranks.sum(sums)
        log_total = total.log()
        losses = mass * log_total - product  # of logits less the largest of all: no large numbers cancel
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
            raise RuntimeError(sentence("logits", "differentiated once where split", "create_graph=True", remedy))
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
    """What falls to the classes of this process of some targets, over logits less the largest."""

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
        """Return <t, z> and the mass without smoothing; then, with it, the prior's <prior, z> and its share."""
        sums = [times(self.weights, self.logits).sum(-1), self.weights.sum(-1)]
        return sums if self.prior is None else [*sums, self.spread, self.prior.sum(-1)]

    def subtract(self, work: Tensor, scale: Tensor, share: Tensor | None) -> None:
        """Subtract ``scale * t``; the prior has the given share of all processes' classes."""
        if self.index is None:
            work.sub_(self.weights * scale[..., None])
            return
        work.scatter_add_(-1, self.index, self.weights * -scale[..., None])
        if self.prior is not None and share is not None:
            work.sub_((self.rest * scale / share)[..., None] * self.prior)


def _agree(logits: Tensor, targets: Targets, ranks: _Ranks, num_classes: int | None) -> tuple[Tensor, Tensor]:
    """Return the largest logit of every example over all processes, and the classes of this one."""
    top = logits.new_full(logits.shape[:-1], -torch.inf, dtype=accumulating(logits.dtype))
    sizes = top.new_zeros(ranks.count)
    sizes[ranks.place] = logits.shape[-1]
    classes = None
    if targets.valid is not None:  # which columns of the mask are this process's, it learns from the others
        classes = _mine(ranks.largest(sizes), logits.shape[-1], targets, ranks, num_classes)
    for i in _chunks(logits):
        top[i] = _masked(logits[i], targets[i], classes).amax(-1)
    both = ranks.largest(torch.cat([top.flatten(), sizes]))
    if classes is None:
        classes = _mine(both[-ranks.count :], logits.shape[-1], targets, ranks, num_classes)
    top = both[: -ranks.count].view(top.shape)
    return top.masked_fill(~top.isfinite(), 0.0), classes


def _mine(sizes: Tensor, size: int, targets: Targets, ranks: _Ranks, num_classes: int | None) -> Tensor:
    """Return the classes of this process, given how many each has."""
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
    """Return a chunk of logits in the accumulating dtype, 0 where ignored and -inf where a class is not valid."""
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
