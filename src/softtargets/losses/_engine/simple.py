"""The test for the short way: plain tensors on the CPU, in eager code, that a kernel takes as they are."""

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from softtargets._native.library import DTYPES, library

_functorch = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]


def simple(logits: object, labels: Tensor, class_dim: int, ignore_index: int) -> bool:
    """Return whether logits and labels can be given to a kernel that checks the labels itself.

    Args:
        logits: anything.
        labels: any tensor.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
    """
    kind = type(logits)
    if (kind is not Tensor and kind is not torch.nn.Parameter) or type(labels) is not Tensor:
        return False
    assert isinstance(logits, Tensor)
    if labels.dtype is not torch.int64 or not (logits.is_cpu and labels.is_cpu) or logits.dtype not in DTYPES:
        return False
    if type(class_dim) is not int or type(ignore_index) is not int:
        return False
    shape, dimensions = logits.shape, logits.ndim
    if not -dimensions <= class_dim < dimensions or logits.numel() == 0:
        return False
    dim = class_dim % dimensions
    if shape[dim] < 2 or labels.shape != shape[:dim] + shape[dim + 1 :]:
        return False
    return library() is not None and _eager() and forward_ad._current_level < 0


def _eager() -> bool:
    """Return whether no tracer, function transform or dispatch mode is active."""
    return not (
        torch._C._get_tracing_state()
        or _functorch.peek_interpreter_stack() is not None
        or _get_current_dispatch_mode() is not None
    )
