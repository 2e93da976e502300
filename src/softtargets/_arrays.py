"""NumPy arrays in, NumPy arrays out: the decorator of the rooms that take arrays as well as tensors."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

import torch
from torch import Tensor

from softtargets._errors import fail_type
from softtargets._results import TensorResult

P = ParamSpec("P")
R = TypeVar("R")

# A tensor, a NumPy array or any object with ``__array__``; :func:`array_function` turns it into a tensor.
ArrayLike: TypeAlias = Any


def array_function(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function or a method take NumPy arrays wherever it takes tensors.

    Arrays, and other objects with ``__array__``, are converted to tensors that share their memory where possible. A
    NumPy scalar becomes a Python number. If at least one argument was an array and none was a tensor, tensors in the
    result (also within a tuple, a list, a dict or a result of the package) are returned as NumPy arrays.
    """
    names = function.__code__.co_varnames[: function.__code__.co_argcount]

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        given = [*args, *kwargs.values()]
        if not any(_is_foreign(value) for value in given):
            return function(*args, **kwargs)
        labelled = [names[i] if i < len(names) else f"argument {i + 1}" for i in range(len(args))]
        converted = [as_tensor(name, value) for name, value in zip(labelled, args, strict=True)]
        result = function(*converted, **{name: as_tensor(name, value) for name, value in kwargs.items()})  # pyright: ignore[reportCallIssue]
        arrays = any(_is_foreign(value) and getattr(value, "ndim", 1) > 0 for value in given)
        return _as_arrays(result) if arrays and not any(isinstance(value, Tensor) for value in given) else result

    return wrapper


def as_tensor(argument: str, value: Any) -> Any:
    """Return an array as a tensor, a NumPy scalar as a Python number, and anything else unchanged.

    Raises:
        TypeError: if the array does not hold numbers or booleans.
    """
    if not _is_foreign(value):
        return value
    array = value.__array__()
    if array.ndim == 0 and not hasattr(value, "shape"):
        return value
    if array.dtype.kind not in "biuf":
        remedy = f"encode {argument} as integers" if array.dtype.kind in "OUS" else f"convert {argument} to float"
        raise fail_type(argument, "an array of numbers or booleans", f"dtype {array.dtype}", remedy)
    if array.ndim == 0 and type(value).__module__ == "numpy" and type(value).__name__ != "ndarray":
        return value.item()
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype("float64")
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def _is_foreign(value: object) -> bool:
    return not isinstance(value, Tensor | type) and hasattr(value, "__array__")


def _as_arrays(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result.detach().cpu().numpy()
    if type(result) in (tuple, list):
        return type(result)(_as_arrays(part) for part in result)
    if type(result) is dict:
        return {name: _as_arrays(part) for name, part in result.items()}
    return result.with_arrays() if isinstance(result, TensorResult) else result
