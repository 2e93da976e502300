"""The processes that train one run together, each on a device of its own."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

# Seconds in which the process that started the others notices that one of them has ended.
LOST_SECONDS = 10.0


class Processes:
    """The processes of a run, and the sums over them. Without a Fabric there is one process and sums cost nothing.

    Every process calls the same methods in the same order, with tensors of the same shapes.

    Args:
        fabric: a launched ``lightning_fabric.Fabric``; None for one process.
    """

    def __init__(self, fabric: Any = None) -> None:
        self._fabric = fabric
        self.rank: int = 0 if fabric is None else fabric.global_rank
        self.size: int = 1 if fabric is None else fabric.world_size

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def device(self, backend: str) -> torch.device:
        """Return the device of this process."""
        return torch.device(backend, self.rank) if backend == "cuda" else torch.device(backend)

    def share(self, rows: int) -> slice:
        """Return the rows of this process; the shares of all processes differ by at most one row."""
        each, more = divmod(rows, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def summed(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over the processes."""
        if self._fabric is None:
            return tensor
        try:
            return self._fabric.all_reduce(tensor, reduce_op="sum")
        except RuntimeError as error:
            # another process has died: the one that started all of them sees it first, and says which and how
            time.sleep(LOST_SECONDS)
            raise RuntimeError(f"a connection to the other processes; got {error}") from error

    def assembled(self, part: Tensor, rows: int, dim: int = 0) -> Tensor:
        """Return the shares of all processes together: `part` at the place of :meth:`share` in dimension `dim`."""
        if self._fabric is None:
            return part
        own = self.share(rows)
        whole = part.new_zeros((*part.shape[:dim], rows, *part.shape[dim + 1 :]))
        # adding zeros changes no bit
        whole.narrow(dim, own.start, own.stop - own.start).copy_(part)
        return self.summed(whole)

    def agree(self, number: int, what: str) -> None:
        """Wait for all processes.

        Raises:
            RuntimeError: if their numbers differ.
        """
        numbers = self.assembled(torch.tensor([number]), self.size) if self.size > 1 else torch.tensor([number])
        if len(numbers.unique()) > 1:
            raise RuntimeError(f"devices: the same {what} in all processes; got {numbers.tolist()}; run again")

    def reduce_step(
        self, parameters: Sequence[Tensor], buffers: Sequence[Tensor], weight: float, save: bool = False
    ) -> bool:
        """Replace gradients by their sums, and buffers by their weighted means, over the processes, in one call.

        All gradients are sent together, after the backward pass. DistributedDataParallel sends them during it, but
        requires that every parameter has a gradient in every process, which a process without rows of a small last
        batch cannot give.

        Args:
            parameters: of the network; parameters that the first process has no gradient for keep none.
            buffers: floating-point buffers of the network.
            weight: this process's share of the rows.
            save: whether this process asks for a checkpoint.

        Returns:
            Whether the first process asks for a checkpoint.
        """
        if self.size == 1:
            return save
        used = [parameter.grad is not None for parameter in parameters]
        signals = [float(self.first and flag) for flag in (*used, save)]
        device = parameters[0].device
        pieces = [
            *(torch.zeros_like(p) if p.grad is None else p.grad for p in parameters),
            *(buffer * weight for buffer in buffers),
            torch.tensor(signals, device=device),
        ]
        flat = self.summed(torch.cat([piece.detach().float().flatten() for piece in pieces]))
        found = _unflattened(flat, pieces)
        for parameter, gradient, is_used in zip(parameters, found, found.pop().tolist(), strict=False):
            parameter.grad = gradient if is_used else None
        for buffer, mean in zip(buffers, found[len(parameters) :], strict=True):
            buffer.copy_(mean)
        return bool(flat[-1])


def _unflattened(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Return pieces of a flat tensor with the shapes, types and strides of others."""

    def pieces() -> Iterator[Tensor]:
        start = 0
        for tensor in like:
            piece = flat[start : start + tensor.numel()].view(tensor.shape)
            yield torch.empty_like(tensor).copy_(piece)
            start += tensor.numel()

    return list(pieces())
