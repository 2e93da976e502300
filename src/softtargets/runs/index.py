"""What `list_runs` has read, kept in the store, so that unchanged runs are not read again.

The index is a cache. An entry holds as long as the names, sizes, types and times of a run's files are the same. An
index that is missing, damaged or of another version is made again, and one that cannot be written is left out.
"""

import hashlib
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softtargets._storage import parse_json, read_regular, write_atomically
from softtargets.runs.spec import canonical_json
from softtargets.runs.store import DAMAGE

INDEX = "index.json"
# Increase when an entry has other fields, or the same files give another entry.
VERSION = 2
# An index of a million runs has about this size.
_MAX_BYTES = 2**30
# Files may change again within the resolution of their times, so what is this new is read every time.
_SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class RunFiles:
    """The files of a run, without their content.

    Args:
        stamp: hash of their names, types, sizes and times.
        size: bytes of all files.
        newest: time of the last change of a file or of the folder, in seconds.
    """

    stamp: str
    size: int
    newest: float

    @classmethod
    def of(cls, *paths: Path) -> "RunFiles | None":
        """Look at files, and folders of files; None if there is a folder in a folder, or on an error."""
        seen: list[tuple[str, os.stat_result]] = []
        try:
            for path in paths:
                own = path.lstat()
                inside = _inside(path) if stat.S_ISDIR(own.st_mode) else []
                if any(stat.S_ISDIR(one.st_mode) for _, one in inside):
                    return None
                seen += [(path.name, own), *inside]
        except OSError:
            return None
        told = [(name, one.st_mode, one.st_size, one.st_mtime_ns, one.st_ino) for name, one in seen]
        return cls(
            stamp=hashlib.sha256(repr(told).encode()).hexdigest(),
            size=sum(one.st_size for _, one in seen if not stat.S_ISDIR(one.st_mode)),
            newest=max((one.st_mtime for _, one in seen), default=0.0),
        )


def _inside(folder: Path) -> list[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        return sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)


class RunIndex:
    """Entries of runs by the stamps of their files. Use it as a context: it is written at the end if it changed.

    Args:
        folder: of the run store.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / INDEX
        self._known: dict[str, list[Any]] = {}
        self._now: dict[str, list[Any]] = {}
        self._changed = False
        with suppress(OSError, *DAMAGE):
            content = parse_json(read_regular(self._path, max_bytes=_MAX_BYTES))
            if content["version"] == VERSION:
                self._known = dict(content["entries"])

    def get(self, key: str, files: RunFiles) -> dict[str, Any] | None:
        """Return the fields of an entry, if the files are the same as when it was made."""
        known = self._known.get(key)
        if not isinstance(known, list) or len(known) != 2 or known[0] != files.stamp or not isinstance(known[1], dict):
            return None
        self._now[key] = known
        return known[1]

    def put(self, key: str, files: RunFiles, fields: dict[str, Any]) -> None:
        """Keep the fields of an entry, unless its files changed a moment ago."""
        if files.newest < time.time() - _SETTLED_SECONDS:
            self._now[key] = [files.stamp, fields]
            self._changed = True

    def __enter__(self) -> "RunIndex":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None and (self._changed or len(self._now) < len(self._known)):
            content = canonical_json({"version": VERSION, "entries": self._now})
            with suppress(OSError):
                write_atomically(self._path, content.encode())
