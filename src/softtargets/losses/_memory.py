"""Memory for a gradient that is as large as the logits."""

import ctypes
import sys
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Below this an allocator has pages at hand; above it each page may be new, and its first touch asks the system.
LARGE = 2**22
HUGE_PAGES = 14  # MADV_HUGEPAGE
PAGE = 4096


def empty_like(tensor: Tensor) -> Tensor:
    """Return an uninitialised tensor like another; a large one asks for large pages, where Linux leaves that to us.

    Half of the time that a first write into a quarter of a gigabyte takes goes to its 64,000 small pages.
    """
    made = torch.empty_like(tensor)
    size = made.untyped_storage().nbytes()
    if size >= LARGE and made.device.type == "cpu" and (advise := _advise()) is not None:
        start = -(-made.untyped_storage().data_ptr() // PAGE) * PAGE
        end = (made.untyped_storage().data_ptr() + size) // PAGE * PAGE
        advise(start, end - start, HUGE_PAGES)  # advice: where it is not taken, nothing is lost
    return made


@cache
def _advise() -> Any:
    if sys.platform != "linux":
        return None
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is not None:
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return advise
