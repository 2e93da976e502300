"""Checkpoints of a run in the making."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from softtargets._storage import UnfitFileError, read_regular
from softtargets.runs.checkpoint import load_state, save_state
from softtargets.runs.store import CHECKPOINT, HISTORY, HISTORY_BYTES

if TYPE_CHECKING:
    from softtargets.train.loop import Trainer


@dataclass(frozen=True)
class Selected:
    """The epoch (from 1) with the best accuracy on the observed validation labels, and its weights."""

    epoch: int
    accuracy: float
    model: dict[str, Tensor]


def save_checkpoint(trainer: Trainer, history_bytes: int, history_checksum: str) -> None:
    """Write the state after an epoch, with the length and the SHA-256 (hex) of the history up to it."""
    average, dynamics, selected = trainer.average, trainer.dynamics, trainer.selected
    state = {
        "epoch": trainer.epoch,
        "step": trainer.step,
        "seconds": trainer.seconds,
        "history_bytes": history_bytes,
        "history_checksum": history_checksum,
        "model": dict(trainer.model.state_dict()),
        "optimizer": trainer.optimizer.state_dict(),
        "objective": trainer.objective.state_dict(),
        "average": None if average is None else dict(average.state_dict()),
        "dynamics": None if dynamics is None else dynamics.state_dict(),
        "selected": None if selected is None else asdict(selected),
    }
    save_state(trainer.folder / CHECKPOINT, state)


def resume(trainer: Trainer) -> hashlib._Hash:
    """Restore the checkpoint if it and all that belongs to it are intact, and return the hash of the history."""
    folder, snapshots = trainer.folder, trainer.snapshots
    state = load_state(folder / CHECKPOINT)
    rows = None if state is None else _history_at(folder / HISTORY, state)
    if state is None or rows is None or not (snapshots is None or snapshots.whole(state["epoch"])):
        (folder / HISTORY).write_bytes(b"")
        return hashlib.sha256()
    (folder / HISTORY).write_bytes(rows)
    trainer.model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.objective.load_state_dict(state["objective"])
    if trainer.average is not None:
        trainer.average.load_state_dict(state["average"])
    if trainer.dynamics is not None:
        trainer.dynamics.load_state_dict(state["dynamics"])
    trainer.selected = None if state["selected"] is None else Selected(**state["selected"])
    trainer.epoch, trainer.step, trainer.seconds = state["epoch"], state["step"], state["seconds"]
    return hashlib.sha256(rows)


def _history_at(path: Path, state: dict[str, Any]) -> bytes | None:
    """Return the history as it was when a checkpoint was saved; None if it is missing or was edited."""
    try:
        rows = read_regular(path, max_bytes=HISTORY_BYTES)[: state["history_bytes"]]
    except (OSError, UnfitFileError):
        return None
    return rows if hashlib.sha256(rows).hexdigest() == state.get("history_checksum") else None
