"""Checks of tensors and numbers."""

import math
import numbers
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type


def eager(*tensors: Tensor | None) -> bool:
    """Return whether values may be read: never under compile, vmap or on meta and fake tensors."""
    if torch.compiler.is_compiling():
        return False
    return not any(t is not None and (t.is_meta or _wrapped(t)) for t in tensors)


def _wrapped(tensor: Tensor) -> bool:
    functorch = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]
    # Transforms nest, as in vmap(grad(f)) for the gradient of each example: the batched tensor may lie deeper.
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            return True
        tensor = functorch.get_unwrapped(tensor)
    return isinstance(tensor, torch._subclasses.FakeTensor)


def on_host(tensor: Tensor) -> bool:
    """Return whether reading a value of the tensor does not make the host wait for an accelerator."""
    return tensor.device.type == "cpu"


_synchronising_checks = True


def synchronising_checks(enabled: bool | None = None) -> bool:
    """Return whether value checks that force a device synchronisation run; if `enabled` is given, set it.

    Checks on the CPU cost little and always run. On an accelerator, reading a value makes the host wait, which can slow
    down training: ``synchronising_checks(False)`` skips these checks, and only these. Cross entropy on CUDA with Triton
    never waits for its labels: a label out of range gives NaN, and the error is raised by this call or a later one.
    """
    global _synchronising_checks
    if enabled is not None:
        _synchronising_checks = bool(enabled)
    return _synchronising_checks


def values_visible(*tensors: Tensor | None) -> bool:
    """Return whether the values of these tensors may be checked here and now."""
    if not eager(*tensors):
        return False
    return _synchronising_checks or all(t is None or on_host(t) for t in tensors)


def first_bad(bad: Tensor) -> tuple[int, ...] | None:
    """Return the index of the first True in `bad`, or None."""
    if not bool(bad.any()):
        return None
    flat = int(bad.flatten().to(torch.uint8).argmax())
    index: list[int] = []
    for size in reversed(bad.shape):
        index.insert(0, flat % size)
        flat //= size
    return tuple(index)


def where(index: tuple[int, ...], axis: str = "row") -> str:
    """Render an index as ``row 3`` or ``index (3, 1)``."""
    if not index:
        return "the only entry"
    return f"{axis} {index[0]}" if len(index) == 1 else f"index {index}"


def entry(tensor: Tensor, index: tuple[int, ...]) -> str:
    """Render one number of a tensor, which may require a gradient."""
    return f"{float(tensor.detach()[index]):g}"


def check_entries(
    argument: str, values: Tensor, good: Callable[[Tensor], Tensor], required: str, remedy: str, *, axis: str = "row"
) -> None:
    """Require that `good` is True for every entry; the error names the first entry where it is not."""
    if values_visible(values):
        index = first_bad(~good(values))
        if index is not None:
            raise fail(argument, required, f"{entry(values, index)} at {where(index, axis)}", remedy)


def check_int(argument: str, value: object, *, least: int, remedy: str) -> None:
    """Require an int of at least `least`; a value of another type raises a TypeError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise fail_type(argument, f"an int of at least {least}", repr(value), remedy)
    if int(value) < least:
        raise fail(argument, f"at least {least}", value, remedy)


def check_count(argument: str, value: object, *, least: int = 1, most: int | None = None, remedy: str) -> None:
    """Require an int from `least` to `most`; any other value or type is a bad value."""
    whole = int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else None
    if whole is None or whole < least or (most is not None and whole > most):
        required = f"an int of at least {least}" if most is None else f"an int from {least} to {most}"
        raise fail(argument, required, repr(value), remedy)


def check_floating(argument: str, tensor: object) -> None:
    """Require a floating-point tensor."""
    if not isinstance(tensor, Tensor):
        remedy = f"use torch.from_numpy({argument})" if hasattr(tensor, "__array__") else "pass a torch.Tensor"
        raise fail_type(argument, "a floating-point tensor", type(tensor).__name__, remedy)
    if not tensor.is_floating_point():
        raise fail_type(argument, "a floating-point tensor", f"dtype {tensor.dtype}", f"use {argument}.float()")


def check_classes_last(argument: str, scores: Tensor) -> None:
    """Require floating-point numbers of shape (..., K)."""
    check_floating(argument, scores)
    if scores.ndim < 1 or scores.shape[-1] < 2:
        raise fail(argument, "shape (..., K) with K >= 2", tuple(scores.shape), "put the classes last")


def check_rows(argument: str, scores: Tensor) -> None:
    """Require floating-point numbers of shape (N, K)."""
    check_floating(argument, scores)
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise fail(argument, "shape (N, K) with K >= 2", tuple(scores.shape), "give one row of K per example")


def check_mask(mask: Tensor | None, shape: tuple[int, ...]) -> None:
    """Require a bool tensor with one entry per row, or None."""
    if mask is None:
        return
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = f"dtype {mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
        raise fail_type("mask", "a bool tensor, True for the entries to include", got, "use mask.bool()")
    if mask.shape != shape:
        raise fail("mask", f"shape {tuple(shape)}, one per row", tuple(mask.shape), "pass one entry per row")


LABEL_KINDS = "integer labels (int8 to int64, unsigned or bool)"


def read_labels(
    argument: str,
    labels: object,
    *,
    num_classes: int | None = None,
    shape: tuple[int, ...] | None = None,
    ignore_index: int | None = None,
    mask: Tensor | None = None,
    deferred: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return labels as int64, and which of them are left out.

    They are converted before anything is compared: in a narrower dtype -100 or the number of classes wraps around.

    Args:
        argument: name of the argument, for the error.
        labels: (...) integer or bool tensor.
        num_classes: K; None: any label of at least 0 is valid.
        shape: the required shape; None: any.
        ignore_index: label that marks an example to leave out; None: no label does.
        mask: (...) bool, False for an example to leave out; its label may be anything.
        deferred: the code that uses the labels checks them, so that on an accelerator they are not read here.

    Returns:
        (...) int64 labels, 0 where an example is left out, and (...) bool, True where it is, or None if none is. If the
        labels are not read, any `ignore_index` gives a tensor.

    Raises:
        ValueError: if the shape differs or a label that is not left out is outside [0, num_classes) (first bad
            index named).
        TypeError: if labels are not integers, or mask is not bool.
    """
    whole = _as_int64(argument, labels, shape, LABEL_KINDS)
    check_mask(mask, tuple(whole.shape))
    left_out = None if mask is None else ~mask
    readable = not deferred or on_host(whole)
    visible = readable and values_visible(whole) and whole.numel() > 0
    lowest, highest = (int(end) for end in whole.aminmax()) if visible else (0, 0)
    may_ignore = ignore_index is not None and (not visible or lowest <= ignore_index <= highest)
    if may_ignore:
        ignored = whole == ignore_index
        left_out = ignored if left_out is None else left_out | ignored
    if left_out is not None and readable and values_visible(left_out) and not bool(left_out.any()):
        left_out = None
    if left_out is not None:
        whole = whole.masked_fill(left_out, 0)
    if visible and (lowest < 0 or (num_classes is not None and highest >= num_classes)):
        _check_range(argument, whole, num_classes, "labels", _left_out_advice(ignore_index))
    return whole, left_out


def read_ids(argument: str, ids: object, size: int, shape: tuple[int, ...] | None = None) -> Tensor:
    """Return ids as int64: integers in [0, size), of a shape where one is given."""
    whole = _as_int64(argument, ids, shape, "integer ids of examples")
    if values_visible(whole):
        _check_range(argument, whole, size, "ids", "use the ids that the examples were counted with", what="examples")
    return whole


def _as_int64(argument: str, labels: object, shape: tuple[int, ...] | None, required: str) -> Tensor:
    if not isinstance(labels, Tensor):
        raise fail_type(argument, required, type(labels).__name__, f"use torch.as_tensor({argument})")
    if labels.is_floating_point() or labels.is_complex():
        remedy = f"if they are whole numbers use {argument}.long(); this argument takes no probabilities"
        raise fail_type(argument, required, f"dtype {labels.dtype}", remedy)
    if shape is not None and tuple(labels.shape) != tuple(shape):
        column = tuple(labels.shape) == (*shape, 1)
        remedy = f"use {argument}.squeeze(-1)" if column else "give one per example"
        raise fail(argument, f"shape {tuple(shape)}", tuple(labels.shape), remedy)
    return labels.long()


def _check_range(
    argument: str, whole: Tensor, size: int | None, noun: str, remedy: str, *, what: str = "classes"
) -> None:
    index = first_bad(whole < 0 if size is None else (whole < 0) | (whole >= size))
    if index is not None:
        high = "" if size is None else f" and below {size}, the number of {what}"
        raise fail(argument, f"{noun} of at least 0{high}", f"{int(whole[index])} at {where(index)}", remedy)


def _left_out_advice(ignore_index: int | None) -> str:
    return "fix or drop that example" + ("" if ignore_index is None else f", or set its label to {ignore_index}")


def check_num_classes(num_classes: int) -> None:
    """Require at least two classes."""
    check_int("num_classes", num_classes, least=2, remedy="pass the number of classes")


def check_fraction(argument: str, value: object, *, low: float = 0.0, high: float = 1.0, remedy: str = "") -> None:
    """Require a number, or a tensor of numbers, in [low, high]; NaN is outside."""
    advice = remedy or f"choose a value between {low:g} and {high:g}"
    required = f"at least {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]"
    if isinstance(value, Tensor):
        if values_visible(value):
            index = first_bad(~((value >= low) & (value <= high)))
            if index is not None:
                place = f" at {where(index)}" if index else ""
                raise fail(argument, required, entry(value, index) + place, advice)
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise fail_type(argument, "a number or a tensor", type(value).__name__, advice)
    if not low <= float(value) <= high:
        raise fail(argument, required, f"{float(value):g}", advice)


def check_not_negative(**values: object) -> None:
    """Require numbers or tensors of at least 0, by the names of their arguments."""
    for argument, value in values.items():
        check_fraction(argument, value, high=math.inf, remedy="choose 0 or more")


def check_per_example(argument: str, value: float | Tensor, shape: torch.Size) -> None:
    """Require a number, or a tensor with one number per example: broadcasting would pair the wrong ones."""
    if isinstance(value, Tensor) and value.ndim > 0 and value.shape != shape:
        required = f"a number or shape {tuple(shape)}, one per example"
        remedy = f"use {argument}.squeeze(-1)" if value.shape == (*shape, 1) else f"reshape {argument}"
        raise fail(argument, required, f"shape {tuple(value.shape)}", remedy)


def sum_tolerance(probs: Tensor) -> float:
    """Return how far from 1 rounding may take the sum of a row of probabilities."""
    return 1e-3 if probs.dtype in (torch.float32, torch.float64) else 3e-2


def check_prior(argument: str, prior: Tensor, num_classes: int | None = None) -> None:
    """Require (K,) probabilities with K >= 2."""
    check_floating(argument, prior)
    if prior.ndim != 1 or prior.shape[0] < 2:
        raise fail(argument, "shape (K,) with K >= 2", tuple(prior.shape), "give one probability per class")
    if num_classes is not None and num_classes != prior.shape[0]:
        raise fail(argument, f"{num_classes} classes", prior.shape[0], "give one probability per class")
    check_entries(argument, prior, lambda p: p >= 0, "probabilities", "fix that entry", axis="class")
    if values_visible(prior):
        total = float(prior.detach().double().sum())
        if not abs(total - 1) <= (1e-4 if prior.dtype in (torch.float32, torch.float64) else 1e-2):
            raise fail(argument, "a sum of 1", f"{total:g}", "divide it by its sum")


def check_class_weight(
    argument: str, weight: Tensor, *, num_classes: int | None = None, negative: bool = False
) -> None:
    """Require (K,) finite class weights, of at least 0 unless `negative` is True, with K >= 2."""
    check_floating(argument, weight)
    fits = weight.ndim == 1 and weight.shape[0] >= 2 and (num_classes is None or num_classes == weight.shape[0])
    if not fits:
        required = "shape (K,) with K >= 2" if num_classes is None else f"shape ({num_classes},), one weight per class"
        raise fail(argument, required, tuple(weight.shape), "give one weight per class")
    required = "finite weights" if negative else "finite weights of at least 0"
    check_entries(
        argument, weight, lambda w: ((w >= 0) | negative) & w.isfinite(), required, "fix that entry", axis="class"
    )


def check_square(argument: str, matrix: Tensor) -> None:
    """Require a finite floating-point (K, K) matrix with K >= 2."""
    check_floating(argument, matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 2:
        raise fail(argument, "a (K, K) matrix with K >= 2", f"shape {tuple(matrix.shape)}", "give one row per class")
    check_entries(argument, matrix, torch.isfinite, "finite entries", "fix that entry")


def check_stochastic(argument: str, matrix: Tensor, axis: Literal["row", "column"] = "row") -> None:
    """Require a (K, K) matrix whose rows, or columns, are probabilities, one of each clean class."""
    check_square(argument, matrix)
    check_entries(argument, matrix, lambda m: m >= 0, "entries of at least 0", "fix that entry")
    if not values_visible(matrix):
        return
    tolerance = 1e-5 if matrix.dtype in (torch.float32, torch.float64) else 1e-2
    dim, other = (1, "column") if axis == "row" else (0, "row")
    sums = matrix.double().sum(dim)
    index = first_bad((sums - 1).abs() > tolerance)
    if index is not None:
        swapped = (matrix.double().sum(1 - dim) - 1).abs().max() <= tolerance
        remedy = f"its {other}s sum to 1: transpose it" if swapped else f"divide each {axis} by its sum"
        got = f"{entry(sums, index)} in {axis} {index[0]}"
        raise fail(argument, f"{axis}s (clean class) that sum to 1", got, remedy)
