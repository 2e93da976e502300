"""The run store: which runs exist, and how one comes to exist without ever being half there.

runs/<id>/            a finished run: spec.json, history.jsonl, result.json, predictions, model; selected, snapshots
runs/<id>.partial/    a run in the making: its history so far, a checkpoint and snapshots
runs/<id>.failed.json why a run failed
runs/<id>.damaged-N/  a record that no longer matches its checksums, kept aside
runs/teachers/<key>/  what a teacher says of all training examples, shared by its students
runs/derived/         numbers computed from finished runs, keyed by a hash of their own
runs/cache/           decoded data sets
runs/locks/           one lock file per run or teacher's cache, held by the process that makes it
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from softtargets._storage import checksum_file, sync, write_atomically
from softtargets.runs.spec import ResolvedRun, canonical_json

RESULT = "result.json"
SPEC = "spec.json"
HISTORY = "history.jsonl"
PREDICTIONS = "predictions.safetensors"
MODEL = "model.safetensors"
SELECTED = "selected.safetensors"
SNAPSHOTS = "snapshots.safetensors"
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Failure:
    """A run that failed. `final` where training it again would only fail again (a loss that is not a number)."""

    message: str
    final: bool


class RunStore:
    """A folder of runs. It holds no state of its own, so any number of processes may use one folder.

    Args:
        folder: made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @property
    def cache(self) -> Path:
        """Where decoded data sets are kept."""
        return self.folder / "cache"

    def path(self, identity: str) -> Path:
        """Return the folder of a finished run."""
        return self.folder / identity

    def teacher(self, key: str) -> Path:
        """Return the folder of what a teacher says of all training examples; `key` says all that this depends on."""
        return self.folder / "teachers" / _checksum_text(key)

    def partial(self, identity: str) -> Path:
        """Return the folder of a run in the making."""
        return self.folder / f"{identity}.partial"

    def result(self, identity: str) -> dict[str, Any] | None:
        """Return the result of a finished run; None where there is none, or its record is damaged.

        Raises:
            OSError: where the disk cannot be read: that is no damage to the record.
        """
        folder = self.path(identity)
        try:
            result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
            checksum = result.pop("checksum")
            whole = checksum == _checksum_text(canonical_json(result)) and all(
                checksum_file(folder / name) == expected for name, expected in result["files"].items()
            )
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, AttributeError, TypeError):
            return None
        return result if whole else None

    def recorded(self) -> Iterator[ResolvedRun]:
        """Yield what the finished runs were made from; records that cannot be read are passed over."""
        for path in sorted(self.folder.glob(f"*/{SPEC}")):
            if path.parent.name.isalnum():
                with suppress(OSError, ValueError):
                    yield ResolvedRun.model_validate_json(path.read_text(encoding="utf-8"))

    def set_damaged_aside(self, identity: str) -> Path | None:
        """Move a damaged record out of the way and return where to; None where the record is whole or absent."""
        folder = self.path(identity)
        if not folder.exists() or self.result(identity) is not None:
            return None
        return set_aside(folder)

    def failure(self, identity: str) -> Failure | None:
        """Return how a run failed; None where it did not, or where it has been finished since."""
        try:
            content = json.loads(self._failed(identity).read_text(encoding="utf-8"))
            return Failure(str(content["message"]), bool(content["final"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def fail(self, identity: str, failure: Failure) -> None:
        """Record that a run failed."""
        content = {"message": failure.message, "final": failure.final}
        write_atomically(self._failed(identity), (canonical_json(content) + "\n").encode())

    def begin(self, resolved: ResolvedRun) -> Path:
        """Make, or find, the folder of a run in the making. The caller holds the run's lock."""
        folder = self.partial(resolved.identity)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / SPEC, (resolved.model_dump_json(indent=2) + "\n").encode())
        return folder

    def finish(self, identity: str, result: dict[str, Any]) -> None:
        """Seal the folder of a run in the making with its result and rename it into place."""
        folder = self.partial(identity)
        optional = [name for name in (SELECTED, SNAPSHOTS) if (folder / name).exists()]
        names = [SPEC, HISTORY, PREDICTIONS, MODEL, *optional]
        files = {name: checksum_file(folder / name) for name in names}
        result = {**result, "files": files}
        sealed = {**result, "checksum": _checksum_text(canonical_json(result))}
        write_atomically(folder / RESULT, (json.dumps(sealed, indent=2, sort_keys=True) + "\n").encode())
        for path in folder.iterdir():
            if path.name not in (RESULT, *files):
                path.unlink()
            else:
                sync(path)
        os.replace(folder, self.path(identity))
        sync(self.folder)
        self._failed(identity).unlink(missing_ok=True)

    def discard_partial(self, identity: str) -> None:
        """Remove a run in the making."""
        shutil.rmtree(self.partial(identity), ignore_errors=True)

    @contextmanager
    def lock(self, identity: str, *, wait: bool) -> Iterator[bool]:
        """Hold the lock of a run, or of a teacher's cache.

        Yields False, at once, where another process holds it and `wait` is False.

        The operating system releases it when the process that holds it dies.
        """
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{identity}.lock", timeout=-1 if wait else 0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def derived(self, identity: str, key: str) -> Any | None:
        """Return a value computed from a finished run; None where it is not there or damaged."""
        try:
            content = json.loads(self._derived(identity, key).read_text(encoding="utf-8"))
            return content["value"] if content["checksum"] == _checksum_text(canonical_json(content["value"])) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put_derived(self, identity: str, key: str, value: Any) -> None:
        """Keep a value computed from a finished run. `key` says all it depends on besides the run."""
        content = {"key": key, "checksum": _checksum_text(canonical_json(value)), "value": value}
        path = self._derived(identity, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (canonical_json(content) + "\n").encode())

    def _derived(self, identity: str, key: str) -> Path:
        return self.folder / "derived" / f"{_checksum_text(f'{identity}:{key}')}.json"

    def _failed(self, identity: str) -> Path:
        return self.folder / f"{identity}.failed.json"


def set_aside(folder: Path) -> Path:
    """Move a damaged folder out of the way, and return where to."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
        number += 1
    os.replace(folder, aside)
    return aside


def _checksum_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
