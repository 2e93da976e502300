"""Memory that was freed but is still held by the C library."""

import ctypes
import sys


def release_freed() -> None:
    """Return freed memory to the operating system, where the C library can (glibc).

    After a pass over many blocks, the C library keeps tens of megabytes for later calls. A program that then needs
    memory elsewhere, such as that of a JavaScript engine, would have both at its peak.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
