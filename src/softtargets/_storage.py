"""Files that are there whole or not at all."""

import hashlib
import os
import uuid
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: Path, content: bytes | Iterable[bytes], *, beside: Path | None = None) -> None:
    """Write a file so that it is there whole or not at all; a former one stays until then.

    Args:
        path: of the file; its folder exists.
        content: all of it, or parts one after the other.
        beside: where it grows, in the same folder: a fixed name, for one writer at a time, is overwritten after a
            kill. None: a name of its own, which a kill leaves behind.

    Raises:
        OSError: where it cannot be written; nothing is left beside it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex}.tmp") if beside is None else beside
    try:
        with part.open("wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def checksum_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Bring a file, or the names of a folder's files, to the disk: a rename may reach it before what is renamed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
