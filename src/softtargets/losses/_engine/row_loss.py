"""The interface between a loss and the code that computes its gradient ahead."""

from collections.abc import Iterable
from typing import Any, Protocol

from torch import Tensor


class RowLoss(Protocol):
    """One loss of the rows of (..., K) logits."""

    def run(self, z: Tensor, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        """Return the loss of every row, and write the gradient of ``sum(scale * losses)`` if asked.

        Args:
            z: (..., K) float logits.
            scale: (...), of the shape of the losses, or one number for all of them; None: no gradient.
            gradient: of the shape, dtype and strides of the logits, or the logits themselves; None: no gradient.
        """
        ...

    def plain(self, logits: Tensor) -> Tensor:
        """Return the loss of every row, computed with differentiable torch operations."""
        ...

    def tensors(self) -> Iterable[Tensor]:
        """Return the tensors, besides the logits, that the backward pass reads again."""
        ...


class TotalLoss(RowLoss, Protocol):
    """A loss that can be reduced in the same pass."""

    def total(self, z: Tensor, reduction: str, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        """Return the sum or the mean of the losses, (), and write the gradient of ``scale * result`` if asked.

        Args:
            z: (..., K) float logits.
            reduction: "mean", over the rows that are not left out, or "sum".
            scale: () or a number; None: no gradient.
            gradient: as in `run`.
        """
        ...

    def reduce(self, losses: Tensor, reduction: Any) -> Tensor:
        """Return the sum or the mean of losses that are 0 for rows that are left out, in torch operations."""
        ...
