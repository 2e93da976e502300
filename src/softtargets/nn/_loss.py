"""Any loss of the package as a module."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from softtargets._checks import check_class_weight
from softtargets._errors import fail, fail_type, unknown
from softtargets.losses import reduce
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.nn._examples import RowSettings, SoftmaxLoss, check_fits, shape_of, weights_of
from softtargets.targets import Targets

__all__ = ["Loss"]

# Keywords of the module, which the function may have too.
SHARED = ("reduction", "class_weight", "ignore_index", "class_dim")
# Keywords of a function that leaves out examples and reduces by itself, as the losses of this package do.
CONTRACT = {"class_dim", "ignore_index", "mask", "reduction"}


class Loss(SoftmaxLoss):
    """Any loss function as a module, with reduction, class weights and ignored labels.

    reduce(function(logits, targets, **hyper_parameters), reduction, weight=class_weight[labels])

    A hyper-parameter that is a tensor becomes a buffer; a parameter or a module is registered as such. A Transition is
    not: pass its matrix if it should move with the module.

    Args:
        function: a loss of :mod:`softtargets.losses`, or your own function of (logits, targets, ...) that returns one
            loss per example. Your own function is called with the classes last; examples that are left out are
            passed as logits 0 and label 0. To pickle the module, define the function at the top level of a module.
        reduction: "mean", "sum" or "none"; the mean divides by the sum of the weights of the examples that are not left
            out.
        class_weight: (K,) float, >= 0, one weight per class, applied to the example; a buffer.
        ignore_index: label of an example to leave out.
        class_dim: the dimension of the classes; for (K,) logits without a batch it is 0.
        hyper_parameters: of the function, by name.

    Raises:
        ValueError: if the function does not have a given hyper-parameter, a required one is missing, or one that would
            be registered has the name of a module attribute.
        TypeError: if `function` is not a function of (logits, targets).

    Special cases:
        Loss(cross_entropy) gives CrossEntropyLoss(); class weights of 1 change nothing.

    Notes:
        Behaves like :class:`CrossEntropyLoss` with weighting="example", whose `weight` is `class_weight` here, because
        some functions have a `weight` of their own. It is also a subclass of torch.nn.CrossEntropyLoss: skorch's
        `predict_proba` applies a softmax. With ``losses.binary_cross_entropy`` pass skorch
        ``predict_nonlinearity=torch.sigmoid``.

    Complexity:
        The same as the function.

    When to use:
        A framework requires a module.

    Limitations:
        Your own function that mixes the examples of a batch receives the examples that are left out as logits of 0 and
        label 0.

    Example:
        >>> from softtargets import losses
        >>> Loss(losses.max_suppression_loss, smoothing=0.2)
        Loss(max_suppression_loss, smoothing=0.2, reduction='mean', class_weight=None, ignore_index=-100, class_dim=1)
    """

    class_weight: Tensor | None

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
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_dim=class_dim)
        _check_function(function, hyper_parameters)
        if class_weight is not None:
            check_class_weight("class_weight", class_weight)
        self.function = function
        self._follows_contract = inspect.signature(function).parameters.keys() >= CONTRACT
        self.register_buffer("class_weight", class_weight)
        held = {name: value for name, value in hyper_parameters.items() if isinstance(value, Tensor | nn.Module)}
        self._plain = {name: value for name, value in hyper_parameters.items() if name not in held}
        self._held = tuple(held)
        for name, value in held.items():
            if hasattr(self, name):
                required = "a name that torch.nn.Module does not use, since its value is registered"
                remedy = "rename it in your own function that calls this one"
                raise fail(f"Loss({_name(function)})", required, f"'{name}'", remedy)
            if isinstance(value, nn.Module):
                self.add_module(name, value)
            elif isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(
        self,
        input: Tensor,
        target: Tensor | Targets,
        *,
        mask: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        """Return the loss, () or with "none" one value per example.

        Args:
            input: (N, K, ...) float logits, or (K,).
            target: (N, ...) integer labels; if the function is defined for soft targets, also float probabilities of
                the shape of the logits, or Targets of (N, ...).
            mask: (N, ...) bool, True for an example to include; None: include every example that is not ignored.
            normalizer: what "mean" divides the weighted sum by, instead of the sum of the weights.
        """
        rows = self.rows(input, mask)
        if not self._follows_contract:
            return self._of_own_function(input, target, rows, normalizer)
        if self.class_weight is None and normalizer is None:
            return self.function(input, target, **rows, reduction=self.reduction, **self._given())
        weight = None
        if self.class_weight is not None:
            weight = self._weights(read_examples(input, target, **rows, zero_left_out=False))
        values = self.function(input, target, **rows, **self._given())
        return reduce(values, self.reduction, weight=weight, normalizer=normalizer)

    def _of_own_function(
        self, logits: Tensor, target: Tensor | Targets, rows: RowSettings, normalizer: float | Tensor | None
    ) -> Tensor:
        batch = read_examples(logits, target, **rows)
        soft = batch.soft.values if batch.soft is not None and isinstance(target, Tensor) else batch.soft
        values = self.function(batch.logits, batch.labels if soft is None else soft, **self._given())
        return reduce(values, self.reduction, weight=self._weights(batch), normalizer=normalizer)

    def _weights(self, batch: LossInputs) -> Tensor | None:
        check_fits("class_weight", self.class_weight, batch.logits.shape[-1])
        return weights_of(batch, self.class_weight)

    def extra_repr(self) -> str:
        given = {**self._given(), **{name: getattr(self, name) for name in SHARED}}
        lines = {name: v for name, v in given.items() if not isinstance(v, nn.Module)}  # modules print themselves
        shown = (f"{name}={shape_of(v) if isinstance(v, Tensor) else repr(v)}" for name, v in lines.items())
        return ", ".join([_name(self.function), *shown])

    def _given(self) -> dict[str, Any]:
        return {**self._plain, **{name: getattr(self, name) for name in self._held}}


def _check_function(function: Callable[..., Tensor], given: dict[str, Any]) -> None:
    """Require a function of (logits, targets, ...), all the hyper-parameters that it needs, and no others."""
    if not callable(function):
        raise fail_type("function", "a function of (logits, targets)", repr(function), "pass one of softtargets.losses")
    parameters = list(inspect.signature(function).parameters.values())
    if sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) < 2:
        remedy = "write a function that adds this term to a loss"
        raise fail_type("function", "a function of (logits, targets)", _name(function), remedy)
    named = [p for p in parameters[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    rest = [p for p in named if p.name not in (*SHARED, "mask")]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in given.keys() - {p.name for p in rest}:
            raise unknown(f"Loss({_name(function)})", name, [*(p.name for p in rest), *SHARED])
    for p in rest:
        if p.default is p.empty and p.name not in given:
            raise fail(f"Loss({_name(function)})", f"a value for {p.name}", "none", f"pass {p.name}=")


def _name(function: Callable[..., Tensor]) -> str:
    return getattr(function, "__name__", repr(function))
