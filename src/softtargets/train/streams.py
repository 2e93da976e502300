"""The random numbers of one epoch of training."""

from typing import Any

import torch
from torch import Tensor

from softtargets.runs.streams import derived_seed, generator
from softtargets.runs.training import Seeds
from softtargets.train.processes import Processes


class EpochStreams:
    """New generators for an epoch: of the method and of the augmentation. Dropout uses torch's global generator.

    All processes of a run draw the same numbers, except for dropout.

    Args:
        seeds: of the run.
        epoch: counted from 0.
        device: of this process.
        processes: of the run.
    """

    def __init__(self, seeds: Seeds, epoch: int, device: torch.device, processes: Processes) -> None:
        self._seeds, self._epoch, self._device, self._processes = seeds, epoch, device, processes
        stream = "dropout" if processes.first else f"dropout of process {processes.rank}"
        dropout = derived_seed(stream, seeds.dropout, epoch)
        # torch.manual_seed does the same, but takes as long as two steps: it formats the stack for lazy devices.
        torch.default_generator.manual_seed(dropout)
        if device.type == "cuda":
            torch.cuda.manual_seed(dropout)
        self.method = generator("method", seeds.method, epoch)
        self.augmentation = generator("augmentation", seeds.augmentation, epoch)

    def order(self, rows: Tensor) -> Tensor:
        """Return the rows in the order of this epoch."""
        return rows[torch.randperm(len(rows), generator=generator("order", self._seeds.order, self._epoch))]

    def repeated(self, rows: Tensor, count: int) -> Tensor:
        """Return (count,) of these rows: one random order of all of them after the other."""
        draws = generator("order of labelled rows", self._seeds.order, self._epoch)
        orders = [rows[torch.randperm(len(rows), generator=draws)] for _ in range(-(-count // len(rows)))]
        return torch.cat(orders)[:count]

    def drawn(self, rows: Tensor, weights: Tensor) -> Tensor:
        """Return as many rows as there are, drawn with replacement by their (n,) weights, for this epoch."""
        drawing = generator("order", self._seeds.order, self._epoch)
        return rows[torch.multinomial(weights, len(rows), replacement=True, generator=drawing)]

    def order_of_batches(self, count: int) -> Tensor:
        """Return the order of batches whose rows are sorted by length, (count,) int64."""
        return torch.randperm(count, generator=generator("order of batches", self._seeds.order, self._epoch))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every generator; of the global ones, a row for each process."""
        processes = self._processes
        state = {
            "method": self.method.get_state(),
            "augmentation": self.augmentation.get_state(),
            "dropout": processes.assembled(torch.get_rng_state()[None], processes.size),
        }
        if self._device.type == "cuda":
            state["dropout_cuda"] = processes.assembled(torch.cuda.get_rng_state(self._device)[None], processes.size)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        # copies, since set_state reads the storage of a view from its beginning
        self.method.set_state(state["method"].clone())
        self.augmentation.set_state(state["augmentation"].clone())
        torch.set_rng_state(state["dropout"][self._processes.rank].clone())
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state["dropout_cuda"][self._processes.rank].clone(), self._device)
