"""Reading and writing files safely: atomic writes, checksums, and reads of regular files of a limited size only."""

import errno
import hashlib
import json
import os
import stat
import sys
import uuid
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path
from typing import Any

from softtargets._errors import InputError, fail, shortened

GIB = 2**30
# Specifications, results and manifests are kilobytes; a text file above this size is something else.
TEXT_BYTES = 64 * 2**20
# Nesting of JSON and TOML. No file of this package is nested more than about ten levels deep.
MAX_DEPTH = 64
# Opening a pipe waits for its writer without this flag; Windows has neither.
_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class UnfitFileError(ValueError):
    """A path that must not be read: not a regular file (a folder, a device, a pipe), or a file above a size limit."""


def open_regular(path: Path, *, max_bytes: int | None = None) -> BufferedReader:
    """Open a regular file for reading. Never blocks: a pipe without a writer raises an error.

    Args:
        path: of the file. Symbolic links are followed.
        max_bytes: largest accepted size (default: any).

    Raises:
        UnfitFileError: if the path is not a regular file or the file is larger than `max_bytes`.
        OSError: if it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | _NEVER_WAIT)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFileError(f"{kind_of(status.st_mode)}, not a regular file")
        if max_bytes is not None and status.st_size > max_bytes:
            raise UnfitFileError(f"a file of {shown_bytes(status.st_size)}; the limit is {shown_bytes(max_bytes)}")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, *, max_bytes: int = TEXT_BYTES) -> bytes:
    """Return the content of a regular file. Raises the errors of :func:`open_regular`."""
    with open_regular(path, max_bytes=max_bytes) as file:
        return file.read(max_bytes + 1)


def kind_of(mode: int) -> str:
    """Return what a file mode stands for, in words."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFREG: "a file"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: if it is not JSON, is nested more than `MAX_DEPTH` levels deep, or holds an integer with too many
            digits for Python to convert.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as error:
        if too_many_digits(error):
            raise ValueError(too_many_digits(error)) from None
        raise
    check_depth(content)
    return content


def too_many_digits(error: ValueError) -> str | None:
    """Return a sentence without advice about Python if a parser met an integer that Python does not convert."""
    if "set_int_max_str_digits" not in str(error):
        return None
    return f"it holds an integer of more than {sys.get_int_max_str_digits():,} digits"


def check_depth(content: Any) -> None:
    """Raise ValueError if nested lists and tables are more than `MAX_DEPTH` levels deep."""
    level, depth = [content], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        level = [
            item
            for node in level
            if isinstance(node, dict | list | tuple)
            for item in (node.values() if isinstance(node, dict) else node)
        ]
        depth += 1


def user_path(argument: str, text: str | os.PathLike[str]) -> Path:
    """Return a path that a user wrote, with ``~`` expanded.

    Raises:
        InputError: if no file can have this path: it is too long, or holds a null character.
    """
    path = Path(text)
    try:
        path = path.expanduser()
        os.stat(path)
    except ValueError:
        raise fail(argument, "a path without null characters", shortened(repr(str(text))), "fix the path") from None
    except RuntimeError:
        raise fail(argument, "a path whose home folder exists", f"'{text}'", "write the path in full") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise bad_path(argument, text, error) from None
    return path


def bad_path(argument: str, text: object, error: OSError) -> InputError:
    """Build the error of a path that is too long or runs through a loop of links."""
    reason = "a loop of symbolic links" if error.errno == errno.ELOOP else "a path that is too long"
    return fail(argument, "a path that the file system accepts", f"'{shortened(str(text))}', {reason}", "fix the path")


def shown_bytes(size: int) -> str:
    """Return a size in words.

    Example:
        >>> shown_bytes(512), shown_bytes(3 * 2**20), shown_bytes(5 * 10**9)
        ('512 bytes', '3.0 MiB', '4.7 GiB')
    """
    for unit, name in ((2**40, "TiB"), (GIB, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"


def memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, or less where a control group limits it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        return min(total, int(limit))
    except (OSError, ValueError):
        return total


def write_atomically(path: Path, content: bytes | Iterable[bytes], *, beside: Path | None = None) -> None:
    """Write a file so that it is either complete or absent; an existing file is replaced at the end.

    Args:
        path: of the file. Its folder must exist.
        content: the bytes, or parts that are written one after the other.
        beside: temporary file in the same folder. A fixed name suits a single writer: a later call overwrites what an
            interrupted one left. None: a unique name, which an interrupted call leaves behind.

    Raises:
        OSError: if it cannot be written. The temporary file is removed.
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
    """Return the SHA-256 of a regular file, hexadecimal. Raises the errors of :func:`open_regular`."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk. Call it before a rename that must not come first."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
