"""Linear cross entropy in blocks of classes, without the sum of the weight's gradients in a wider dtype.

The logits are computed twice: once for the losses, and once more for the gradients, when the normalisers of all rows
are known. The gradient of a block of the weight is then complete after one sweep over the rows, and rounded once. In
half precision this needs less than half the memory of chunks of rows, which need a float32 sum for the whole weight.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._native.class_tile import tile_gradient, tile_sums
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import accumulating, times

# Rows of a tile of logits, and numbers of the weight that are converted at once: a tile stays in the cache.
ROWS, BLOCK = 512, 2**18
FEWEST = 128


@functools.cache
def product_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which matrix products of half-precision tensors are fastest on this processor.

    Without matrix units, products in bfloat16 and float16 are slower than those in float32.
    """
    if dtype == torch.bfloat16 and torch.cpu._is_amx_tile_supported():
        return dtype
    return accumulating(dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What the gradients need of every row.

    Args:
        top: (N,) the largest logit, finite.
        total: (N,) sum of exp(logit - top).
        mass: (N,) sum of the target.
        spread: (N,) sum of the prior over the classes whose logit is not -inf; None: there is no smoothing.
        everywhere: whether no logit is -inf.
    """

    top: Tensor
    total: Tensor
    mass: Tensor
    spread: Tensor | None
    everywhere: bool


class Blocks:
    """A linear layer and targets, cut into tiles of rows and classes.

    Args:
        hidden: (N, H) half precision.
        weight: (K, H) of the same dtype.
        bias: (K,) or None.
        targets: of (N,) rows.
        rows: rows of a tile.
    """

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: RowTargets, rows: int) -> None:
        self.hidden, self.weight, self.bias, self.targets = hidden, weight, bias, targets
        self.rows, self.wide, self.dtype = rows, accumulating(hidden.dtype), product_dtype(hidden.dtype)
        self.classes = min(len(weight), max(FEWEST, BLOCK // max(1, hidden.shape[1])))
        self.tile = hidden.new_empty(min(rows, len(hidden)) * self.classes, dtype=self.dtype)
        any_left_out = targets.left_out is not None and bool(targets.left_out.any())
        self.left_out = targets.left_out if any_left_out else None

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield slices of the classes, and the weight there in the dtype of the products."""
        for start in range(0, len(self.weight), self.classes):
            block = slice(start, min(start + self.classes, len(self.weight)))
            yield block, self.weight[block].to(self.dtype)

    def _tiles(self, block: slice, weight: Tensor) -> Iterator[tuple[slice, Tensor, Tensor, RowTargets]]:
        """Yield slices of the rows, their hidden states, their logits of a block of classes, and their targets.

        The logits are not yet rounded to half precision, and in memory that the next tile uses again.
        """
        across = weight.T.contiguous()
        bias = None if self.bias is None else self.bias[block].to(self.dtype)
        for start in range(0, len(self.hidden), self.rows):
            rows = slice(start, min(start + self.rows, len(self.hidden)))
            hidden, targets = self.hidden[rows].to(self.dtype), self.targets.at((rows,))
            z = self.tile[: hidden.shape[0] * across.shape[1]].view(hidden.shape[0], across.shape[1])
            if bias is None:
                torch.mm(hidden, across, out=z)
            else:
                torch.addmm(bias, hidden, across, out=z)
            z = z.to(self.wide)
            if self.left_out is not None:
                z.masked_fill_(self.left_out[rows, None], 0.0)
            if targets.valid is not None:
                z.masked_fill_(~targets.valid[..., block], -torch.inf)
            yield rows, hidden, z, targets

    def losses(self) -> tuple[Tensor, Statistics]:
        """Return the loss of every row, (N,) float32 or wider, and what the gradients need."""
        number, wide = len(self.hidden), self.wide
        top = torch.full((number,), torch.finfo(wide).min, dtype=wide, device=self.hidden.device)
        total, sums = top.new_zeros(number), _Sums(self.targets, top)
        for block, weight in self._blocks():
            for rows, _, z, targets in self._tiles(block, weight):
                linear = tile_sums(z, self.hidden.dtype, top[rows], total[rows])
                sums.add(rows, block, z, linear, targets)
        losses, mass = sums.losses(top.double(), total.double().log_())
        losses = losses.to(wide)
        if self.left_out is not None:
            losses.masked_fill_(self.left_out, 0.0)
        return losses, Statistics(top, total, mass.to(wide), sums.spread, sums.everywhere)

    def gradients(
        self, found: Statistics, scale: Tensor, needed: tuple[bool, bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of ``sum(scale * losses)`` for the hidden states, the weight and the bias.

        Args:
            found: what :meth:`losses` returned.
            scale: (N,) of the accumulating dtype.
            needed: which of the three to compute.
        """
        hidden, weight, bias = self.hidden, self.weight, self.bias
        if self.left_out is not None:
            scale = scale.masked_fill(self.left_out, 0.0)
        half, none = hidden.dtype, torch.zeros_like(scale)
        factor, shares = found.mass * scale / found.total, none
        if self.targets.rest is not None and found.spread is not None:
            shares = self.targets.rest.to(self.wide) * scale / found.spread
        of_hidden = hidden.new_zeros(hidden.shape, dtype=self.wide) if needed[0] else None
        of_weight = torch.empty_like(weight) if needed[1] else None
        of_bias = None if bias is None or not needed[2] else torch.empty_like(bias)
        for block, part in self._blocks():
            weight_sum = part.new_zeros(part.shape, dtype=self.wide) if of_weight is not None else None
            bias_sum = part.new_zeros(len(part), dtype=self.wide) if of_bias is not None else None
            for rows, states, z, targets in self._tiles(block, part):
                there = None if found.everywhere else z != -torch.inf
                share = shares[rows]
                uniform = targets.prior is None and there is None
                tile_gradient(z, half, found.top[rows], factor[rows], share if uniform else none[rows])
                _subtract(z, block, targets, scale[rows], None if uniform else share, there)
                if bias_sum is not None:
                    bias_sum.add_(z.sum(0))
                z = z.to(self.dtype)
                _add_product(None if of_hidden is None else of_hidden[rows], z, part)
                _add_product(weight_sum, z.T, states)
            if of_weight is not None and weight_sum is not None:
                of_weight[block] = weight_sum
            if of_bias is not None and bias_sum is not None:
                of_bias[block] = bias_sum
        return None if of_hidden is None else of_hidden.to(hidden.dtype), of_weight, of_bias


def _add_product(total: Tensor | None, first: Tensor, second: Tensor) -> None:
    if total is None:
        return
    if total.dtype == first.dtype:
        total.addmm_(first, second)
    else:
        total.add_(first @ second)


class _Sums:
    """Sums over the classes for the losses of all rows, in float64."""

    def __init__(self, targets: RowTargets, like: Tensor) -> None:
        self.targets, self.everywhere = targets, True
        none = like.new_zeros(len(like), dtype=torch.float64)
        self.mass, self.product, self.mean = none, none.clone(), none.clone()
        self.picked = None if targets.index is None else like.new_zeros(targets.index.shape)
        self.spread = None if targets.rest is None else like.new_zeros(len(like))

    def add(self, rows: slice, block: slice, z: Tensor, linear: Tensor, targets: RowTargets) -> None:
        """Add a tile of logits, whose sum over the classes is `linear`."""
        if self.picked is None:
            weights = _weights(targets, block, z)
            self.product[rows] += times(weights, z).sum(-1)
            self.mass[rows] += weights.sum(-1)
            self.everywhere &= _finite(linear)
            return
        assert targets.index is not None
        at, inside = _inside(targets.index, block)
        self.picked[rows] = torch.where(inside, z.gather(-1, at), self.picked[rows])
        if self.spread is None:
            return
        prior = None if targets.prior is None else targets.prior[block].to(z.dtype)
        mean = linear if prior is None else z @ prior
        if _finite(mean):
            weight = z.shape[-1] if prior is None else prior.sum()
        else:
            self.everywhere, there = False, z != -torch.inf
            shares = there.to(z.dtype) if prior is None else prior * there
            mean, weight = (shares * z.masked_fill(~there, 0.0)).sum(-1), shares.sum(-1)
        self.mean[rows] += mean
        self.spread[rows] += weight

    def losses(self, top: Tensor, log_total: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and the sums of the targets."""
        if self.picked is None:
            return self.mass * (top + log_total) - self.product, self.mass
        gaps = log_total[:, None] - (self.picked.double() - top[:, None])
        value = self.targets.value
        value = torch.ones_like(gaps) if value is None else value.double()
        losses, mass = times(value, gaps).sum(-1), value.sum(-1)
        if self.spread is None or self.targets.rest is None:
            return losses, mass
        rest = self.targets.rest.double()
        return losses + rest * (log_total - (self.mean / self.spread - top)), mass + rest


def _subtract(
    work: Tensor, block: slice, targets: RowTargets, scale: Tensor, share: Tensor | None, there: Tensor | None
) -> None:
    """Subtract ``scale * target`` of a block of classes, and ``share * prior`` if a share is given."""
    if targets.index is None:
        work.sub_(_weights(targets, block, work) * scale[:, None])
        return
    if targets.rest is not None and share is not None:
        shares = share[:, None] * (1 if targets.prior is None else targets.prior[block].to(work.dtype))
        work.sub_(shares if there is None else shares * there)
    at, inside = _inside(targets.index, block)
    taken = scale[:, None] * inside
    if targets.value is not None:
        taken = taken * targets.value.to(work.dtype)
    work.scatter_add_(-1, at, taken.neg_())


def _weights(targets: RowTargets, block: slice, like: Tensor) -> Tensor:
    """Return the weights of a block of classes, (n, classes of the block)."""
    assert targets.weights is not None
    weights = targets.weights[..., block]
    return (weights if targets.row is None else weights.index_select(0, targets.row)).to(like.dtype)


def _inside(index: Tensor, block: slice) -> tuple[Tensor, Tensor]:
    """Return the places of classes within a block, and which of them are in it."""
    at = index - block.start
    size = block.stop - block.start
    return at.clamp(0, size - 1), (at >= 0) & (at < size)


def _finite(values: Tensor) -> bool:
    return bool(values.isfinite().all())
