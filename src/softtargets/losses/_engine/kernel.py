"""Kernels: one loss, as its values and gradient on a chunk of rows and as plain torch operations."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from softtargets._numerics import accumulating, at_least_float32, shifted, times
from softtargets.losses._engine.fused import fused
from softtargets.targets import Targets

Index = tuple[Any, ...]  # slices, ints or an ellipsis


class ChunkKernel(Protocol):
    """One loss of the rows of (..., K) logits."""

    def chunk(self, logits: Tensor, index: Index, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
        """Return the losses of one chunk of logits, rows `index`; write the gradient of ``sum(scale * losses)``."""
        ...

    def plain(self, logits: Tensor) -> Tensor:
        """Return the losses of all rows by operations that autograd knows."""
        ...

    def tensors(self) -> Iterable[Tensor]:
        """Return what the loss is made of beside the logits: it must stay what it is until the backward pass."""
        ...


class CrossEntropyKernel:
    """Cross entropy against some targets."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets

    def chunk(self, logits: Tensor, index: Index, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
        targets, wide = self.targets, accumulating(logits.dtype)
        if targets.table is not None and targets.table.dtype != wide:
            # once for all chunks, rather than row by row as they are taken
            self.targets = targets = replace(targets, table=targets.table.to(wide))
        return fused(logits, targets[index], scale, gradient)

    def tensors(self) -> Iterable[Tensor]:
        return self.targets.tensors().values()

    def plain(self, logits: Tensor) -> Tensor:
        targets = self.targets
        z = at_least_float32(logits)
        if targets.ignored is not None:
            z = z.masked_fill(targets.ignored[..., None], 0.0)
        if targets.valid is not None:
            z = z.masked_fill(~targets.valid, -torch.inf)
        z = shifted(z)
        lse = z.logsumexp(-1)
        # Sums of weight * -log p, rather than mass * lse - <t, z>: no large numbers cancel.
        if targets.value is not None and targets.index is not None:
            value = targets.value.to(z.dtype)
            loss = times(value, lse[..., None] - z.gather(-1, targets.index)).sum(-1)
            if targets.rest is not None:
                loss = loss + targets.rest.to(z.dtype) * (lse - _mean_logit(z, targets))
        else:
            loss = times(targets.gathered().to(z.dtype), lse[..., None] - z).sum(-1)
        return loss if targets.ignored is None else loss.masked_fill(targets.ignored, 0.0)


def _mean_logit(z: Tensor, targets: Targets) -> Tensor:
    """Mean of the logits under the prior, over the classes that are not masked."""
    masked = z == -torch.inf
    if targets.prior is not None:
        prior = targets.prior.to(z).masked_fill(masked, 0.0)
        return times(prior, z).sum(-1) / prior.sum(-1)
    return z.masked_fill(masked, 0.0).sum(-1) / (~masked).sum(-1)
