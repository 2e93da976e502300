"""Load the compiled kernels.

The environment variable ``SOFTTARGETS_NATIVE`` is read at the first use: ``0`` turns the kernels off, ``base``, ``v3``
or ``v4`` chooses an instruction set instead of the best one of the processor.
"""

import ctypes
import functools
import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._native import build

VARIABLE = "SOFTTARGETS_NATIVE"
# what a kernel returns; other numbers are the first row that is out of range
DONE, NO_MEMORY = -1, -2

# the numbers of `vector.h`
DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}


class Library(NamedTuple):
    """The loaded library, and the instruction set whose functions are used."""

    handle: ctypes.CDLL
    level: str


@functools.cache
def library() -> Library | None:
    """Return the library, or None if torch's operations are used instead; :func:`status` says why."""
    return _find()[0]


@functools.cache
def status() -> str:
    """Return one phrase that says which code is in use, for ``softtargets version``."""
    return _find()[1]


def forget() -> None:
    """Read the environment variable again at the next use; for tests."""
    for found in (library, status, function, _find):
        found.cache_clear()


@functools.cache
def function(name: str) -> Callable[..., int] | None:
    """Return a function of the library that takes one packed structure and returns an int64; None without a library."""
    loaded = library()
    if loaded is None:
        return None
    found = getattr(loaded.handle, f"{name}_{loaded.level}")
    found.argtypes, found.restype = [ctypes.c_char_p], ctypes.c_int64
    return found


def call(kernel: Callable[..., int], packed: bytes) -> bool:
    """Run a kernel; return False if it found an argument out of range, having written nothing.

    Raises:
        MemoryError: if the kernel could not allocate memory.
    """
    result = kernel(packed)
    if result == NO_MEMORY:
        raise MemoryError("not enough memory for one row of logits in each thread")
    return result == DONE


def address(tensor: Tensor | None) -> int:
    """Return the address of a tensor's first entry; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


@functools.cache
def _find() -> tuple[Library | None, str]:
    wanted = os.environ.get(VARIABLE, "1")
    known = ("0", "1", *build.levels())
    if wanted not in known:
        raise fail(VARIABLE, f"one of {', '.join(known)}", repr(wanted), "unset it to use the best instruction set")
    if wanted == "0":
        return None, f"torch operations ({VARIABLE}=0)"
    if not build.LIBRARY.exists():
        return None, "torch operations (this installation was built without a C compiler)"
    try:
        handle = ctypes.CDLL(str(build.LIBRARY))
        handle.sources_base.restype = ctypes.c_char_p
        sources, best = handle.sources_base().decode(), tuple(build.levels())[handle.best_level_base()]
    except (OSError, AttributeError) as error:
        warnings.warn(f"{build.LIBRARY.name}: cannot be loaded ({error}); torch operations are used", stacklevel=2)
        return None, f"torch operations ({build.LIBRARY.name} cannot be loaded)"
    if build.SOURCES.is_dir() and sources != build.fingerprint():
        warnings.warn(f"{build.LIBRARY.name} is older than its sources; run `make native`", stacklevel=2)
        return None, f"torch operations ({build.LIBRARY.name} is older than its sources; run `make native`)"
    level = best if wanted == "1" else wanted
    return Library(handle, level), f"compiled kernels ({_SPELLED[level]})"


_SPELLED: dict[str, Any] = {"base": "baseline instructions", "v3": "AVX2", "v4": "AVX-512"}
