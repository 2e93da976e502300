"""Any loss of the package as a module."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from softtargets._checks import check_class_weight
from softtargets._errors import fail, fail_type, unknown
from softtargets.losses import reduce
from softtargets.losses.reduction import REDUCTIONS, Reduction
from softtargets.nn._examples import check_fits, class_dim_of, shape_of, weights_of
from softtargets.targets import hard

__all__ = ["Loss"]

# keywords of the module, which a function's own would hide
SHARED = ("reduction", "class_weight", "ignore_index", "class_dim")


class Loss(nn.Module):
    """Any function of (logits, labels, ...) as a module: one shared reduction, class weights and ignored labels.

    reduce(function(logits, labels, **hyper_parameters), reduction, weight=class_weight[labels])

    A hyper-parameter that is a tensor becomes a buffer, one that is a parameter or a module is registered as such. A
    Transition is none of these and stays where it is: pass its matrix if it is to move with the module. An ignored
    example is handed to the function with logits of 0 and label 0, and its loss is dropped.

    Args:
        function: (logits, labels, ...) -> one loss per example, with the classes last: a loss of
            :mod:`softtargets.losses`, or one's own. Of a module's top level, where the module is to be pickled.
        reduction: "mean", "sum" or "none"; the mean divides by the sum of the weights of what is not ignored.
        class_weight: (K,) float of at least 0, one per class, which weighs the examples; a buffer.
        ignore_index: label that marks an example without a target.
        class_dim: where the classes are, as in torch; 0 for (K,) logits without a batch.
        hyper_parameters: of the function, by name.

    Raises:
        ValueError: where the function has no such hyper-parameter, one that it needs is missing, or one that would be
            registered is called as an attribute that modules have.
        TypeError: where `function` is no function of (logits, labels).

    Special cases:
        Loss(cross_entropy) gives CrossEntropyLoss(); class weights of 1 change nothing.

    Notes:
        as :class:`CrossEntropyLoss` with weighting="example", whose `weight` is `class_weight` here: the functions have
        weights of their own.

    Complexity:
        nothing beside the function's, and a copy of the logits where some examples are ignored (or may be, on an
        accelerator, where labels are not looked at).

    When to use:
        a framework wants a module.

    Limitations:
        a loss that mixes the examples of its batch, as a peer loss does, sees ignored ones too: logits of 0, label 0.

    Example:
        >>> from softtargets import losses
        >>> Loss(losses.max_suppression_loss, smoothing=0.2)
        Loss(max_suppression_loss, smoothing=0.2, reduction='mean', class_weight=None, ignore_index=-100, class_dim=1)
    """

    class_weight: Tensor | None
    reduction: Reduction

    def __init__(
        self,
        function: Callable[..., Tensor],
        *,
        reduction: Reduction = "mean",
        class_weight: Tensor | None = None,
        ignore_index: int = -100,
        class_dim: int = 1,
        **hyper_parameters: Any,
    ) -> None:
        super().__init__()
        _check_function(function, hyper_parameters)
        if reduction not in REDUCTIONS:
            raise unknown("reduction", reduction, REDUCTIONS)
        if class_weight is not None:
            check_class_weight("class_weight", class_weight)
        self.function, self.reduction = function, reduction
        self.ignore_index, self.class_dim = ignore_index, class_dim
        self.register_buffer("class_weight", class_weight)
        held = {name: value for name, value in hyper_parameters.items() if isinstance(value, Tensor | nn.Module)}
        self._plain = {name: value for name, value in hyper_parameters.items() if name not in held}
        self._held = tuple(held)
        for name, value in held.items():
            if hasattr(self, name):
                required = "a name for a tensor, a parameter or a module that modules do not have"
                remedy = "rename it in a function of your own that calls this one"
                raise fail(f"Loss({_name(function)})", required, f"'{name}'", remedy)
            if isinstance(value, nn.Module):
                self.add_module(name, value)
            elif isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(self, logits: Tensor, labels: Tensor, *, normalizer: float | Tensor | None = None) -> Tensor:
        """Return the loss, () or with "none" one value per example.

        Args:
            logits: (N, K, ...) float, or (K,).
            labels: (N, ...) int64.
            normalizer: what "mean" divides the weighted sum by, in place of the sum of the weights.
        """
        class_dim = class_dim_of(logits, self.class_dim)
        check_fits("class_weight", self.class_weight, logits.shape[class_dim])
        if class_dim % logits.ndim != logits.ndim - 1:  # else a view would be made of what may be overwritten in place
            logits = logits.movedim(class_dim, -1)
        targets = hard(labels, ignore_index=self.ignore_index)
        ignored = targets.ignored
        if ignored is not None and ignored.shape == logits.shape[:-1]:  # other shapes the function refuses
            # A loss that is dropped may still be infinite, and its gradient 0 times that.
            logits = logits.masked_fill(ignored[..., None], 0.0)
        values = self.function(logits, targets.labels, **self._given())
        return reduce(values, self.reduction, weight=weights_of(targets, self.class_weight), normalizer=normalizer)

    def extra_repr(self) -> str:
        given = {**self._given(), **{name: getattr(self, name) for name in SHARED}}
        lines = {name: v for name, v in given.items() if not isinstance(v, nn.Module)}  # modules print themselves
        shown = (f"{name}={shape_of(v) if isinstance(v, Tensor) else repr(v)}" for name, v in lines.items())
        return ", ".join([_name(self.function), *shown])

    def _given(self) -> dict[str, Any]:
        return {**self._plain, **{name: getattr(self, name) for name in self._held}}


def _check_function(function: Callable[..., Tensor], given: dict[str, Any]) -> None:
    """Require a function of (logits, labels, ...), all that it needs and nothing that it does not know."""
    if not callable(function):
        raise fail_type("function", "a function of (logits, labels)", repr(function), "pass one of softtargets.losses")
    parameters = list(inspect.signature(function).parameters.values())
    if sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) < 2:
        raise fail_type(
            "function", "a function of (logits, labels)", _name(function), "add that term to a loss yourself"
        )
    rest = [p for p in parameters[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in SHARED]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in given.keys() - {p.name for p in rest}:
            raise unknown(f"Loss({_name(function)})", name, [*(p.name for p in rest), *SHARED])
    for p in rest:
        if p.default is p.empty and p.name not in given:
            raise fail(f"Loss({_name(function)})", f"a value for {p.name}", "none", f"pass {p.name}=")


def _name(function: Callable[..., Tensor]) -> str:
    return getattr(function, "__name__", repr(function))
