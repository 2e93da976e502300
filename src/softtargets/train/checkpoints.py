"""The history and the checkpoint of a run in the making."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softtargets._storage import UnfitFileError, read_regular
from softtargets.runs.checkpoint import load_state, save_state
from softtargets.runs.snapshots import Snapshots
from softtargets.runs.store import CHECKPOINT, HISTORY, HISTORY_BYTES, STEPS

# Seconds between notes of the number of steps done, which progress is read from during long epochs.
NOTE_SECONDS = 1.0


class Journal:
    """Writes the history of a run, a row per epoch, and checkpoints with the history up to them.

    Args:
        folder: of the partial run.
        rows: the history so far, which is written at once.
        checkpoint_seconds: minimum time between checkpoints; with 0 there is one after every step.
    """

    def __init__(self, folder: Path, rows: bytes, checkpoint_seconds: float) -> None:
        self._folder, self._seconds = folder, checkpoint_seconds
        self._bytes, self._checksum = len(rows), hashlib.sha256(rows)
        (folder / HISTORY).write_bytes(rows)
        (folder / STEPS).unlink(missing_ok=True)
        self._noted = self._saved = time.monotonic()

    def append(self, row: dict[str, Any]) -> None:
        """Add a row to the history."""
        line = (json.dumps(row, sort_keys=True) + "\n").encode()
        with (self._folder / HISTORY).open("ab") as history:
            history.write(line)
        self._bytes += len(line)
        self._checksum.update(line)

    def note(self, step: int) -> None:
        """Note the number of steps done, at most once a second."""
        now = time.monotonic()
        if now - self._noted >= NOTE_SECONDS:
            (self._folder / STEPS).write_text(str(step))
            self._noted = now

    @property
    def due(self) -> bool:
        """Whether a checkpoint is due."""
        return time.monotonic() - self._saved >= self._seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint."""
        started = time.monotonic()
        given = {"history_bytes": self._bytes, "history_checksum": self._checksum.hexdigest()}
        save_state(self._folder / CHECKPOINT, {**state, **given})
        self._saved = time.monotonic()
        if self._seconds > 0:
            # at most a twentieth of the time is spent on checkpoints
            self._seconds = max(self._seconds, 20 * (self._saved - started))


def read_checkpoint(folder: Path, snapshots: Snapshots | None) -> tuple[dict[str, Any] | None, bytes]:
    """Return the saved state and the history up to it; None and nothing if either, or a snapshot, is not intact."""
    state = load_state(folder / CHECKPOINT)
    rows = None if state is None else _history_at(folder / HISTORY, state)
    if state is None or rows is None or not (snapshots is None or snapshots.whole(state["epoch"])):
        return None, b""
    return state, rows


def states_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of each part of a run in training; None for a part that the run does not have."""
    return {name: None if part is None else part.state_dict() for name, part in parts.items()}


def restore_states(parts: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Load the states that :func:`states_of` returned into the same parts."""
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state[name])


def _history_at(path: Path, state: dict[str, Any]) -> bytes | None:
    """Return the history as it was when a checkpoint was saved; None if it is missing or was edited."""
    try:
        rows = read_regular(path, max_bytes=HISTORY_BYTES)[: state["history_bytes"]]
    except (OSError, UnfitFileError):
        return None
    return rows if hashlib.sha256(rows).hexdigest() == state.get("history_checksum") else None
