"""The operators without which torchvision's wheel for CUDA does not import beside torch for CPUs."""

from functools import cache

import torch


@cache  # the operators exist as long as the library does
def define_operators() -> torch.library.Library:
    """Define the operators that are missing. They can be looked up, not called."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
