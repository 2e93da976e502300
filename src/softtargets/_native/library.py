"""The functions of the compiled kernels, and how they are called."""

import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import torch
from torch import Tensor

from softtargets._native.loading import VARIABLE, Library, find

__all__ = ["DTYPES", "VARIABLE", "Library", "address", "call", "forget", "function", "library", "status"]

# what a kernel returns; other numbers are the first row that is out of range
DONE, NO_MEMORY = -1, -2

# the numbers of `vector.h`
DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}


def library() -> Library | None:
    """Return the library, or None if torch operations are used instead; :func:`status` says why."""
    return find()[0]


def status() -> str:
    """Return one phrase that says which code is in use."""
    return find()[1]


def forget() -> None:
    """Read the environment variable again at the next use; for tests."""
    find.cache_clear()
    function.cache_clear()


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
    result = kernel(packed) if not _forked or torch.get_num_threads() == 1 else _in_new_thread(kernel, packed)
    if result == NO_MEMORY:
        raise MemoryError("not enough memory for one row of logits in each thread")
    return result == DONE


def address(tensor: Tensor | None) -> int:
    """Return the address of a tensor's first entry; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


# GCC's OpenMP runtime keeps the threads that it started for the thread that asked. In a forked child these threads do
# not exist, and the child would wait for them forever. A new thread of the child starts its own.


def _in_new_thread(kernel: Callable[..., int], packed: bytes) -> int:
    results: list[int] = []
    thread = Thread(target=lambda: results.append(kernel(packed)))
    thread.start()
    thread.join()
    return results[0]


def _was_forked() -> bool:
    """Return whether this process was forked and has not started a new program since; False where this is unknown."""
    try:
        flags = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[6]
    except (OSError, IndexError):
        return False
    return bool(int(flags) & 0x40)  # PF_FORKNOEXEC


def _remember_fork() -> None:
    global _forked
    _forked = True


_forked = _was_forked()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_fork)
