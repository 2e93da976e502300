"""Rows multiplied by numbers, in place."""

import torch
from torch import Tensor

from softtargets._native import on_cuda
from softtargets._numerics import as_like


def scale_rows(values: Tensor, grad: Tensor, expected: Tensor | float = 1.0) -> None:
    """Multiply (..., K) values in place by ``grad / expected``; by 0 where 0 was expected.

    With Triton on CUDA this is one kernel. Rows for which the two are equal are not touched, and the host does not wait
    to see which these are.

    Args:
        values: (..., K) float.
        grad: (...) or () float.
        expected: (...) or () float, or a number.
    """
    if on_cuda.takes(values) and grad.device == values.device:
        on_cuda.scale_rows(values, grad, expected)
        on_cuda.check_reported(values)
        return
    expected = as_like(expected, grad)
    factor = torch.where(expected == 0, 0.0, grad / expected)
    values.mul_(factor[..., None] if factor.ndim else factor)
