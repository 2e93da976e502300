"""The next tokens of a finished run that writes tokens, computed when they are needed and never written to a file."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.batches import Inputs
from softtargets.data.predictions import IGNORED, PredictionChunk
from softtargets.data.predictions.arrays import chunk_rows
from softtargets.data.tokens import Pairs, Tokens
from softtargets.metrics.arguments import Kind
from softtargets.models.sequences import predicted, token_labels
from softtargets.runs.machine import quiet_machine
from softtargets.train import LoadedRun, load_run

RunSplit = Literal["train", "validation", "test"]


@dataclass(frozen=True, eq=False)
class RunTokens:
    """The logits of all tokens of a split, each predicted from the true tokens before it.

    It has the interface of :class:`PredictionFiles`. The rows are the tokens of sequences of equal length, of which
    those after the end of a sentence are ignored. The network is run again for every pass over the rows.

    Args:
        run: on sentence pairs, whose target tokens are predicted, or a language model.
        split: the split of the run's data.
    """

    run: LoadedRun
    split: RunSplit = "test"
    _inputs: Inputs = field(init=False, repr=False)

    kind: ClassVar[Kind] = "logits"
    has_labels: ClassVar[bool] = True
    class_names: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.run.specification.data.target is None:
            got = f"one that predicts the labels of '{self.run.result['data']['name']}'"
            remedy = f"evaluate the file of: softtargets predict {self.run.folder} DATA --output p.parquet"
            raise fail("predictions", "a run that writes tokens, or files of predictions", got, remedy)
        if len(self.rows) == 0:
            there = ", ".join(name for name, rows in self.run.dataset.splits.items() if len(rows))
            raise fail("--split", f"a split with rows: {there}", f"'{self.split}'", "choose one of these")
        object.__setattr__(self, "_inputs", Inputs(self.run.dataset, torch.device("cpu")))

    @classmethod
    def of(cls, folder: Path, split: RunSplit) -> "RunTokens":
        """Open a finished run.

        Raises:
            InputError: a run that is not finished or damaged, one that predicts labels, or a split without rows.
        """
        return cls(load_run(folder), split)

    @property
    def rows(self) -> Tensor:
        """The (N,) int64 rows of the split in the data set."""
        return self.run.dataset.splits[self.split]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The folder of the run."""
        return (self.run.folder,)

    @cached_property
    def positions(self) -> int:
        """The largest number of predicted tokens of a sequence."""
        outputs: Any = self.run.dataset.outputs
        longest = int(outputs.lengths[self.rows].max())
        return longest if self.run.dataset.is_pair else longest - 1

    @property
    def num_classes(self) -> int:
        """The size of the vocabulary."""
        return self.run.dataset.num_classes

    @property
    def num_rows(self) -> int:
        """The number of tokens with those that are ignored."""
        return len(self.rows) * self.positions

    def counted_rows(self) -> int:
        """Return `num_rows`."""
        return self.num_rows

    @property
    def notes(self) -> tuple[str, ...]:
        """What was predicted."""
        name = self.run.result["data"]["name"]
        return (f"Next tokens of the {self.split} split of {name}, each predicted from the true tokens before it.",)

    def chunks(self, rows: int | None = None) -> Iterator[PredictionChunk]:
        """Yield all rows in order: (n, V) float32 logits and labels, of whole sequences."""
        size = max(1, (rows or chunk_rows(self.num_classes)) // self.positions)
        first = 0
        with quiet_machine(self.run.specification.training.threads):
            for batch in self._inputs.batches(self.rows, size):
                places, labels = self._places(batch), self._labels(batch)
                values = torch.zeros(*labels.shape, self.num_classes)
                values[places] = self.run.model.logits(batch)
                yield PredictionChunk(values.flatten(0, 1), labels.flatten(), first, self.run.folder, first)
                first += labels.numel()

    def label_chunks(self) -> Iterator[Tensor]:
        """Yield the labels in order, without running the network."""
        for batch in self._inputs.batches(self.rows, self._inputs.predicted_rows):
            yield self._labels(batch).flatten()

    def _places(self, batch: Tokens | Pairs) -> Tensor:
        """Return which positions have a predicted token, (n, L) bool."""
        found = predicted(batch)
        # the first token of a text of a language model is not predicted
        found = found if isinstance(batch, Pairs) else found[:, 1:]
        places = torch.zeros(len(found), self.positions, dtype=torch.bool)
        places[:, : found.shape[1]] = found
        return places

    def _labels(self, batch: Tokens | Pairs) -> Tensor:
        places = self._places(batch)
        labels = torch.full(places.shape, IGNORED, dtype=torch.int64)
        labels[places] = token_labels(batch)
        return labels
