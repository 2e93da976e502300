"""The batches of an epoch, in one process or shared by several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets.data.batches import Inputs
from softtargets.data.spec import AugmentationSpec
from softtargets.data.tokens import NetworkInputs, rows_at, token_batches
from softtargets.models.sequences import token_counts, token_labels
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
) -> Iterator[tuple[Tensor, NetworkInputs]]:
    """Yield the rows of each batch of `size`, and the inputs of those of them that are this process's share."""
    chunks = ids.split(size)
    own = [chunk[processes.share(len(chunk))] for chunk in chunks]
    # all full batches have a share of the same size, and the last one a smaller one or none
    per_batch = max(1, len(own[0]))
    batches = inputs.batches(torch.cat(own), per_batch, augmentation, generator)
    for chunk, part in zip(chunks, own, strict=True):
        if len(part):
            yield chunk, next(batches)
        else:
            yield chunk, rows_at(inputs.batch(chunk[:1], augmentation, generator), slice(0))


@dataclass(frozen=True)
class TrainingBatches:
    """Makes the batches of an epoch, prepared by the objective. All processes get whole batches.

    Args:
        inputs: of the data set.
        streamed: whether the inputs are decoded or augmented one by one for each batch.
        labels: (N,) int64, the observed labels of the data set, on the device.
        labelled: (N,) bool, False for a row without a label; None: all rows have one.
        votes: (N, K) float32 on the device, if labels are votes; otherwise None.
        sequences: whether the network writes rows of tokens, which are the labels.
        objective: started.
        size: number of rows of a batch.
        labelled_size: number of labelled rows among them; None: as many as it happens.
        tokens: (N,) int64, the number of tokens of each row of the data set, for batches by tokens; otherwise None.
        most_tokens: of a batch by tokens; otherwise None.
        augmentation: of the inputs.
        processes: of the run.
    """

    inputs: Inputs
    streamed: bool
    labels: Tensor
    labelled: Tensor | None
    votes: Tensor | None
    sequences: bool
    objective: Objective
    size: int
    labelled_size: int | None
    tokens: Tensor | None
    most_tokens: int | None
    augmentation: AugmentationSpec
    processes: Processes

    def divided(self, order: Tensor, streams: EpochStreams) -> list[Tensor]:
        """Return the rows of each batch of an epoch, whose rows are given in this order."""
        if self.labelled_size is not None:
            return self._with_labels(order, self.labelled_size, streams)
        if self.tokens is None or self.most_tokens is None:
            return list(order.split(self.size))
        batches = token_batches(self.tokens, order, self.most_tokens)
        return [batches[place] for place in streams.order_of_batches(len(batches)).tolist()]

    def _with_labels(self, order: Tensor, count: int, streams: EpochStreams) -> list[Tensor]:
        """Return batches that begin with so many labelled rows, which are repeated as often as needed."""
        assert self.labelled is not None  # length_of
        known = self.labelled.cpu()[order]
        others = order[~known].split(self.size - count)
        repeated = streams.repeated(order[known].sort().values, count * len(others)).split(count)
        return [torch.cat(both) for both in zip(repeated, others, strict=True)]

    def of(self, rows: Sequence[Tensor], streams: EpochStreams) -> Iterator[Batch]:
        """Yield batches of these rows; see :meth:`divided`."""
        if not rows:
            return
        # labels and ids are gathered for the epoch: at a millisecond per step, every operation of a step counts
        order, sizes = torch.cat(list(rows)).to(self.labels.device), [len(batch) for batch in rows]
        labels, ids = self.labels[order].split(sizes), order.split(sizes)
        for batch in zip(self._inputs(rows, streams), labels, ids, strict=True):
            labelled, votes = (None if each is None else each[batch[2]] for each in (self.labelled, self.votes))
            made = _of_tokens(batch[0], batch[2]) if self.sequences else Batch(*batch, labelled, votes)
            yield self.objective.prepare(made, streams.method)

    def _inputs(self, rows: Sequence[Tensor], streams: EpochStreams) -> Iterator[NetworkInputs]:
        """Yield the inputs of whole batches. Of streams, which are slow to decode, each process decodes its share."""
        if self.most_tokens is not None:
            yield from map(self.inputs.batch, rows)
            return
        draws, order = (self.augmentation, streams.augmentation), torch.cat(list(rows))
        if self.processes.size == 1 or not self.streamed:
            yield from self.inputs.batches(order, self.size, *draws)
            return
        for ids, inputs in own_batches(self.inputs, order, self.size, self.processes, *draws):
            assert isinstance(inputs, Tensor)  # decoded images
            yield self.processes.assembled(inputs, len(ids))


def _of_tokens(inputs: NetworkInputs, ids: Tensor) -> Batch:
    """Return a batch whose examples are the tokens of rows that a network writes."""
    assert not isinstance(inputs, Tensor)
    counts = token_counts(inputs)
    return Batch(inputs, token_labels(inputs), ids.repeat_interleave(counts), counts=counts)
