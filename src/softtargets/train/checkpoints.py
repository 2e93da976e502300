"""Checkpoints of a run in the making, each with the history up to it."""

import hashlib
from pathlib import Path
from typing import Any

from softtargets._storage import UnfitFileError, read_regular
from softtargets.runs.checkpoint import load_state, save_state
from softtargets.runs.snapshots import Snapshots
from softtargets.runs.store import CHECKPOINT, HISTORY, HISTORY_BYTES


def save_checkpoint(folder: Path, state: dict[str, Any], history_bytes: int, history_checksum: str) -> None:
    """Write the state after an epoch, with the length and the SHA-256 (hex) of the history up to it."""
    given = {"history_bytes": history_bytes, "history_checksum": history_checksum}
    save_state(folder / CHECKPOINT, {**state, **given})


def read_checkpoint(folder: Path, snapshots: Snapshots | None) -> tuple[dict[str, Any] | None, bytes]:
    """Return the saved state and the history up to it; None and nothing if either, or a snapshot, is not intact."""
    state = load_state(folder / CHECKPOINT)
    rows = None if state is None else _history_at(folder / HISTORY, state)
    if state is None or rows is None or not (snapshots is None or snapshots.whole(state["epoch"])):
        return None, b""
    return state, rows


def _history_at(path: Path, state: dict[str, Any]) -> bytes | None:
    """Return the history as it was when a checkpoint was saved; None if it is missing or was edited."""
    try:
        rows = read_regular(path, max_bytes=HISTORY_BYTES)[: state["history_bytes"]]
    except (OSError, UnfitFileError):
        return None
    return rows if hashlib.sha256(rows).hexdigest() == state.get("history_checksum") else None
