"""Any loss of the logits of a linear layer, which are never stored as a whole."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from softtargets._checks import check_int
from softtargets._errors import fail_type, unknown
from softtargets.losses._linear import as_autocast, check_layer
from softtargets.losses.building_blocks import linear_rows
from softtargets.losses.inputs import LossInputs, check_order, read_targets
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets

__all__ = ["linear_loss"]

SHARED = ("class_dim", "ignore_index", "mask", "reduction")


def linear_loss(
    function: Callable[..., Tensor],
    hidden: Tensor,
    weight: Tensor,
    targets: Targets | Tensor,
    *,
    bias: Tensor | None = None,
    chunk: int | None = None,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
    **hyper_parameters: Any,
) -> Tensor:
    """Any loss of ``hidden @ weight.T + bias``, computed chunk by chunk without storing all logits.

    reduce(function(hidden @ weight^T + bias, targets, **hyper_parameters), reduction)

    Args:
        function: a loss of :mod:`softtargets.losses` that compares no rows with each other, such as ``focal_loss``.
        hidden: (..., H) float.
        weight: (K, H) float, as in torch.nn.Linear.
        targets: (...) integer labels, or if the function is defined for them, (..., K) probabilities or Targets of
            (...).
        bias: (K,) float or None.
        chunk: rows per chunk, at least 1; None: about 2^21 logits on a CPU, 2^23 elsewhere, and at least 64 rows.
        ignore_index: label of an example to leave out. Soft targets mark such examples in ``Targets.ignored``.
        mask: (...) bool, True for an example to include; None: include every example that is not ignored.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.
        hyper_parameters: of the function, by name: numbers, or tensors that all rows share.

    Returns:
        (...) float32 or wider, nats, 0 for an example that is left out; () with "mean" or "sum".

    Raises:
        ValueError: if shapes differ, chunk < 1, a label is out of range (first bad index named), or the function has no
            such hyper-parameter or one that requires a gradient.
        TypeError: if the function is not one of (logits, targets) with `class_dim`, `ignore_index`, `mask` and
            `reduction`, or hidden, weight or bias is not a floating-point tensor.

    Special cases:
        the identity as weight gives function(hidden, targets).

    Notes:
        Under autocast the matrix products are computed in its precision, and the loss in float32.

    Complexity:
        Four matrix products of the layer: the logits are computed again in the backward pass. Memory: one chunk of
        logits and what the function needs for it, and the gradients of hidden and weight.

    When to use:
        There are very many classes, and the loss is not cross entropy: :func:`linear_cross_entropy` needs three
        products.

    Limitations:
        Not for losses that pair or rank the rows of a batch, such as ``peer_loss``. No second derivative.

    Example:
        >>> import torch
        >>> from softtargets.losses import mean_absolute_error
        >>> loss = linear_loss(mean_absolute_error, torch.ones(1, 3), torch.zeros(5, 3), torch.tensor([2]))
        >>> loss
        tensor([0.8000])
    """
    _check_function(function, hyper_parameters)
    check_reduction(reduction)
    check_order(hidden, targets, first="hidden")
    hidden, weight, bias = as_autocast(*check_layer(hidden, weight, bias))
    if chunk is not None:
        check_int("chunk", chunk, least=1, remedy="give the number of rows, or None")
    read = read_targets(targets, tuple(hidden.shape[:-1]), weight.shape[0], ignore_index=ignore_index, mask=mask)
    batch = LossInputs(hidden, *read)
    labels, left_out = batch.labels, batch.left_out

    def evaluate(logits: Tensor, rows: Any) -> Tensor:
        given = batch.targets[rows] if labels is None else labels[rows]
        counted = None if left_out is None else ~left_out[rows]
        return function(logits, given, mask=counted, **hyper_parameters)

    return batch.finish(linear_rows(evaluate, hidden, weight, bias, chunk=chunk), reduction)


def _check_function(function: object, given: dict[str, Any]) -> None:
    """Require a loss of this package, or one with its keywords, that has the given hyper-parameters."""
    required = "a loss of softtargets.losses"
    if not callable(function):
        raise fail_type("function", required, repr(function), "pass the function, such as losses.focal_loss")
    parameters = inspect.signature(function).parameters
    if not parameters.keys() >= set(SHARED):
        remedy = f"give it the keywords {', '.join(SHARED)}"
        raise fail_type("function", required, getattr(function, "__name__", repr(function)), remedy)
    known = [name for name in list(parameters)[2:] if name not in SHARED]
    for name in given.keys() - set(known):
        raise unknown("hyper_parameters", name, known)
