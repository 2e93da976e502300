"""What a finished run left behind, and its teachers with it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from softtargets._errors import fail
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import HISTORY, PREDICTIONS, SPEC, RunStore

Predictions = dict[str, Tensor]


@dataclass(frozen=True)
class Record:
    """A finished run as numbers.

    Args:
        predictions: for every split its ids, logits, labels and observed labels.
        history: a row for each epoch: its number, from 1, the mean of what was minimised, and validation numbers.
        run: what was trained.
        teachers: the records of its teachers.
    """

    predictions: Predictions
    history: tuple[dict[str, Any], ...] = ()
    run: RunSpec | None = None
    teachers: "tuple[Record, ...]" = ()


def read_record(store: RunStore, identity: str) -> Record:
    """Read the record of a finished run, and those of its teachers.

    Raises:
        OSError: where the store has no such run.
        InputError: where the record of a teacher is gone or damaged.
    """
    folder = store.path(identity)
    resolved = ResolvedRun.model_validate_json((folder / SPEC).read_text(encoding="utf-8"))
    for teacher in resolved.teachers or ():
        if store.result(teacher.identity) is None:
            required = f"a whole record in '{store.path(teacher.identity)}'"
            raise fail("teachers", required, "none, or a damaged one", "train that run again")
    return Record(
        predictions=read_predictions(folder),
        history=read_history(folder),
        run=resolved.run,
        teachers=tuple(read_record(store, teacher.identity) for teacher in resolved.teachers or ()),
    )


def read_predictions(folder: Path) -> Predictions:
    """Return a run's predictions: for every split its ids, logits, labels and observed labels."""
    return load_file(folder / PREDICTIONS)


def read_history(folder: Path) -> tuple[dict[str, Any], ...]:
    """Return the rows of a run's history, one for each epoch."""
    return tuple(json.loads(line) for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines())
