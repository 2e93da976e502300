"""Memory that was freed but is still held by the C library (glibc)."""

import ctypes
import sys

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h


def release_freed() -> None:
    """Return freed memory to the operating system, where the C library can (glibc).

    After a pass over many blocks, the C library keeps tens of megabytes for later calls. A program that then needs
    memory elsewhere, such as that of a JavaScript engine, would have both at its peak.
    """
    _call("malloc_trim", 0)


def return_large_blocks() -> None:
    """Return blocks of 4 MiB or more to the operating system as soon as they are freed, for the rest of the process.

    By default the C library keeps blocks of up to 32 MiB for later calls once one of that size was freed. In a pass
    over many blocks of different sizes they add up to a tenth of the peak. Training allocates blocks of the same sizes
    in each step and is faster with the default.
    """
    _call("mallopt", _MMAP_THRESHOLD, 2**22)


def _call(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*arguments)
