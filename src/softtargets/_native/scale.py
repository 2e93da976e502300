"""Rows multiplied by numbers, in place."""

from torch import Tensor

from softtargets._native import on_cuda


def scale_rows(values: Tensor, factor: Tensor) -> None:
    """Multiply (..., K) values in place by a factor for each row.

    With Triton on CUDA, rows whose factor is 1 are not touched, and the host does not wait to see which these are.

    Args:
        values: (..., K) float.
        factor: (...) or () float.
    """
    if on_cuda.takes(values) and factor.device == values.device:
        on_cuda.scale_rows(values, factor.expand(values.shape[:-1]))
    else:
        values.mul_(factor[..., None] if factor.ndim else factor)
