"""Checks of tensors and numbers."""

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type


def eager(*tensors: Tensor | None) -> bool:
    """Say whether values may be looked at: never under compile, vmap or on meta and fake tensors."""
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


_synchronising_checks = True


def synchronising_checks(enabled: bool | None = None) -> bool:
    """Return whether value checks that force a device synchronisation run; set it where `enabled` is given.

    Checks on the CPU cost little and always run. On an accelerator a look at a value makes the host wait, which
    a training loop may not want: ``synchronising_checks(False)`` leaves those out, and only those.
    """
    global _synchronising_checks
    if enabled is not None:
        _synchronising_checks = bool(enabled)
    return _synchronising_checks


def values_visible(*tensors: Tensor | None) -> bool:
    """Say whether the values of these tensors may be checked here and now."""
    if not eager(*tensors):
        return False
    return _synchronising_checks or all(t is None or t.device.type == "cpu" for t in tensors)


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


def where(index: tuple[int, ...]) -> str:
    """Render an index as ``row 3`` or ``index (3, 1)``."""
    if not index:
        return "the only entry"
    return f"row {index[0]}" if len(index) == 1 else f"index {index}"


def entry(tensor: Tensor, index: tuple[int, ...]) -> str:
    """Render one number of a tensor, which may require a gradient."""
    return f"{float(tensor.detach()[index]):g}"


def check_floating(argument: str, tensor: object) -> None:
    """Require a floating-point tensor."""
    if not isinstance(tensor, Tensor):
        raise fail_type(argument, "a floating-point tensor", type(tensor).__name__, "pass a torch.Tensor")
    if not tensor.is_floating_point():
        raise fail_type(argument, "a floating-point tensor", f"dtype {tensor.dtype}", f"use {argument}.float()")


def check_labels(argument: str, labels: object, num_classes: int | None = None) -> None:
    """Require an integer tensor of labels in [0, num_classes)."""
    if not isinstance(labels, Tensor):
        raise fail_type(argument, "an int64 tensor of labels", type(labels).__name__, "pass a torch.Tensor")
    # torch can hardly compute with the unsigned integers above 8 bits
    unfit = (torch.bool, torch.uint16, torch.uint32, torch.uint64)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype in unfit:
        raise fail_type(argument, "an int64 tensor of labels", f"dtype {labels.dtype}", f"use {argument}.long()")
    if not values_visible(labels) or labels.numel() == 0:
        return
    lowest, highest = labels.aminmax()  # of all in one pass; where they are is asked only if one is bad
    if lowest >= 0 and (num_classes is None or highest < num_classes):
        return
    index = first_bad(labels < 0 if num_classes is None else (labels < 0) | (labels >= num_classes))
    if index is not None:
        high = "" if num_classes is None else f" and below {num_classes}, the number of classes"
        raise fail(
            argument,
            f"labels of at least 0{high}",
            f"{int(labels[index])} at {where(index)}",
            "mend or drop that example, or mark it as ignored",
        )


def check_num_classes(num_classes: int) -> None:
    """Require at least two classes."""
    if isinstance(num_classes, bool) or not isinstance(num_classes, int):
        raise fail_type("num_classes", "an int of at least 2", repr(num_classes), "pass the number of classes")
    if num_classes < 2:
        raise fail("num_classes", "at least 2", num_classes, "a classifier needs two classes or more")


def check_fraction(argument: str, value: object, *, low: float = 0.0, high: float = 1.0, remedy: str = "") -> None:
    """Require a number, or a tensor of numbers, in [low, high]; NaN is outside."""
    advice = remedy or f"choose a value between {low:g} and {high:g}"
    if isinstance(value, Tensor):
        if values_visible(value):
            index = first_bad(~((value >= low) & (value <= high)))
            if index is not None:
                place = f" at {where(index)}" if index else ""
                raise fail(argument, f"in [{low:g}, {high:g}]", entry(value, index) + place, advice)
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fail_type(argument, "a number or a tensor", type(value).__name__, advice)
    if not low <= value <= high:
        raise fail(argument, f"in [{low:g}, {high:g}]", f"{value:g}", advice)


def check_per_example(argument: str, value: float | Tensor, shape: torch.Size) -> None:
    """Require a number, or a tensor with one number per example: broadcasting would pair the wrong ones."""
    if isinstance(value, Tensor) and value.ndim > 0 and value.shape != shape:
        required = f"a number or shape {tuple(shape)}, one per example"
        raise fail(argument, required, f"shape {tuple(value.shape)}", f"reshape {argument}")


def sum_tolerance(probs: Tensor) -> float:
    """Return how far from 1 rounding may take the sum of a row of probabilities."""
    return 1e-3 if probs.dtype in (torch.float32, torch.float64) else 3e-2


def check_prior(argument: str, prior: Tensor) -> None:
    """Require (K,) probabilities with K >= 2."""
    check_floating(argument, prior)
    if prior.ndim != 1 or prior.shape[0] < 2:
        raise fail(argument, "shape (K,) with K >= 2", tuple(prior.shape), "give one probability per class")
    if values_visible(prior):
        index = first_bad(~(prior >= 0))
        if index is not None:
            raise fail(argument, "probabilities", f"{entry(prior, index)} at class {index[0]}", "mend that entry")
        total = float(prior.detach().double().sum())
        if not abs(total - 1) <= (1e-4 if prior.dtype in (torch.float32, torch.float64) else 1e-2):
            raise fail(argument, "a sum of 1", f"{total:g}", "divide it by its sum")


def check_class_weight(
    argument: str, weight: Tensor, *, num_classes: int | None = None, negative: bool = False
) -> None:
    """Require (K,) finite class weights, of at least 0 unless negative ones are meant, with K >= 2."""
    check_floating(argument, weight)
    if weight.ndim != 1 or weight.shape[0] < 2 or num_classes not in (None, weight.shape[0]):
        required = "shape (K,) with K >= 2" if num_classes is None else f"shape ({num_classes},), one weight per class"
        raise fail(argument, required, tuple(weight.shape), "give one weight per class")
    if values_visible(weight):
        index = first_bad(~(((weight >= 0) | negative) & weight.isfinite()))
        if index is not None:
            required = "finite weights" if negative else "finite weights of at least 0"
            raise fail(argument, required, f"{entry(weight, index)} at class {index[0]}", "mend that entry")


def check_square(argument: str, matrix: Tensor) -> None:
    """Require a finite floating-point (K, K) matrix with K >= 2."""
    check_floating(argument, matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 2:
        raise fail(argument, "a (K, K) matrix with K >= 2", f"shape {tuple(matrix.shape)}", "give one row per class")
    if values_visible(matrix):
        index = first_bad(~torch.isfinite(matrix))
        if index is not None:
            raise fail(argument, "finite entries", f"{entry(matrix, index)} at {where(index)}", "mend that entry")


def check_row_stochastic(argument: str, matrix: Tensor) -> None:
    """Require a (K, K) matrix whose rows are probabilities."""
    check_square(argument, matrix)
    if not values_visible(matrix):
        return
    index = first_bad(matrix < 0)
    if index is not None:
        raise fail(argument, "entries of at least 0", f"{entry(matrix, index)} at {where(index)}", "mend that entry")
    tolerance = 1e-5 if matrix.dtype in (torch.float32, torch.float64) else 1e-2
    sums = matrix.double().sum(1)
    index = first_bad((sums - 1).abs() > tolerance)
    if index is not None:
        columns = (matrix.double().sum(0) - 1).abs().max() <= tolerance
        remedy = "its columns sum to 1: transpose it" if columns else "divide each row by its sum"
        raise fail(argument, "rows (clean class) that sum to 1", f"{entry(sums, index)} in row {index[0]}", remedy)
