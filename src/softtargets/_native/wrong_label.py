"""A label that a kernel on CUDA found out of range, in memory of the host that the GPU writes to.

So the host learns of such a label without waiting for the GPU: whenever it looks, at the latest in the call after.
"""

import ctypes

import torch
from torch import Tensor

from softtargets._errors import fail


class _Word:
    """One int64 of the host: the label, or 0, which never is out of range."""

    def __init__(self, device: torch.device) -> None:
        self.tensor = torch.zeros(1, dtype=torch.int64, pin_memory=device.type == "cuda")
        self.value = ctypes.c_int64.from_address(self.tensor.data_ptr())  # reads in less time than the tensor does


_words: dict[torch.device, _Word] = {}


def memory(device: torch.device) -> Tensor:
    """Return the memory, (1,) int64, that kernels on a device write to."""
    if device not in _words:
        _words[device] = _Word(device)
    return _words[device].tensor


def taken(device: torch.device) -> int:
    """Return the label that was found and forget it; 0 if there is none."""
    word = _words.get(device)
    if word is None or not word.value.value:
        return 0
    label, word.value.value = word.value.value, 0
    return label


def check(device: torch.device, num_classes: int) -> None:
    """Raise an error if a label was found."""
    if label := taken(device):
        required = f"labels of at least 0 and below {num_classes}, the number of classes"
        got = f"{label} on {device}, in this call or an earlier one"
        raise fail("targets", required, got, "fix the labels; CUDA_LAUNCH_BLOCKING=1 raises this error in their call")
