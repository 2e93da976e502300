"""The batches of an epoch, in one process or shared by several."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets.data.batches import Inputs
from softtargets.data.spec import AugmentationSpec
from softtargets.objectives import Batch, Objective
from softtargets.train.processes import Processes
from softtargets.train.streams import EpochStreams


def own_batches(
    inputs: Inputs,
    ids: Tensor,
    size: int,
    processes: Processes,
    augmentation: AugmentationSpec | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows of each batch of `size`, and the inputs of those of them that are this process's share."""
    chunks = ids.split(size)
    own = [chunk[processes.share(len(chunk))] for chunk in chunks]
    # all full batches have a share of the same size, and the last one a smaller one or none
    per_batch = max(1, len(own[0]))
    batches = inputs.batches(torch.cat(own), per_batch, augmentation, generator)
    for chunk, part in zip(chunks, own, strict=True):
        yield chunk, next(batches) if len(part) else inputs.batch(chunk[:1], augmentation, generator)[:0]


@dataclass(frozen=True)
class TrainingBatches:
    """Makes the batches of an epoch, prepared by the objective. All processes get whole batches.

    Args:
        inputs: of the data set.
        streamed: whether the inputs are decoded or augmented one by one for each batch.
        labels: (N,) int64, the observed labels of the data set, on the device.
        labelled: (N,) bool, False for a row without a label; None: all rows have one.
        objective: started.
        size: number of rows of a batch.
        augmentation: of the inputs.
        processes: of the run.
    """

    inputs: Inputs
    streamed: bool
    labels: Tensor
    labelled: Tensor | None
    objective: Objective
    size: int
    augmentation: AugmentationSpec
    processes: Processes

    def of(self, order: Tensor, streams: EpochStreams) -> Iterator[Batch]:
        """Yield the batches of rows in this order."""
        # labels and ids are gathered for the epoch: at a millisecond per step, every operation of a step counts
        order = order.to(self.labels.device)
        labels, ids = self.labels[order].split(self.size), order.split(self.size)
        for batch in zip(self._inputs(order, streams), labels, ids, strict=True):
            labelled = None if self.labelled is None else self.labelled[batch[2]]
            yield self.objective.prepare(Batch(*batch, labelled), streams.method)

    def _inputs(self, order: Tensor, streams: EpochStreams) -> Iterator[Tensor]:
        """Yield the inputs of whole batches. Of streams, which are slow to decode, each process decodes its share."""
        draws = self.augmentation, streams.augmentation
        if self.processes.size == 1 or not self.streamed:
            yield from self.inputs.batches(order, self.size, *draws)
            return
        for ids, inputs in own_batches(self.inputs, order, self.size, self.processes, *draws):
            yield self.processes.assembled(inputs, len(ids))
