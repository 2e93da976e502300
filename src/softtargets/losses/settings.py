"""Hyper-parameters of losses: one number, or one number per example."""

import math

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_per_example
from softtargets._errors import fail_type


def read_setting(
    argument: str,
    value: object,
    shape: tuple[int, ...] | torch.Size,
    *,
    low: float = 0.0,
    high: float = math.inf,
    remedy: str = "",
) -> float | Tensor:
    """Return a hyper-parameter as a Python number or as a tensor, checked.

    Args:
        argument: name of the argument, for the error.
        value: a Python or NumPy number, a () tensor, or a tensor with one number per example.
        shape: shape of the examples.
        low: smallest valid value.
        high: largest valid value.
        remedy: advice of the error; by default it names the range.

    Raises:
        ValueError: if a value is outside [low, high], or a tensor has another shape.
        TypeError: if it is neither a number nor a tensor of real numbers.
    """
    if isinstance(value, Tensor) and (value.dtype == torch.bool or value.is_complex()):
        raise fail_type(
            argument, "a number or a tensor of real numbers", f"dtype {value.dtype}", f"use {argument}.float()"
        )
    if not remedy and math.isinf(high):
        remedy = f"choose {low:g} or more"
    check_fraction(argument, value, low=low, high=high, remedy=remedy)
    if isinstance(value, Tensor):
        check_per_example(argument, value, torch.Size(shape))
        return value
    return float(value)  # pyright: ignore[reportArgumentType]


def over_classes(value: float | Tensor) -> float | Tensor:
    """Return a hyper-parameter so that it broadcasts against (..., K)."""
    return value[..., None] if isinstance(value, Tensor) and value.ndim > 0 else value
