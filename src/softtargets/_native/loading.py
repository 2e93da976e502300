"""Find and load the library of compiled kernels. This file does not import torch.

The environment variable ``SOFTTARGETS_NATIVE`` is read at the first use: ``0`` turns the kernels off, ``base``, ``v3``
or ``v4`` chooses an instruction set instead of the best one of the processor.
"""

import ctypes
import functools
import importlib.util
import os
import struct
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

from softtargets._errors import fail
from softtargets._native import build

VARIABLE = "SOFTTARGETS_NATIVE"
_NAMES = {"base": "baseline instructions", "v3": "AVX2", "v4": "AVX-512"}


class Library(NamedTuple):
    """The loaded library, and the instruction set whose functions are used."""

    handle: ctypes.CDLL
    level: str


@functools.cache
def find() -> tuple[Library | None, str]:
    """Return the library, or None if torch operations are used, and one phrase that says which code is in use."""
    wanted, levels = os.environ.get(VARIABLE, "1"), tuple(build.levels())
    if wanted not in ("0", "1", *levels):
        known = ", ".join(("0", "1", *levels))
        raise fail(VARIABLE, f"one of {known}", repr(wanted), "unset it to use the best instruction set")
    if wanted == "0":
        return None, f"torch operations ({VARIABLE}=0)"
    if not build.LIBRARY.exists():
        remedy = "run `make native`, or install again with a working C compiler"
        return None, f"torch operations (there is no {build.LIBRARY.name}; {remedy})"
    try:
        handle, best, threaded = _load(build.LIBRARY)
    except (OSError, AttributeError, struct.error) as error:
        warnings.warn(f"{build.LIBRARY.name} cannot be loaded ({error}): torch operations are used", stacklevel=2)
        return None, f"torch operations ({build.LIBRARY.name} cannot be loaded)"
    if handle is None:
        outdated = f"{build.LIBRARY.name} is older than its sources; run `make native`"
        warnings.warn(outdated, stacklevel=2)
        return None, f"torch operations ({outdated})"
    level = levels[best] if wanted == "1" else wanted
    if level not in levels[: best + 1]:
        there = ", ".join(levels[: best + 1])
        raise fail(
            VARIABLE, f"an instruction set of this processor ({there})", repr(wanted), "unset it to use the best"
        )
    return Library(handle, level), f"compiled kernels ({_NAMES[level]}{'' if threaded else ', one thread'})"


def _load(path: Path) -> tuple[ctypes.CDLL | None, int, bool]:
    """Return the library, its best instruction set, and whether it uses threads; no library if it is outdated."""
    _require_complete(path)
    _show_openmp()
    handle = ctypes.CDLL(str(path))
    handle.sources_base.restype = ctypes.c_char_p
    if build.SOURCES.is_dir() and handle.sources_base().decode() != build.fingerprint():
        return None, 0, False
    return handle, handle.best_level_base(), bool(handle.threaded_base())


def _require_complete(path: Path) -> None:
    """Raise OSError if an ELF file was cut off: the system would end the process when it reads what is missing."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[:5] == b"\x7fELF\x02":
        (sections,) = struct.unpack_from("=Q", head, 40)
        size, count = struct.unpack_from("=2H", head, 58)
        if path.stat().st_size < sections + size * count:
            raise OSError("the file is incomplete")


def _show_openmp() -> None:
    """Load torch's OpenMP runtime where the library finds its functions. Where torch is imported, it has done so."""
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return
    torch = importlib.util.find_spec("torch")
    if torch is not None and torch.origin is not None:
        folder = Path(torch.origin).parent
        found = (*folder.glob("lib/libgomp*.so*"), *folder.parent.glob("torch.libs/libgomp*.so*"))
        ctypes.CDLL(str(found[0]) if found else "libgomp.so.1", mode=ctypes.RTLD_GLOBAL)
