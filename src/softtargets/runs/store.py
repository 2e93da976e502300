"""The run store: a folder of finished runs, each written completely or not at all.

runs/<id>/            a finished run: spec.json, history.jsonl, result.json, predictions, model; selected, snapshots,
                      tokenizers
runs/<id>.partial/    a run that is being trained: its history so far, a checkpoint and snapshots
runs/<id>.failed.json why a run failed
runs/<name>.damaged-N files that could not be read or did not match their checksums, moved here
runs/teachers/<key>/  a teacher's outputs on all training examples, shared by its students
runs/derived/         numbers computed from finished runs, under a hash of what they depend on
runs/cache/           decoded data sets
runs/locks/           one lock file per run or teacher cache, held by the process that writes it
"""

import functools
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

from softtargets._storage import (
    checksum_file,
    open_regular,
    parse_json,
    read_regular,
    sync,
    user_path,
    write_atomically,
)
from softtargets.runs.spec import ResolvedRun, canonical_json

RESULT = "result.json"
SPEC = "spec.json"
HISTORY = "history.jsonl"
PREDICTIONS = "predictions.safetensors"
MODEL = "model.safetensors"
SELECTED = "selected.safetensors"
SNAPSHOTS = "snapshots.safetensors"
# Of the inputs and of the outputs of runs on tokens, in the format of `tokenizers`.
TOKENIZERS = ("tokenizer.json", "target_tokenizer.json")
CHECKPOINT = "checkpoint.safetensors"
# The number of steps that an unfinished run has done.
STEPS = "steps"
# A history has about 200 bytes per epoch.
HISTORY_BYTES = 2**30


# Exceptions raised when a damaged file of the store is read. Errors of the disk itself are not among them.
DAMAGE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, KeyError, AttributeError, TypeError)


@dataclass(frozen=True)
class Failure:
    """A run that failed. `final`: training it again would fail in the same way (a loss that is not finite)."""

    message: str
    final: bool


class RunStore:
    """A folder of runs. The object has no state of its own, so any number of processes may use one folder.

    Args:
        folder: created when it is first written to; ``~`` is expanded.

    Raises:
        InputError: if no folder can have this path.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = user_path("runs", folder)

    @property
    def cache(self) -> Path:
        """Folder of decoded data sets."""
        return self.folder / "cache"

    def path(self, identity: str) -> Path:
        """Return the folder of a finished run."""
        return self.folder / identity

    def teacher(self, key: str) -> Path:
        """Return the folder of a teacher's outputs on all training examples; `key` contains what they depend on."""
        return self.folder / "teachers" / _checksum_text(key)

    def partial(self, identity: str) -> Path:
        """Return the folder of a run that is being trained."""
        return self.folder / f"{identity}.partial"

    def result(self, identity: str) -> dict[str, Any] | None:
        """Return the result of a finished run; None if there is none or its record is damaged.

        Raises:
            OSError: if the disk cannot be read, which is not treated as damage.
        """
        try:
            return self.checked_result(identity)
        except DAMAGE:
            return None

    def checked_result(self, identity: str, *, checksums: bool = True) -> dict[str, Any]:
        """Return the result of a finished run.

        A record is damaged if a file is missing, is not a regular file or does not match its size or checksum, or if
        its specification is that of another run (a folder that was copied, renamed or linked).

        Args:
            identity: of the run.
            checksums: whether to compare the checksums of all files, which reads them, or only their sizes.

        Raises:
            DAMAGE: one of these exceptions, if there is no record or it is damaged; its text is the reason.
            OSError: if the disk cannot be read, which is not treated as damage.
        """
        folder = self.path(identity)
        result = _read_json(folder / RESULT)
        checksum = result.pop("checksum")
        if checksum != _checksum_text(canonical_json(result)):
            raise ValueError(f"{RESULT} does not match its checksum")
        if _identity_of(read_regular(folder / SPEC)) != identity:
            raise ValueError(f"{SPEC} is that of another run")
        for name, expected in result["files"].items():
            # records of earlier versions have no sizes; comparing them first is what makes a huge file cheap
            if result.get("sizes", {}).get(name, size := _size(folder / name)) != size:
                raise ValueError(f"{name} does not have its recorded size")
            if checksums and checksum_file(folder / name) != expected:
                raise ValueError(f"{name} does not match its checksum")
        return result

    def recorded(self) -> Iterator[ResolvedRun]:
        """Yield the specifications of the finished runs; records that cannot be read or moved are skipped."""
        for path in sorted(self.folder.glob(f"*/{SPEC}")):
            if path.parent.name.isalnum():
                with suppress(OSError, ValueError):
                    resolved = ResolvedRun.model_validate_json(read_regular(path))
                    if resolved.identity == path.parent.name:
                        yield resolved

    def set_damaged_aside(self, identity: str) -> Path | None:
        """Move a damaged record out of the way and return where to; None if the record is intact or absent."""
        folder = self.path(identity)
        if not os.path.lexists(folder) or self.result(identity) is not None:
            return None
        return set_aside(folder)

    def failure(self, identity: str) -> Failure | None:
        """Return how a run failed; None if it did not, or has been finished since."""
        try:
            content = _read_json(self._failed(identity))
            return Failure(str(content["message"]), bool(content["final"]))
        except (OSError, *DAMAGE):
            return None

    def failed_specification(self, identity: str) -> str:
        """Return the specification of a run that failed, as JSON; empty text if it was not recorded."""
        try:
            return json.dumps(_read_json(self._failed(identity))["specification"])
        except (OSError, *DAMAGE):
            return ""

    def fail(self, resolved: ResolvedRun, failure: Failure) -> None:
        """Record that a run failed."""
        given = resolved.model_dump(mode="json")
        content = {"message": failure.message, "final": failure.final, "specification": given}
        path = self._failed(resolved.identity)
        _clear(path)
        write_atomically(path, (canonical_json(content) + "\n").encode())

    def begin(self, resolved: ResolvedRun) -> Path:
        """Create, or find, the folder of a run that is being trained. The caller holds the run's lock.

        A folder that holds anything but regular files is set aside.
        """
        folder = self.partial(resolved.identity)
        if os.path.lexists(folder) and not holds_regular_files_only(folder):
            set_aside(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / SPEC, (resolved.model_dump_json(indent=2) + "\n").encode())
        return folder

    def finish(self, identity: str, result: dict[str, Any]) -> None:
        """Finish a partial run: write its result with the size and checksum of every file, and rename the folder."""
        folder = self.partial(identity)
        optional = [name for name in (SELECTED, SNAPSHOTS, *TOKENIZERS) if (folder / name).exists()]
        names = [SPEC, HISTORY, PREDICTIONS, MODEL, *optional]
        files = {name: checksum_file(folder / name) for name in names}
        result = {**result, "files": files, "sizes": {name: _size(folder / name) for name in names}}
        sealed = {**result, "checksum": _checksum_text(canonical_json(result))}
        write_atomically(folder / RESULT, (json.dumps(sealed, indent=2, sort_keys=True) + "\n").encode())
        for path in folder.iterdir():
            if path.name not in (RESULT, *files):
                path.unlink()
            else:
                sync(path)
        os.replace(folder, self.path(identity))
        sync(self.folder)
        failed = self._failed(identity)
        _clear(failed)
        failed.unlink(missing_ok=True)

    def discard_partial(self, identity: str) -> None:
        """Remove a partial run."""
        shutil.rmtree(self.partial(identity), ignore_errors=True)

    @contextmanager
    def lock(self, identity: str, *, wait: bool) -> Iterator[bool]:
        """Hold the lock of a run, or of a teacher cache.

        Yields False, at once, if another process holds it and `wait` is False. The operating system releases the lock
        when the process that holds it dies.
        """
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{identity}.lock"
        _clear(path)
        lock = FileLock(path, timeout=-1 if wait else 0)
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
        """Return a value computed from a finished run; None if it is absent or damaged."""
        try:
            content = _read_json(self._derived(identity, key))
            return content["value"] if content["checksum"] == _checksum_text(canonical_json(content["value"])) else None
        except (OSError, *DAMAGE):
            return None

    def put_derived(self, identity: str, key: str, value: Any) -> None:
        """Keep a value computed from a finished run. `key` contains everything that it depends on besides the run."""
        content = {"key": key, "checksum": _checksum_text(canonical_json(value)), "value": value}
        path = self._derived(identity, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        write_atomically(path, (canonical_json(content) + "\n").encode())

    def _derived(self, identity: str, key: str) -> Path:
        return self.folder / "derived" / f"{_checksum_text(f'{identity}:{key}')}.json"

    def _failed(self, identity: str) -> Path:
        return self.folder / f"{identity}.failed.json"


def set_aside(path: Path) -> Path:
    """Move a damaged file or folder out of the way, and return where to."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    os.replace(path, aside)
    return aside


def _clear(path: Path) -> None:
    """Move aside what has the path of a file but is not a regular file."""
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        set_aside(path)


def holds_regular_files_only(folder: Path) -> bool:
    """Return whether a path is a folder (not a link to one) that contains only regular files."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return all(entry.is_file(follow_symlinks=False) for entry in entries)


def _size(path: Path) -> int:
    with open_regular(path) as file:
        return os.fstat(file.fileno()).st_size


def _read_json(path: Path) -> dict[str, Any]:
    content = parse_json(read_regular(path))
    if not isinstance(content, dict):
        raise ValueError("not a table")
    return content


@functools.lru_cache(maxsize=4096)
def _identity_of(specification: bytes) -> str:
    return ResolvedRun.model_validate_json(specification).identity


def _checksum_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
