"""Checks of targets, scores and numbers that `targets` and `distill` share."""

import math
import numbers

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_prior, first_bad, values_visible, where
from softtargets._errors import fail, fail_type, unknown
from softtargets.targets._targets import Targets

RESIDUALS = ("uniform", "prior", "drop")
# Whether the label's own class receives a part of the smoothing that is spread by similarity.
SHARINGS = ("all", "others")


def describe(value: object) -> str:
    """Return the dtype and shape of a tensor, or the type of anything else, for an error."""
    if isinstance(value, Tensor):
        return f"a tensor of dtype {str(value.dtype).removeprefix('torch.')} and shape {tuple(value.shape)}"
    return "None" if value is None else type(value).__name__


def check_tensor(argument: str, value: object, required: str) -> None:
    """Require a tensor; the error says how to convert what was given."""
    if isinstance(value, Tensor):
        return
    remedy = f"use torch.as_tensor({argument})"
    if hasattr(value, "__array__"):
        remedy = f"use torch.from_numpy({argument})"
    elif value is None or isinstance(value, str | Targets):
        remedy = "pass a torch.Tensor"
    raise fail_type(argument, required, describe(value) if value is None else type(value).__name__, remedy)


def check_scores(argument: str, scores: object) -> None:
    """Require a floating-point tensor of logits, probabilities or other scores per class."""
    check_tensor(argument, scores, "a floating-point tensor")
    assert isinstance(scores, Tensor)
    if not scores.is_floating_point():
        remedy = "pass one score per class; class numbers (labels) are not scores"
        raise fail_type(argument, "a floating-point tensor", f"dtype {scores.dtype}", remedy)


def classes_last(argument: str, scores: Tensor, class_dim: int = -1) -> Tensor:
    """Return floating-point scores as (..., K) with K >= 2, the classes moved from `class_dim`.

    Raises:
        ValueError: if `class_dim` is not a dimension of the scores, or there are fewer than two classes.
        TypeError: if the scores are not floating-point or `class_dim` is not an int.
    """
    check_scores(argument, scores)
    if scores.ndim == 0:
        raise fail(argument, "shape (..., K) with K >= 2", (), "pass one score per class")
    if isinstance(class_dim, bool) or not isinstance(class_dim, numbers.Integral):
        raise fail_type("class_dim", "an int", repr(class_dim), "pass the dimension of the classes, such as -1")
    if not -scores.ndim <= class_dim < scores.ndim:
        got = f"{class_dim} for shape {tuple(scores.shape)}"
        raise fail("class_dim", f"a dimension of {argument}", got, "pass the dimension of the classes, such as -1")
    moved = scores if class_dim in (-1, scores.ndim - 1) else scores.movedim(int(class_dim), -1)
    if moved.shape[-1] < 2:
        required = "shape (..., K) with K >= 2" if class_dim == -1 else f"at least 2 classes in dimension {class_dim}"
        raise fail(argument, required, tuple(scores.shape), "put the classes last, or set class_dim")
    return moved


def positive(argument: str, value: object, remedy: str) -> float:
    """Return a finite number above 0 as a float."""
    found = number(argument, value, "a finite number above 0", remedy)
    if not 0 < found < math.inf:
        raise fail(argument, "a finite number above 0", f"{found:g}", remedy)
    return found


def not_negative(argument: str, value: object, remedy: str) -> float:
    """Return a finite number of at least 0 as a float."""
    found = number(argument, value, "a finite number of at least 0", remedy)
    if not 0 <= found < math.inf:
        raise fail(argument, "a finite number of at least 0", f"{found:g}", remedy)
    return found


def fraction(argument: str, value: object, remedy: str = "") -> float:
    """Return a number in [0, 1] as a float."""
    found = number(argument, value, "a number in [0, 1]", remedy or "choose a value between 0 and 1")
    check_fraction(argument, found, remedy=remedy)
    return found


def per_example(
    argument: str, value: object, shape: tuple[int, ...], *, low: float = 0.0, high: float = 1.0, remedy: str = ""
) -> float | Tensor:
    """Return a number as a float, or a tensor with one number per example, in [low, high].

    A tensor of another shape would pair examples wrongly by broadcasting, and is refused.
    """
    required = "a number, or a tensor with one number per example"
    if not isinstance(value, Tensor):
        found = number(argument, value, required, remedy or f"pass a number or a tensor of shape {tuple(shape)}")
        check_fraction(argument, found, low=low, high=high, remedy=remedy)
        return found
    if value.is_complex() or value.dtype == torch.bool:
        raise fail_type(argument, required, f"dtype {value.dtype}", f"use {argument}.float()")
    if value.ndim > 0 and tuple(value.shape) != tuple(shape):
        column = tuple(value.shape) == (*shape, 1)
        remedy = f"use {argument}.squeeze(-1)" if column else f"reshape {argument}"
        required = f"a number or shape {tuple(shape)}, one per example"
        raise fail(argument, required, f"shape {tuple(value.shape)}", remedy)
    check_fraction(argument, value, low=low, high=high, remedy=remedy)
    return value


def number(argument: str, value: object, required: str, remedy: str) -> float:
    """Return a Python or NumPy number as a float: arithmetic of NumPy numbers with tensors may give arrays."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise fail_type(argument, required, describe(value), remedy)
    return float(value)


def check_generator(generator: object, device: torch.device) -> None:
    """Require a generator on the device of the draws, or None."""
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        remedy = "use torch.Generator().manual_seed(0) for a seed of 0"
        raise fail_type("generator", "a torch.Generator or None", describe(generator), remedy)
    if generator.device.type != device.type:
        remedy = f"use torch.Generator('{device.type}')"
        raise fail("generator", f"a generator on {device.type}", f"one on {generator.device.type}", remedy)


def check_targets(argument: str, targets: object) -> None:
    """Require Targets; the error says which function makes them from what was given."""
    if isinstance(targets, Targets):
        return
    raise fail_type(argument, "integer labels or Targets", describe(targets), _advice(argument, targets))


def _advice(argument: str, value: object) -> str:
    if not isinstance(value, Tensor):
        return f"use torch.as_tensor({argument}) for labels"
    if value.is_complex() or value.ndim < 2 or (values_visible(value) and bool((value > 1).any())):
        return f"use {argument}.long() if these are class numbers"
    return f"use targets.dense({argument}) if these are probabilities of the classes"


def check_spread(targets: Targets) -> None:
    """Require at least one valid class to smooth over, in every example with smoothing."""
    if targets.valid is None or targets.rest is None:
        return
    if not values_visible(targets.rest, targets.prior, targets.valid):
        return
    there = targets.valid if targets.prior is None else targets.valid & (targets.prior > 0)
    bad = ~there.any(-1) & (targets.rest != 0)
    at = first_bad(bad if targets.ignored is None else bad & ~targets.ignored)
    if at is not None:
        argument = "valid" if targets.prior is None else "prior"
        required = "a class to smooth over" if targets.prior is None else "mass on the valid classes"
        raise fail(argument, required, f"none at {where(at)}", "fix the mask, or leave that example unsmoothed")


def check_residual(residual: str, prior: Tensor | None, size: int) -> None:
    """Require a known residual, and a prior if and only if it needs one; see :func:`softtargets.targets.top_k`."""
    if residual == "ghost":
        remedy = "use residual='drop' and losses.ghost_cross_entropy"
        raise fail("residual", "'uniform', 'prior' or 'drop'", "'ghost'", remedy)
    if residual not in RESIDUALS:
        raise unknown("residual", residual, RESIDUALS)
    if (residual == "prior") != (prior is not None):
        got = "None" if prior is None else f"one with '{residual}'"
        raise fail("prior", "probabilities with residual='prior', and only then", got, "give both or neither")
    if prior is not None:
        check_prior("prior", prior, size)


def check_sharing(convention: str) -> None:
    """Require one of :data:`SHARINGS`."""
    if convention not in SHARINGS:
        raise unknown("convention", convention, SHARINGS)
