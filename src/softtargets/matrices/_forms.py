"""Checks of the forms that a transition or a label matrix may be given in."""

import math
import numbers

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._checks import (
    check_entries,
    check_floating,
    check_fraction,
    first_bad,
    read_labels,
    values_visible,
    where,
)
from softtargets._errors import fail, fail_type


def read_number(argument: str, value: object, *, low: float = -math.inf, high: float = math.inf) -> float | Tensor:
    """Return one number, of Python, NumPy or a () floating-point tensor, checked; a tensor keeps its gradient.

    A tensor with several numbers would be broadcast over the columns of the matrix, whose rows would then be wrong.
    """
    if isinstance(value, Tensor):
        if value.ndim > 0:
            remedy = f"use {argument}.squeeze()" if value.numel() == 1 else "for one number per class give a matrix"
            raise fail(argument, "one number", f"shape {tuple(value.shape)}", remedy)
        if not value.is_floating_point():
            raise fail_type(argument, "a floating-point tensor", f"dtype {value.dtype}", f"use {argument}.float()")
    required = "finite" if math.isinf(low) and math.isinf(high) else ""
    if required and isinstance(value, numbers.Real) and not math.isfinite(float(value)):
        raise fail(argument, "a finite number", value, "fix that number")
    check_fraction(argument, value, low=low, high=high, remedy="choose a finite number" if required else "")
    return value if isinstance(value, Tensor) else float(value)  # pyright: ignore[reportArgumentType]


def read_sparse(num_classes: int, others: object, shares: object, matrix: object) -> Tensor:
    """Return `others` as int64, checked: in each row other classes than its own, whose shares are at most 1 in sum."""
    if others is None or shares is None or matrix is not None:
        got = "a matrix too" if matrix is not None else f"only {'shares' if others is None else 'others'}"
        raise fail("others", "given with shares and without a matrix", got, "pass others and shares")
    check_floating("shares", shares)
    assert isinstance(shares, Tensor)
    classes, _ = read_labels("others", others)
    if classes.ndim != 2 or len(classes) != num_classes or classes.shape != shares.shape:
        got = f"shapes {tuple(classes.shape)} and {tuple(shares.shape)}"
        raise fail("others", f"shape ({num_classes}, W), as shares", got, "give one row per clean class")
    if not values_visible(classes, shares):
        return classes
    index = first_bad(classes >= num_classes)
    if index is not None:
        got = f"{int(classes[index])} at {where(index)}"
        raise fail("others", f"classes in [0, {num_classes})", got, "fix that class, or num_classes")
    check_entries("shares", shares, lambda s: s >= 0, "entries of at least 0", "fix that entry")
    required, remedy = "rows (clean class) with a sum of at most 1", "leave out the share that stays"
    check_entries("shares", shares.double().sum(1), lambda total: total <= 1 + 1e-5, required, remedy)
    own = torch.arange(num_classes, device=classes.device)[:, None]
    ordered = classes.sort(1).values
    twice = functional.pad((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != own), (1, 0))
    for bad, found in (((classes == own) & (shares > 0), classes), (twice, ordered)):
        index = first_bad(bad)
        if index is not None:
            got = f"class {int(found[index])} in row {index[0]}"
            remedy = "name each class once, and pad the row with its own class at share 0"
            raise fail("others", "in each row classes other than its own, each once", got, remedy)
    return classes


def same_matrix(a: Tensor, b: Tensor) -> bool:
    """Return whether two matrices are equal, entry by entry, whatever their devices."""
    return a.shape == b.shape and torch.equal(a.detach().cpu(), b.detach().cpu())


def rendered(name: str, num_classes: int, **fields: object) -> str:
    """Render a matrix as a short call: numbers by value, tensors by their shape."""
    parts = [str(num_classes)]
    for field, value in fields.items():
        if isinstance(value, Tensor) and value.ndim > 0:
            parts.append(f"{field}=<{' x '.join(map(str, value.shape))} {str(value.dtype).removeprefix('torch.')}>")
        elif value is not None:
            number = float(value.detach()) if isinstance(value, Tensor) else value
            parts.append(f"{field}={number:g}")
    return f"{name}({', '.join(parts)})"
