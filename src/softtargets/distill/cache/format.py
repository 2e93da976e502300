"""The files of a teacher cache, and how they are written atomically.

plan.json                what the cache is to contain, written first
shard-00000.safetensors  columns of numbers; examples or sequences in the order of the batches
index.safetensors        the ids in ascending order, and the place of each
manifest.json            the plan, and the size and SHA-256 of every other file, written last
.lock                    locked by the process that writes

Nothing is pickled. docs/teacher-caches.md describes the columns for readers without this package.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from softtargets._errors import fail
from softtargets._storage import parse_json, read_regular, write_atomically

FORMAT, VERSION = "softtargets.teacher-cache", 2
PLAN, MANIFEST, INDEX, LOCK = "plan.json", "manifest.json", "index.safetensors", ".lock"
HEAD = {"format": FORMAT, "version": VERSION, "byteorder": sys.byteorder}
AGAIN = f"remove it and {MANIFEST}, and call write_cache again with the same arguments"


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:05d}.safetensors"


def check_size(path: Path, size: int) -> None:
    """Require a file of that many bytes."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise fail(str(path), "a file of the teacher cache", "no such file", AGAIN) from None
    if found != size:
        raise fail(str(path), f"{size} bytes", f"{found}: the file is truncated or belongs to another cache", AGAIN)


def sealed(content: dict[str, Any]) -> bytes:
    """Return the JSON of a manifest, including its own checksum."""
    return json_bytes({**content, "checksum": _checksum(content)})


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a finished cache.

    Raises:
        ValueError: if it is missing or damaged, or its format, version or byte order is not supported.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise _absent(folder)
    content = read_json(path)
    checksum = content.pop("checksum", None)
    if checksum != _checksum(content):
        remedy = "remove it, and call write_cache again with the same arguments"
        raise fail(str(path), "a manifest as it was written", "a changed one (its checksum differs)", remedy)
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file of a teacher cache, after checking format, version and byte order."""
    try:
        content = parse_json(read_regular(path))
    except ValueError:
        raise fail(str(path), "JSON", "a damaged file", "remove it, and write the cache again") from None
    found = content if isinstance(content, dict) else {}
    if found.get("format") != FORMAT:
        got = f"'{found.get('format')}'"
        raise fail(str(path), f"format '{FORMAT}'", got, "pass a folder that distill.write_cache wrote")
    if found.get("version") != VERSION:
        remedy = "use the softtargets that wrote it, or write the cache again in another folder"
        raise fail(str(path), f"format version {VERSION}", found.get("version"), remedy)
    if found.get("byteorder") != sys.byteorder:
        remedy = "write the cache again on a machine with this byte order"
        raise fail(str(path), f"numbers in {sys.byteorder}-endian order", found.get("byteorder"), remedy)
    return found


def _absent(folder: Path) -> Exception:
    if (folder / PLAN).exists():
        remedy = "call write_cache again with the same arguments: it resumes after the complete shards"
        return fail(
            str(folder), "a finished teacher cache", f"one without {MANIFEST}, whose writing was interrupted", remedy
        )
    got = f"a folder without {MANIFEST}" if folder.is_dir() else "no such folder"
    return fail(str(folder), "the folder of a teacher cache", got, "write it with distill.write_cache")


def write_file(path: Path, content: Iterable[bytes]) -> None:
    """Write a file of a cache atomically; the folder's lock makes one temporary name sufficient."""
    write_atomically(path, content, beside=path.with_name(f".{path.name}.part"))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a folder for writing; the operating system releases the lock when the process ends.

    Raises:
        ValueError: if another process holds the lock.
    """
    from filelock import FileLock, Timeout  # torch requires it

    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        remedy = "wait for it, or write to another folder"
        raise fail(str(folder), "a folder that no other process writes to", "one that is locked", remedy) from None
    try:
        yield
    finally:
        lock.release()


def json_bytes(content: Any) -> bytes:
    """Return readable JSON, the same bytes for the same content."""
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json_bytes(content)).hexdigest()
