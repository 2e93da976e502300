"""The record of a finished run, with the records of its teachers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import open_regular, parse_json, read_regular
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import HISTORY, HISTORY_BYTES, PREDICTIONS, SPEC, RunStore

Predictions = dict[str, Tensor]


@dataclass(frozen=True)
class Record:
    """The numbers that a finished run recorded.

    Args:
        predictions: ids, logits, labels, observed labels and votes, if there are any, of every split. Of a network that
            writes rows of tokens: the ids of every split, and for validation and test the number of tokens of each row,
            their summed NLL and how many of them are predicted correctly.
        history: one row per epoch: its number (from 1), the mean objective, and validation metrics.
        run: the specification.
        teachers: the records of its teachers.
        networks: number of networks whose probabilities were averaged.
    """

    predictions: Predictions
    history: tuple[dict[str, Any], ...] = ()
    run: RunSpec | None = None
    teachers: "tuple[Record, ...]" = ()
    networks: int = 1

    @property
    def of_tokens(self) -> bool:
        """Whether the network writes rows of tokens, so that the record has sums over tokens and no logits."""
        return "test.tokens" in self.predictions


def read_record(store: RunStore, identity: str) -> Record:
    """Read the record of a finished run, and those of its teachers.

    Raises:
        OSError: if the store has no such run.
        InputError: if the record of a teacher is missing or damaged.
    """
    folder = store.path(identity)
    resolved = ResolvedRun.model_validate_json(read_regular(folder / SPEC))
    for teacher in resolved.teachers or ():
        if store.result(teacher.identity) is None:
            required = f"an intact record in '{store.path(teacher.identity)}'"
            raise fail("teachers", required, "none, or a damaged one", "train that run again")
    return Record(
        predictions=read_predictions(folder),
        history=read_history(folder),
        run=resolved.run,
        teachers=tuple(read_record(store, teacher.identity) for teacher in resolved.teachers or ()),
    )


def read_predictions(folder: Path) -> Predictions:
    """Return a run's predictions: ids, logits, labels and observed labels of every split."""
    open_regular(folder / PREDICTIONS).close()
    return load_file(folder / PREDICTIONS)


def read_history(folder: Path) -> tuple[dict[str, Any], ...]:
    """Return the rows of a run's history, one per epoch."""
    return tuple(parse_json(line) for line in read_regular(folder / HISTORY, max_bytes=HISTORY_BYTES).splitlines())
