"""Cross entropy of DTensors, whose examples or classes are sharded over a device mesh."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.losses._vocab_parallel import Ranks, losses_of_slice, ranks_of
from softtargets.losses.inputs import LossInputs, check_layout, check_order, check_shape, moved_last, read_targets
from softtargets.losses.reduction import Reduction
from softtargets.targets import Targets

if TYPE_CHECKING:
    from typing import TypeGuard

    from torch.distributed.tensor import DTensor


def is_dtensor(logits: object) -> "TypeGuard[DTensor]":
    """Return whether logits are a DTensor, without importing torch.distributed.tensor."""
    if type(logits) is Tensor:
        return False
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(logits, module.DTensor)


def dtensor_cross_entropy(
    logits: "DTensor",
    targets: Targets | Tensor,
    *,
    class_dim: int,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> "DTensor":
    """Return the cross entropy of a DTensor: a DTensor of losses, sharded as its examples, replicated over its classes.

    Args:
        logits: (..., K) float; each dimension of the mesh replicates it or shards the examples; at most one shards the
            classes.
        targets: (...) integer labels, probabilities of the shape of the logits, or Targets, of all examples and
            classes. Plain tensors must be the same on every process; DTensors follow their placements.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, True for an example to include.
        reduction: "none", "mean" or "sum".
    """
    from torch.distributed.tensor import DTensor

    check_order(logits, targets)
    moved_last(logits, class_dim)
    mesh, dim = logits.device_mesh, class_dim % logits.ndim
    examples, ranks = _placements(logits, dim)
    size, shape = logits.shape[dim], tuple(logits.shape[:dim] + logits.shape[dim + 1 :])
    if isinstance(targets, Tensor):
        check_layout(logits, targets, shape, dim)
        targets = targets.movedim(dim, -1) if targets.is_floating_point() else targets
    else:
        check_shape(targets, shape)
    # only the local part is checked, because reading a DTensor would communicate
    ours = _local_targets(targets, shape, mesh, examples)
    here = None if mask is None else _local(mask, mesh, examples)
    local = logits.to_local(grad_placements=logits.placements).movedim(dim, -1)
    read = read_targets(ours, tuple(local.shape[:-1]), None, ignore_index=ignore_index, mask=here)
    batch = LossInputs(local, *read)
    losses = losses_of_slice(local, batch.targets, ranks, size)
    stride = torch.empty(shape, device="meta").stride()

    def whole(tensor: Tensor) -> "DTensor":
        return DTensor.from_local(tensor, mesh, examples, run_check=False, shape=torch.Size(shape), stride=stride)

    if reduction == "none":
        return whole(losses)
    total = cast("DTensor", whole(losses).sum())
    if reduction == "sum":
        return total
    counts = torch.ones_like(losses) if batch.left_out is None else (~batch.left_out).to(losses.dtype)
    return cast("DTensor", total / whole(counts).sum().clamp(min=1))


def _placements(logits: "DTensor", dim: int) -> tuple[list[Any], Ranks]:
    """Return the placements of the losses, and the processes that share the classes."""
    from torch.distributed.tensor import Replicate, Shard

    examples, ranks = [], Ranks()
    for axis, placement in enumerate(logits.placements):
        if placement.is_replicate():
            examples.append(Replicate())
        elif type(placement) is Shard and placement.dim != dim:
            examples.append(Shard(placement.dim - (placement.dim > dim)))
        elif type(placement) is Shard and ranks.count == 1:
            examples.append(Replicate())
            ranks = ranks_of(logits.device_mesh.get_group(axis))
        else:
            required = "a DTensor that is replicated or sharded, over its classes at most once"
            remedy = f"redistribute it first: logits.redistribute(placements=...), Shard({dim}) for its classes"
            raise fail("logits", required, f"placements {logits.placements}", remedy)
    return examples, ranks


def _local(tensor: Tensor, mesh: Any, examples: Sequence[Any]) -> Tensor:
    """Return the part of a tensor that belongs to the examples of this process."""
    from torch.distributed.tensor import DTensor, Replicate

    if isinstance(tensor, DTensor) or any(placement.is_shard() for placement in examples):
        if not isinstance(tensor, DTensor):
            tensor = DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)
        return tensor.redistribute(placements=examples).to_local()
    return tensor


def _local_targets(
    targets: Targets | Tensor, shape: tuple[int, ...], mesh: Any, examples: Sequence[Any]
) -> Targets | Tensor:
    """Return the targets of the examples of this process, over all classes."""
    from torch.distributed.tensor import DTensor

    if isinstance(targets, Tensor):
        return _local(targets, mesh, examples)
    moved: dict[str, Tensor] = {}
    for name, tensor in targets.tensors().items():
        if name in ("prior", "table") or (name == "valid" and tensor.ndim == 1):
            moved[name] = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        else:
            moved[name] = _local(tensor.expand(*shape, -1) if name == "valid" else tensor, mesh, examples)
    return replace(targets, **moved)
