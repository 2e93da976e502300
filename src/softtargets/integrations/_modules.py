"""Losses of this package by name, as modules that other libraries call."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from softtargets import losses
from softtargets._errors import fail, fail_type, unknown
from softtargets.losses.reduction import Reduction
from softtargets.nn import CrossEntropyLoss, Loss

IGNORED = -100


def loss_module(
    function: str | Callable[..., Tensor],
    class_weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    hyper_parameters: Mapping[str, Any] | None = None,
    reduction: Reduction = "mean",
) -> CrossEntropyLoss | Loss:
    """Return a module with one reduction from what a user gives as a loss.

    Args:
        function: name of a loss of :mod:`softtargets.losses`; the function itself; a function of (logits, labels) that
            returns one loss per row; or a :class:`softtargets.nn.CrossEntropyLoss` or :class:`softtargets.nn.Loss`.
        class_weight: (K,) float, >= 0.
        ignore_index: label to leave out.
        hyper_parameters: of the function, by name; for cross entropy those of CrossEntropyLoss.
        reduction: of the module.

    Raises:
        ValueError: if the name or a hyper-parameter is unknown, or a module is given with further arguments or with
            another reduction.
        TypeError: if `function` is none of these.
    """
    given = dict(hyper_parameters or {})
    if isinstance(function, nn.Module):
        if not isinstance(function, CrossEntropyLoss | Loss):
            remedy = "wrap its function in softtargets.nn.Loss"
            raise fail_type("function", "a CrossEntropyLoss or Loss of softtargets.nn", type(function).__name__, remedy)
        if class_weight is not None or given:
            remedy = "set them when the module is made"
            raise fail("function", "a name or a function with these arguments", type(function).__name__, remedy)
        if function.reduction != reduction:
            required, remedy = f"a module with reduction='{reduction}'", f"set reduction='{reduction}'"
            raise fail("function", required, f"'{function.reduction}'", remedy)
        return function
    found = _named(function) if isinstance(function, str) else function
    if found is losses.cross_entropy:
        return CrossEntropyLoss(class_weight, ignore_index=ignore_index, reduction=reduction, **_known(given))
    return Loss(found, class_weight=class_weight, ignore_index=ignore_index, reduction=reduction, **given)


def _named(name: str) -> Callable[..., Tensor]:
    """Return a loss of (logits, labels) by its name."""
    known = {}
    for public in losses.__all__:
        function = getattr(losses, public)
        parameters = list(inspect.signature(function).parameters) if inspect.isfunction(function) else []
        # what is not reduced is no loss, such as cores_sieve, which selects rows
        if parameters[:2] in (["logits", "targets"], ["logits", "labels"]) and "reduction" in parameters:
            known[public] = function
    if name not in known:
        raise unknown("function", name, known)
    return known[name]


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters of CrossEntropyLoss, checked by name."""
    known = ("label_smoothing", "convention", "prior", "weighting")
    for name in given:
        if name not in known:
            raise unknown("hyper_parameters", name, known)
    return dict(given)
