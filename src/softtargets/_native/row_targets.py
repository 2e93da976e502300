"""The targets of rows of logits, as plain tensors."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from softtargets._native.chunks import EVERYTHING, Index
from softtargets._numerics import rows_of


@dataclass(frozen=True, slots=True, eq=False)
class RowTargets:
    """Targets of (..., K) logits: either `index` and `value`, or `weights`.

    Args:
        index: (..., S) int64, classes.
        value: (..., S) float, weights of those classes; None: 1.
        rest: (...) float, weight that is spread over the prior; None: 0.
        prior: (K,) float, >= 0; None: uniform over the classes that are valid and whose logit is not -inf.
        weights: (..., K) float, a weight for every class, or (R, K) if there is `row`.
        row: (...) int64, rows of `weights`.
        valid: (K,) or (..., K) bool, False for classes that get no smoothing and no gradient; it may broadcast.
        left_out: (...) bool, rows with loss 0 and gradient 0; None: no row.
    """

    index: Tensor | None = None
    value: Tensor | None = None
    rest: Tensor | None = None
    prior: Tensor | None = None
    weights: Tensor | None = None
    row: Tensor | None = None
    valid: Tensor | None = None
    left_out: Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        """The leading dimensions of the logits."""
        if self.index is not None:
            return self.index.shape[:-1]
        if self.row is not None:
            return self.row.shape
        assert self.weights is not None
        return self.weights.shape[:-1]

    def every(self) -> tuple[Tensor | None, ...]:
        """Return the fields in order."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def tensors(self) -> list[Tensor]:
        """Return the tensors that are given."""
        return [tensor for tensor in self.every() if tensor is not None]

    def at(self, i: Index) -> "RowTargets":
        """Return the targets of a chunk of the rows."""
        if i is EVERYTHING:
            return self
        wide = (*i, slice(None))

        def taken(tensor: Tensor | None, at: Index) -> Tensor | None:
            return None if tensor is None else tensor[at]

        valid = self.valid
        if valid is not None and valid.ndim > 1:
            valid = valid.expand(*self.shape, -1)[wide]
        return RowTargets(
            index=taken(self.index, wide),
            value=taken(self.value, wide),
            rest=taken(self.rest, i),
            prior=self.prior,
            weights=self.weights if self.row is not None else taken(self.weights, wide),
            row=taken(self.row, i),
            valid=valid,
            left_out=taken(self.left_out, i),
        )

    def flattened(self, size: int) -> "RowTargets":
        """Return the targets of (N, size) logits."""

        def leading(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.reshape(-1)

        def wide(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.reshape(self.shape.numel(), tensor.shape[-1])

        valid = self.valid
        if valid is not None and valid.ndim > 1:
            valid = valid.expand(*self.shape, size).reshape(-1, size)
        return RowTargets(
            index=wide(self.index),
            value=wide(self.value),
            rest=leading(self.rest),
            prior=self.prior,
            weights=self.weights if self.row is not None else wide(self.weights),
            row=leading(self.row),
            valid=valid,
            left_out=leading(self.left_out),
        )

    def gathered(self) -> Tensor:
        """Return the (..., K) weights."""
        assert self.weights is not None
        return self.weights if self.row is None else rows_of(self.weights, self.row)
