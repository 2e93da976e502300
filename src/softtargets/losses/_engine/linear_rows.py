"""Any loss per row of the logits of a linear layer, computed chunk by chunk."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._errors import fail
from softtargets._native.chunks import Index, cut
from softtargets._native.products import add_product
from softtargets._numerics import accumulating

# Logits of a chunk, and the fewest rows: a matrix product of fewer rows is inefficient.
LOGITS_ON_CPU, LOGITS_ELSEWHERE, FEWEST = 2**21, 2**23, 64

# (logits of a chunk, which rows these are) -> losses of these rows, float32 or wider
RowsOfChunk = Callable[[Tensor, Index], Tensor]


def linear_rows(
    evaluate: RowsOfChunk, hidden: Tensor, weight: Tensor, bias: Tensor | None, *, chunk: int | None = None
) -> Tensor:
    """Return the loss of every row of ``hidden @ weight.T + bias``; the backward pass computes the logits again.

    Args:
        evaluate: the losses of a chunk of rows, computed with differentiable torch operations. It is called in the
            forward pass and again in the backward pass, and must return the same numbers.
        hidden: (..., H) float.
        weight: (K, H) of the same dtype.
        bias: (K,) or None.
        chunk: rows per chunk; None: chosen so that a chunk has about 2^21 logits on a CPU and 2^23 elsewhere, and at
            least 64 rows.

    Returns:
        (...) of the accumulating dtype.

    Raises:
        ValueError: if `evaluate` uses a tensor that requires a gradient.
    """
    logits = LOGITS_ON_CPU if hidden.device.type == "cpu" else LOGITS_ELSEWHERE
    rows = chunk or max(FEWEST, logits // weight.shape[0])
    return _LinearRows.apply(hidden, weight, bias, evaluate, rows)  # pyright: ignore[reportReturnType]


class _LinearRows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, evaluate: RowsOfChunk, rows: int
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias)
        ctx.evaluate, ctx.rows = evaluate, rows
        losses = hidden.new_empty(hidden.shape[:-1], dtype=accumulating(hidden.dtype))
        with torch.autocast(hidden.device.type, enabled=False):
            for i in cut((*hidden.shape[:-1], weight.shape[0]), rows * weight.shape[0]):
                z = functional.linear(hidden[i], weight, bias)
                with torch.enable_grad():  # so that a captured parameter, which would get no gradient, is noticed
                    values = evaluate(z.detach(), i)
                if values.requires_grad:
                    remedy = "compute the logits and the loss without chunks"
                    raise fail("function", "a loss without parameters", "one that requires a gradient", remedy)
                losses[i] = values
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *given: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = given
        hidden, weight, bias = ctx.saved_tensors
        wide = accumulating(hidden.dtype)
        of_hidden, of_weight, of_bias = (
            tensor.new_zeros(tensor.shape, dtype=wide) if tensor is not None and need else None
            for tensor, need in zip((hidden, weight, bias), ctx.needs_input_grad, strict=False)
        )
        with torch.autocast(hidden.device.type, enabled=False):
            for i in cut((*hidden.shape[:-1], weight.shape[0]), ctx.rows * weight.shape[0]):
                z = functional.linear(hidden[i], weight, bias).requires_grad_()
                with torch.enable_grad():
                    losses = ctx.evaluate(z, i)
                (of_logits,) = torch.autograd.grad(losses, z, grad[i])
                flat, inputs = of_logits.reshape(-1, weight.shape[0]), hidden[i].reshape(-1, hidden.shape[-1])
                if of_hidden is not None:
                    of_hidden[i] = (flat @ weight).view_as(hidden[i])
                if of_weight is not None:
                    add_product(of_weight, flat.T, inputs)
                if of_bias is not None:
                    of_bias.add_(flat.sum(0, dtype=wide))
        found = zip((of_hidden, of_weight, of_bias), (hidden, weight, bias), strict=True)
        return (*(None if of is None else of.to(like.dtype) for of, like in found), None, None)
