"""The logits of members and the labels of their rows, as users give them."""

from typing import Any

from torch import Tensor

from softtargets._arrays import ArrayLike, as_tensor
from softtargets._checks import read_labels
from softtargets._errors import fail, fail_type
from softtargets.report.numbers import count


def read_members(logits: ArrayLike, labels: ArrayLike, *, least: int) -> tuple[Tensor, Tensor]:
    """Return the logits of members and the labels of their rows, which may be arrays, as tensors.

    Args:
        logits: (M, N, K).
        labels: (N,) integers.
        least: smallest M.

    Returns:
        (M, N, K) float and (N,) int64.

    Raises:
        InputError: for another shape, no rows, or a label that is not one of the K classes.
        InputTypeError: if they are not a tensor or an array.
    """
    logits, labels = as_tensor("logits", logits), as_tensor("labels", labels)
    required = f"shape (M, N, K) of at least {count(least, 'member')}, and at least one row"
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise fail_type("logits", f"a floating-point tensor or array of {required}", _kind(logits), _remedy(logits))
    if logits.ndim != 3 or len(logits) < least or logits.shape[1] == 0 or logits.shape[2] < 2:
        raise fail("logits", required, f"shape {tuple(logits.shape)}", "pass the logits of all members, (N, K) each")
    return logits, read_labels("labels", labels, num_classes=logits.shape[2], shape=(logits.shape[1],))[0]


def _kind(logits: Any) -> str:
    return f"dtype {logits.dtype}" if isinstance(logits, Tensor) else type(logits).__name__


def _remedy(logits: Any) -> str:
    if isinstance(logits, Tensor):
        return "pass logits, not classes"
    return "use torch.stack(logits)" if isinstance(logits, list | tuple) else "pass the logits of all members"
