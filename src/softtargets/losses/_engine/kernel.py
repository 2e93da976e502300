"""The interface between a loss and the code that runs it chunk by chunk."""

from collections.abc import Iterable
from typing import Any, Protocol

from torch import Tensor

Index = tuple[Any, ...]  # slices, ints or an ellipsis
EVERYTHING: Index = (...,)


class ChunkKernel(Protocol):
    """One loss of the rows of (..., K) logits."""

    def chunk(self, logits: Tensor, index: Index, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
        """Return the losses of one chunk of rows, and write the gradient of ``sum(scale * losses)`` if asked.

        Args:
            logits: the chunk of the logits.
            index: which rows these are; `EVERYTHING` if the chunk is the whole batch.
            scale: of the shape of the losses; None: no gradient.
            gradient: of the shape of the chunk; None: no gradient.
        """
        ...

    def plain(self, logits: Tensor) -> Tensor:
        """Return the losses of all rows, computed with differentiable torch operations."""
        ...

    def tensors(self) -> Iterable[Tensor]:
        """Return the tensors, besides the logits, that the backward pass reads again."""
        ...
